"""A small environment in the interface of the `verifiers` library (v0.1 to v0.3: SingleTurnEnv, Rubric, XMLParser)."""

import pytest

from underdog.errors import UserError
from underdog.verify.problem import Outcome
from underdog.verify.problem_files import load_problems, read_problems, write_problems
from underdog.verify.registry import verify

ENVIRONMENT = """
import os, time

class Parser:
    def parse_answer(self, completion):
        return completion[-1]["content"].split("=")[-1].strip()

def correct(parser, completion, answer, state):
    assert state["answer"] == answer
    if "hang" in completion[-1]["content"]: time.sleep(99)
    if "die" in completion[-1]["content"]: os._exit(1)
    return 1.0 if parser.parse_answer(completion) == answer else 0.0

async def brief(completion, info, **kwargs):
    return float(len(completion[-1]["content"]) < info["most"])

class Rubric:
    def __init__(self, funcs, weights, parser):
        self.funcs, self.weights, self.parser = funcs, weights, parser

class SingleTurnEnv:
    max_turns = 1
    system_prompt = "Be brief."
    def __init__(self, rows, rubric):
        self.dataset, self.rubric, self.parser = rows, rubric, rubric.parser

def load_environment(**kwargs):
    rows = [{"question": f"{n}+{n}?", "answer": str(2 * n), "info": '{"most": 8}', "task": "sums"} for n in (1, 2)]
    return SingleTurnEnv(rows, Rubric([correct, brief], [3.0, 1.0], Parser()))
"""


@pytest.fixture
def problems(tmp_path):
    path = tmp_path / "sums.py"
    path.write_text(ENVIRONMENT)
    return load_problems(path).problems


def test_rows_become_problems(problems, tmp_path):
    assert [message.content for message in problems[1].prompt] == ["Be brief.", "2+2?"]
    assert (problems[0].task, problems[0].domain, problems[0].verifier) == ("sums", "environment", "environment")
    write_problems(tmp_path / "again.jsonl", problems)
    assert read_problems(tmp_path / "again.jsonl") == problems


@pytest.mark.parametrize(
    ("answer", "outcome", "reward", "detail"),
    [
        ("=4", Outcome.RIGHT, 1.0, "correct 1, brief 1"),
        ("two and two = 4", Outcome.WRONG, 0.75, "correct 1, brief 0"),
        ("=5", Outcome.WRONG, 0.25, "correct 0, brief 1"),
        ("die", Outcome.CRASHED, 0.0, "ended on die"),
    ],
)
def test_the_rubric_judges(problems, answer, outcome, reward, detail):
    verdict = verify(problems[1], answer)
    assert (verdict.outcome, verdict.reward) == (outcome, reward)
    assert detail in verdict.detail


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("x = 1", "no load_environment"),
        ("def load_environment(): raise KeyError('data')", "KeyError: 'data'"),
        ("import none_such", "No module named"),
        (ENVIRONMENT.replace("max_turns = 1", "max_turns = 5"), "only those of one turn"),
    ],
)
def test_what_is_no_environment_says_why(tmp_path, code, why):
    (tmp_path / "bad.py").write_text(code)
    with pytest.raises(UserError, match=why):
        load_problems(tmp_path / "bad.py")
