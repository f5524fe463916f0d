import json
from dataclasses import dataclass, field

import pytest

from underdog.artifacts.store import Draft
from underdog.errors import UserError
from underdog.stages.problems import problems
from underdog.verify.oracle import oracle
from underdog.verify.problem_files import read_problems
from underdog.verify.registry import verify
from underdog.verify.splits import SPLITS

pytest.importorskip("reasoning_gym")


@dataclass
class Settings:
    tasks: list[str] = field(default_factory=lambda: ["gcd", "number_sorting"])
    difficulty: dict[str, dict] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    demonstrations: int = 30
    train: int = 60
    validation: int = 10
    test: int = 20


def run(path, settings, seed=1):
    path.mkdir()
    draft = Draft(path)
    draft.on_progress = lambda done, total, note: seen.append((done, total))
    seen = []
    problems(settings, seed, draft)
    return draft, {name: read_problems(path / f"{name}.jsonl") for name in SPLITS}, seen


def test_four_files_without_overlap_and_what_is_in_them(tmp_path):
    draft, splits, progress = run(tmp_path / "a", Settings())
    assert [len(splits[name]) for name in SPLITS] == [30, 60, 10, 20]
    everything = [problem for members in splits.values() for problem in members]
    assert len({problem.id for problem in everything}) == 120
    assert all(verify(problem, oracle(problem)).reward == 1 for problem in everything)
    assert draft.metrics["counts"] == {
        name: {"demonstrations": 15, "train": 30, "validation": 5, "test": 10} for name in ("gcd", "number_sorting")
    }
    assert set(draft.metrics["set_aside"]) == set(draft.metrics["chance"]) == {"gcd", "number_sorting"}
    assert draft.metrics["chance"]["number_sorting"] == 0 < draft.metrics["chance"]["gcd"] < 1
    assert set(draft.metrics["examples"]["gcd"]) == {"prompt", "reasoning", "answer"}
    json.dumps(draft.metrics)
    assert progress and all(0 <= done <= total == 120 for done, total in progress)


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        run(tmp_path / folder, Settings(), seed)
    for name in SPLITS:
        first, same, other = ((tmp_path / folder / f"{name}.jsonl").read_bytes() for folder in "abc")
        assert first == same != other


def test_users_files_join_in(tmp_path):
    mine = tmp_path / "mine.jsonl"
    lines = [{"prompt": f"{n} + 1?", "answer": str(n + 1)} for n in range(40)]
    mine.write_text("".join(json.dumps(line) + "\n" for line in lines + lines[:5]))
    draft, splits, _ = run(tmp_path / "a", Settings(files=[str(mine)]))
    assert {problem.task for problem in splits["demonstrations"]} == {"gcd", "number_sorting"}
    assert {problem.task for problem in splits["test"]} == {"gcd", "number_sorting", "mine"}
    assert draft.metrics["without_reasoning"] == {str(mine): 45}
    assert draft.metrics["set_aside"][str(mine)] == 5
    assert draft.metrics["examples"]["mine"]["reasoning"] is None


def test_mistakes_are_found_before_any_work(tmp_path):
    with pytest.raises(UserError, match='no task "gdc"') as error:
        run(tmp_path / "a", Settings(tasks=["chain_sum", "gdc"]))
    assert error.value.hint == 'Did you mean "gcd"?'
    with pytest.raises(UserError, match="neither tasks nor files"):
        run(tmp_path / "b", Settings(tasks=[]))


def test_too_few_problems(tmp_path):
    with pytest.raises(
        UserError, match=r'Task "count_bits" has only about 2,0\d\d distinct problems; 2,500 are needed'
    ):
        run(tmp_path / "a", Settings(tasks=["count_bits"], train=2440))


def test_published_rows_that_cannot_be_judged_are_set_aside_by_line(tmp_path):
    pytest.importorskip("math_verify")
    rows = [{"question": f"What is {n} + {n}?", "answer": f"{n}+{n}={2 * n}\n#### {2 * n}"} for n in range(40)]
    rows[7]["answer"] = "fourteen"
    path = tmp_path / "sums.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = Settings([], files=[str(path)], demonstrations=10, train=20, validation=2, test=5)
    draft, splits, _ = run(tmp_path / "out", settings)
    assert draft.metrics["rejected"] == {str(path): 1}
    (rejected,) = map(json.loads, (tmp_path / "out" / "rejects.jsonl").read_text().splitlines())
    assert rejected == {"file": str(path), "line": 8, "why": '"answer" has no #### before the result'}
    assert {problem.verifier for members in splits.values() for problem in members} == {"math"}


def test_tasks_without_solvers_give_all_but_demonstrations(tmp_path):
    settings = Settings(["gcd", "spell_backward"], {"spell_backward": {"min_word_len": 4, "max_word_len": 4}})
    draft, splits, _ = run(tmp_path / "out", settings)
    assert draft.metrics["counts"]["spell_backward"].get("demonstrations") is None
    assert draft.metrics["counts"]["gcd"]["demonstrations"] == 30
    words = [p.data["entry"]["answer"] for p in splits["train"] if p.task == "spell_backward"]
    assert words and {len(word) for word in words} == {4}


def test_a_difficulty_for_no_task_is_a_mistake(tmp_path):
    with pytest.raises(UserError, match='"gdc", which is not among') as error:
        run(tmp_path / "out", Settings(["gcd"], {"gdc": {"max_value": 9}}))
    assert error.value.hint == 'Did you mean "gcd"?'
