"""What a person watches of rollouts."""

import pytest

from underdog.generate.engine import Completion
from underdog.generate.interface import Ending
from underdog.tokens.messages import Message
from underdog.train.rollouts import Rollout
from underdog.train.watch import HEAD, TAIL, clipped, describe, examples
from underdog.verify.problem import Problem, Verdict


def problem(name, domain="logic"):
    return Problem(name, (Message("system", "Be brief."), Message("user", f"Question {name}?")), "number", {}, domain)


def test_the_summary_of_a_step():
    def rollout(rewards, endings, lengths):
        pairs = zip(endings, lengths, strict=True)
        completions = [Completion([1] * length, [0.0] * length, ending) for ending, length in pairs]
        return Rollout(problem("x"), [1], completions, [Verdict.share(reward, "") for reward in rewards])

    one = rollout([1.0, 0.0], [Ending.STOPPED, Ending.TRUNCATED], [2, 8])
    other = rollout([1.0, 1.0], [Ending.STOPPED, Ending.STOPPED], [4, 2])
    assert describe([one, other], [one]) == {
        "reward": 0.75,
        "solved_once": 1.0,
        "kept": 0.5,
        "length": 4.0,
        "truncated": 0.25,
        "length_right": 8 / 3,
        "length_wrong": 8.0,
        "verifier_timed_out": 0,
        "verifier_crashed": 0,
    }


def test_the_summary_tells_domains_apart():
    def rollout(domain, rewards):
        completions = [Completion([1], [0.0], Ending.STOPPED) for _ in rewards]
        return Rollout(problem("x", domain), [1], completions, [Verdict.share(reward, "") for reward in rewards])

    summary = describe([rollout("code", [1.0, 0.5]), rollout("logic", [0.0, 0.0]), rollout("code", [0.0, 0.5])], [])
    assert (summary["reward_code"], summary["reward_logic"]) == (0.5, 0.0)
    assert "reward_logic" not in describe([rollout("logic", [0.0])], [])


@pytest.fixture
def rolled(tokenizer):
    """Rewards -> the answers "0", "1", … to a problem, judged so."""

    def make(name, rewards):
        completions = [
            Completion(tokenizer.encode(f"answer {number}"), [0.0], Ending.STOPPED) for number in range(len(rewards))
        ]
        return Rollout(problem(name), [1], completions, [Verdict.share(reward, f"{reward}!") for reward in rewards])

    return make


def test_groups_that_teach_are_shown_first_with_their_best_and_worst_answer(rolled, tokenizer):
    rewards = {"a": [0.0, 0.0], "b": [0.5, 0.5, 1.0, 0.0], "c": [0.0, 1.0], "d": [1.0, 0.0]}
    shown = examples([rolled(name, earned) for name, earned in rewards.items()], tokenizer)
    assert [group["problem"] for group in shown] == ["b", "c"]
    assert [answer["text"] for answer in shown[0]["answers"]] == ["answer 2", "answer 3", "answer 0"]
    assert shown[0]["prompt"] == "Question b?" and shown[0]["rewards"] == [0.5, 0.5, 1.0, 0.0]
    best = shown[1]["answers"][0]
    assert (best["reward"], best["outcome"], best["verdict"]) == (1.0, "right", "1.0!")
    assert best["tokens"] == len(tokenizer.encode("answer 1"))


def test_where_all_answers_earn_the_same_some_are_shown_all_the_same(rolled, tokenizer):
    (group,) = examples([rolled("a", [0.0] * 8)], tokenizer)
    assert [answer["text"] for answer in group["answers"]] == ["answer 0", "answer 1", "answer 2"]


def test_a_long_text_loses_its_middle(rolled):
    assert clipped("x" * (HEAD + TAIL)) == "x" * (HEAD + TAIL)
    text = "a" * HEAD + "b" * 1234 + "c" * TAIL
    assert clipped(text) == "a" * HEAD + " … (1,234 characters) … " + "c" * TAIL
