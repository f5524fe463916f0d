import json
from types import SimpleNamespace

import pytest

from underdog.report.samples import LONGEST, SHOWN, choose


@pytest.fixture
def looks(tmp_path):
    """Stage -> {problem: (greedy text, greedy reward)} as evaluations."""

    def make(**stages):
        artifacts = {}
        for stage, answers in stages.items():
            folder = tmp_path / stage
            folder.mkdir()
            with (folder / "samples.jsonl").open("w") as file:
                for problem, (text, reward) in answers.items():
                    record = {"problem": problem, "task": "t", "prompt": f"prompt of {problem}", "greedy": text}
                    record |= {"verdict": "v", "greedy_reward": reward, "sampled_rewards": [1.0, reward, 0.5]}
                    file.write(json.dumps(record) + "\n")
            artifacts[f"evaluate-{stage}"] = SimpleNamespace(path=folder)
        return artifacts

    return make


def test_first_of_each_kind_by_problem_id(looks):
    pairs = {f"{kind}{i}": (kind, i) for kind in ("won", "lost", "wrong", "right") for i in range(5)}
    shuffled = sorted(pairs, key=lambda name: name[::-1], reverse=True)
    before = {name: ("1", float(pairs[name][0] in ("lost", "right"))) for name in shuffled}
    after = {name: ("2", float(pairs[name][0] in ("won", "right"))) for name in shuffled}
    found = choose(looks(sft=before, reinforce=after))
    assert found.counts == {"won": 5, "lost": 5, "wrong": 5, "right": 5}
    expected = [f"prompt of {kind}{i}" for kind, most in SHOWN.items() for i in range(most)]
    assert [sample.prompt for sample in found.chosen] == expected
    assert [stage for stage, _ in found.stages] == ["sft", "reinforce"]
    assert [(one.right, one.answer) for one in found.chosen[0].answers] == [(False, "1"), (True, "2")]


def test_answers_are_taken_apart(looks):
    long = "x" * (LONGEST + 7)
    answers = {"a": ("<think>1+1=2</think>2", 1.0), "b": ("<think>never closed", 0.0), "c": (long, 0.0)}
    found = choose(looks(sft=answers))
    by_prompt = {sample.prompt[-1]: sample.answers[0] for sample in found.chosen}
    assert (by_prompt["a"].reasoning, by_prompt["a"].answer) == ("1+1=2", "2")
    assert (by_prompt["b"].reasoning, by_prompt["b"].answer) == ("never closed", "")
    assert by_prompt["c"].answer == "x" * LONGEST + " … (7 more characters)"
    assert by_prompt["a"].sampled == "2 of 3 samples right"  # half a reward is not a right answer


def test_only_problems_that_both_stages_answered(looks):
    found = choose(looks(sft={"a": ("1", 1.0), "b": ("1", 1.0)}, reinforce={"b": ("1", 1.0)}))
    assert sum(found.counts.values()) == 1


def test_nothing_to_show():
    assert choose({}) is None
