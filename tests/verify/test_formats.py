import gzip
import json
from pathlib import Path

import pytest

from underdog.errors import UserError
from underdog.verify.problem import reference_answer
from underdog.verify.problem_files import load_problems, read_problems, write_problems
from underdog.verify.sandbox import choose

DATA = Path(__file__).parents[3] / "shared" / "data"
GSM8K = {"question": "How many?", "answer": "2*3=<<2*3=6>>6\n#### 6"}
HUMANEVAL = {
    "task_id": "T/0",
    "prompt": 'import math\n\ndef helper(x):\n    return x\n\ndef f(x):\n    """Doubles."""\n',
    "entry_point": "f",
    "canonical_solution": "    return 2 * x\n",
    "test": "def check(candidate):\n    assert candidate(2) == 4\n    assert candidate(helper(3)) == 6\n",
}
MBPP = {
    "text": "Add.",
    "code": "def sum(a, b):\r\n    return a + b",
    "test_list": ["assert sum(1, 2) == 3"],
    "test_setup_code": "",
}


@pytest.fixture
def load(tmp_path):
    def write(*rows, name="set.jsonl"):
        path = tmp_path / name
        data = "".join(json.dumps(row) + "\n" for row in rows).encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return load_problems(path)

    return write


def test_word_problems_keep_their_steps(load):
    (problem,) = load(GSM8K).problems
    assert (problem.verifier, problem.data["answer"], problem.domain) == ("math", "6", "mathematics")
    assert (problem.worked.reasoning, problem.worked.answer) == ("2*3=6", "\\boxed{6}")
    assert problem.prompt[0].content == "How many?\n\nPut the final answer in \\boxed{}."


@pytest.mark.parametrize(
    ("row", "verifier", "data"),
    [
        ({"problem": "x?", "solution": "so \\boxed{\\frac{1}{2}}"}, "math", {"answer": "\\frac{1}{2}"}),
        ({"problem": "x?", "answer": "3", "solution": "long"}, "math", {"answer": "3"}),
        (
            {"prompt": [{"role": "user", "content": "x?"}], "reward_model": {"ground_truth": "34"}},
            "math",
            {"answer": "34"},
        ),
        ({"question": "x?", "choices": ["a", "b"], "answer": 1}, "choice", {"answer": "B", "choices": ["a", "b"]}),
        (
            {"question": "x?", "input_output": json.dumps({"inputs": ["1\n"], "outputs": ["2\n"]})},
            "code",
            {"cases": [{"input": "1\n", "output": "2\n"}]},
        ),
        (
            {"question": "x?", "input_output": {"fn_name": "f", "inputs": [[1]], "outputs": [[2]]}},
            "code",
            {"function": "f", "cases": [{"arguments": [1], "expected": 2}]},
        ),
        (
            {"prompt": "x", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}], "key": 7},
            "instructions",
            {"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]},
        ),
    ],
)
def test_formats_are_recognised(load, row, verifier, data):
    (problem,) = load(row).problems
    assert (problem.verifier, problem.data) == (verifier, data)


@pytest.fixture
def can_run_code():
    try:
        choose.sandbox()
    except UserError as problem:
        pytest.skip(str(problem))


@pytest.mark.usefixtures("can_run_code")
def test_code_comes_with_its_tests_and_a_solution_that_passes_them(load, tmp_path):
    human, mbpp = load(HUMANEVAL, MBPP, name="code.jsonl.gz").problems
    assert human.data["entry"] == "f" and human.data["prelude"].endswith("return x\n\n") and human.task == "code"
    assert mbpp.data["names"] == ["sum"] and "assert sum(1, 2) == 3" in mbpp.prompt[0].content
    assert "return 2 * x" not in human.prompt[0].content
    write_problems(tmp_path / "again.jsonl", [human, mbpp])
    assert read_problems(tmp_path / "again.jsonl") == [human, mbpp]
    assert reference_answer(human).startswith("```python\nimport math")
    (unsolved,) = load({**HUMANEVAL, "canonical_solution": None}).problems
    assert reference_answer(unsolved) is None


@pytest.mark.usefixtures("can_run_code")
def test_what_cannot_be_judged_is_named_and_set_aside(load):
    wrong = {**MBPP, "test_list": ["assert sum(1, 2) == 4"], "text": "Add wrongly."}
    found = load(
        GSM8K,
        {"question": "How many more?", "answer": "6"},
        {**HUMANEVAL, "entry_point": "g"},
        wrong,
        {"problem": "x?", "solution": "no box"},
        {"problem": "y?", "answer": "?!"},
        {"prompt": "x", "instruction_id_list": ["no:such"], "kwargs": [{}]},
        {"prompt": "x", "reward_model": {}},
        {"prompt": "x", "reward_model": "rule"},
        {"prompt": "x", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [["a"]]},
    )
    assert len(found.problems) == 1
    assert {one.line: one.why.split(":")[0][:30] for one in found.rejected} == {
        2: '"answer" has no #### before th',
        3: '"prompt" does not define g',
        4: "its own answer is wrong to its",
        5: 'there is no "answer", and no \\',
        6: 'the answer "?!" is no mathemat',
        7: 'there is no instruction "no',
        8: '"reward_model" has no "ground_',
        9: '"reward_model" has no "ground_',
        10: '"kwargs" must hold objects',
    }


def test_a_file_of_which_nothing_can_be_used_is_an_error(load):
    with pytest.raises(UserError, match=r"set.jsonl line 1: .*No line can be used"):
        load({"question": "How many?", "answer": "6"})


def test_parquet_too(tmp_path):
    import pyarrow
    import pyarrow.parquet

    path = tmp_path / "dapo.parquet"
    rows = [{"prompt": [{"role": "user", "content": "x?"}], "reward_model": {"ground_truth": "34", "style": "rule"}}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    (problem,) = load_problems(path).problems
    assert (problem.task, problem.data) == ("dapo", {"answer": "34"})
    (tmp_path / "bad.parquet").write_text("x")
    with pytest.raises(UserError, match="cannot be read as Parquet"):
        load_problems(tmp_path / "bad.parquet")


@pytest.mark.skipif(not DATA.exists(), reason="the published sets are not here")
@pytest.mark.usefixtures("can_run_code")
@pytest.mark.parametrize(("name", "rows"), [("gsm8k/test.jsonl", 1319), ("humaneval/HumanEval.jsonl.gz", 164)])
def test_published_sets_load_whole(name, rows):
    found = load_problems(DATA / name)
    assert (len(found.problems), found.rejected) == (rows, [])
