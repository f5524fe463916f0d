import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from underdog.errors import UserError
from underdog.tokens.messages import Message
from underdog.verify.problem import Problem, Worked, reference_answer
from underdog.verify.problem_files import load_problems, read_problems, write_problems


def read(tmp_path, *records):
    path = tmp_path / "mine.jsonl"
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in records))
    return load_problems(path).problems


def test_two_fields_are_enough(tmp_path):
    number, text = read(tmp_path, {"prompt": "6*7?", "answer": "42"}, {"prompt": "Who?", "answer": "Ada", "id": 7})
    assert (number.verifier, number.data, number.worked) == ("number", {"answer": "42"}, None)
    assert (text.verifier, text.task, text.domain) == ("text", "mine", "logic")
    assert text.prompt == (Message("user", "Who?"),)
    assert reference_answer(text) == "Ada"


def test_all_fields(tmp_path):
    (problem,) = read(
        tmp_path,
        {
            "prompt": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2, 3 → 6"}],
            "answer": "2*3",
            "reasoning": "2*3=6",
            "verifier": "expression",
            "data": {"numbers": [2, 3], "target": 6},
            "domain": "games",
            "task": "pairs",
            "difficulty": "ignored",
        },
    )
    assert problem.prompt == (Message("system", "Be brief."), Message("user", "2, 3 → 6"))
    assert problem.worked == Worked("2*3=6", "2*3")
    assert (problem.domain, problem.task) == ("games", "pairs")
    assert problem.data == {"numbers": [2, 3], "target": 6}


def test_equal_prompts_have_equal_ids_whatever_their_numbering(tmp_path):
    a, b, c = read(
        tmp_path,
        {"prompt": "6*7?", "answer": "42", "id": "1"},
        {"prompt": " 6*7? ", "answer": "42", "id": "2"},
        {"prompt": "6*8?", "answer": "48", "id": "1"},
    )
    assert a.id == b.id != c.id


SAYS = 'Each problem needs "prompt" and "answer" (docs/problems.md).'


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"prompt": "a"}, f'"answer" is missing. {SAYS}'),
        ({"answer": "a"}, f'"prompt" is missing. {SAYS}'),
        ({"prompt": "a", "answer": ""}, f'"answer" is missing. {SAYS}'),
        ({"prompt": "a", "answer": 0}, f'"answer" must be a string. {SAYS}'),
        ({"prompt": "a", "answer": "b", "task": ["c"]}, f'"task" must be a string. {SAYS}'),
        ("{", "is not JSON: "),
        ('{"prompt": "\\ud800", "answer": "a"}', "holds half of a surrogate pair"),
        ("[" * 100_000, "is not JSON: "),
        ("[]", f"is not a JSON object. {SAYS}"),
        ({"prompt": [], "answer": "a"}, '"prompt" must be a string or a list of messages'),
        ({"prompt": 5, "answer": "a"}, '"prompt" must be a string or a list of messages'),
        ({"prompt": [{"role": "user"}], "answer": "a"}, '"prompt" must be a string or a list of messages'),
        (
            {"prompt": [{"role": "assistant", "content": "a"}], "answer": "a"},
            '"prompt" must be a string or a list of messages',
        ),
        ({"prompt": "a", "answer": "b", "verifier": "nubmer"}, 'There is no verifier "nubmer".'),
        (
            {"prompt": "a", "answer": "b", "verifier": "number"},
            'verifier "number" cannot judge this: the answer "b" is not a number (docs/problems.md).',
        ),
        ({"prompt": "a", "answer": "b", "data": 5}, '"data" must be an object'),
        (
            {"prompt": "a", "verifier": "code", "data": {"cases": ["x"]}},
            'verifier "code" cannot judge this: in "data", x is not an object (docs/problems.md).',
        ),
        (
            {"prompt": "a", "answer": "1", "verifier": "expression"},
            'verifier "expression" cannot judge this: "data" lacks \'numbers\' (docs/problems.md).',
        ),
        (
            {"prompt": "a", "answer": "1", "verifier": "expression", "data": {"numbers": 1, "target": 1}},
            'verifier "expression" cannot judge this: ',
        ),
        (
            {"prompt": "a", "answer": "1", "data": {"answer": "2"}},
            'verifier "number" rejects the file\'s own answer: 1 is not 2.',
        ),
    ],
)
def test_errors_name_file_and_line(tmp_path, line, message):
    with pytest.raises(UserError) as error:
        read(tmp_path, {"prompt": "fine", "answer": "1"}, "", line)
    assert str(error.value).startswith(f"{tmp_path / 'mine.jsonl'} line 3: ")
    assert message in str(error.value)


def test_a_misspelt_field_gets_a_hint(tmp_path):
    with pytest.raises(UserError) as error:
        read(tmp_path, {"prompt": "a", "anwser": "b"})
    assert error.value.hint == 'Is "anwser" meant?'


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match=r"none\.jsonl: No such file"):
        read_problems(tmp_path / "none.jsonl")
    with pytest.raises(UserError, match="holds no problems"):
        read(tmp_path, "", "  ")
    packed = bytearray(gzip.compress(b'{"prompt": "a", "answer": "1"}' * 99))
    packed[12] ^= 255
    (tmp_path / "torn.jsonl.gz").write_bytes(packed)
    with pytest.raises(UserError, match=r"torn\.jsonl\.gz: "):
        read_problems(tmp_path / "torn.jsonl.gz")
    (tmp_path / "latin.jsonl").write_bytes('{"prompt": "é"}'.encode("latin-1"))
    with pytest.raises(UserError, match="is not UTF-8"):
        read_problems(tmp_path / "latin.jsonl")


def test_a_byte_order_mark_does_not_matter(tmp_path):
    (tmp_path / "bom.jsonl").write_text('{"prompt": "a", "answer": "b"}\r\n', encoding="utf-8-sig")
    assert len(read_problems(tmp_path / "bom.jsonl")) == 1


words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
messages = st.builds(Message, st.sampled_from(["system", "assistant"]), words, st.none() | words)
prompts = st.builds(lambda before, last: (*before, Message("user", last)), st.lists(messages, max_size=2), words)
answers = st.sampled_from(["Rome", "a b", "ß", "né", "42"])


@given(st.lists(st.tuples(prompts, answers, st.none() | words, words, words), min_size=1, max_size=5))
def test_what_is_written_is_read_back(tmp_path_factory, cases):
    problems = [
        Problem(
            f"{index:016x}",
            prompt,
            "text",
            {"answer": answer},
            domain,
            task,
            Worked(reasoning, answer) if reasoning else None,
        )
        for index, (prompt, answer, reasoning, domain, task) in enumerate(cases)
    ]
    path = tmp_path_factory.mktemp("problems") / "problems.jsonl"
    write_problems(path, problems)
    again = read_problems(path)
    assert again == problems
    assert [p.worked for p in again] == [p.worked for p in problems]
