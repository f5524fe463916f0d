import json

import pytest

from underdog.errors import UserError
from underdog.recipe.teaching import Sft
from underdog.train.taught import read_taught

SHOT = [{"role": "user", "content": "0 + 1?"}, {"role": "assistant", "content": "1"}]


@pytest.fixture
def mine(tmp_path):
    """Two files of conversations."""
    for name, answers in (("a", ["one", "two"]), ("b", ["<think>well</think>three", "x" * 300])):
        rows = ({"prompt": "Say it.", "completion": answer} for answer in answers)
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


def said(row, tokenizer):
    return tokenizer.decode([token for token, produced in zip(row.ids, row.mask, strict=True) if produced])


def test_files_are_found_by_pattern_and_are_domains(mine, tokenizer):
    taught = read_taught(Sft(data=[str(mine / "*.jsonl")]), tokenizer, 100, mine)
    assert {name: [said(row, tokenizer) for row in rows] for name, rows in taught.domains.items()} == {
        "a": ["one", "two"],
        "b": ["<think>well</think>three"],
    }
    (aside,) = taught.aside
    assert aside.where.endswith("b.jsonl line 2") and "context holds 100" in aside.reason


def test_answers_alone(mine, tokenizer):
    taught = read_taught(Sft(data=[str(mine / "b.jsonl")], reasoning=False), tokenizer, 100, mine)
    assert [said(row, tokenizer) for row in taught.domains["b"]] == ["three"]


def test_a_turn_that_was_reasoning_alone_is_not_taught_without_it(mine, tokenizer):
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "reasoning_content": "well"}]
    rows = [turns, [*turns, turns[0], {"role": "assistant", "content": "four"}]]
    (mine / "c.jsonl").write_text("\n".join(json.dumps({"messages": row}) for row in rows))
    taught = read_taught(Sft(data=[str(mine / "c.jsonl")], reasoning=False), tokenizer, 100, mine)
    assert [said(row, tokenizer) for row in taught.domains["c"]] == ["four"]
    assert "none of its turns" in taught.aside[0].reason


def test_training_problems_are_taught_by_their_answers_alone(mine, tokenizer):
    rows = [
        {"prompt": "1 + 1?", "answer": "2", "reasoning": "one and one"},
        {"prompt": [*SHOT, {"role": "user", "content": "2 + 2?"}], "answer": "4"},
        {"prompt": "Sing.", "verifier": "code", "data": {"tests": ["sing()"]}},
    ]
    (mine / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    taught = read_taught(Sft(data=["train"]), tokenizer, 100, mine)
    assert [said(row, tokenizer) for row in taught.domains["train"]] == ["2", "4"]
    (aside,) = taught.aside
    assert "no right answer is written down" in aside.reason


def test_nothing_to_learn_from(mine, tokenizer):
    with pytest.raises(UserError, match=r"no rows to learn from.*line 1"):
        read_taught(Sft(data=[str(mine / "a.jsonl")]), tokenizer, 3, mine)
