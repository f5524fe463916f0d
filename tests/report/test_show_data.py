import json

import pytest

from underdog.errors import UserError
from underdog.model.weights import save_pretrained
from underdog.report.show_data import show_data


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.jsonl"
    rows = [{"prompt": "2 + 2?", "completion": "<think>two and two</think>4"}, {"prompt": "?"}]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_what_is_trained_stands_out_and_bad_rows_are_named(mine, tiny, tokenizer, tmp_path, capsys):
    save_pretrained(tiny(vocabulary=tokenizer.vocabulary), tokenizer, tmp_path / "model")
    show_data(mine, tmp_path / "model", 3)
    shown = capsys.readouterr().out
    assert "[[<think>two and two</think>4<|im_end|>]]" in shown
    assert "<|im_start|>user\n2 + 2?<|im_end|>" in shown
    assert 'mine.jsonl line 2: "completion" is missing' in shown


def test_a_file_needs_a_model(mine):
    with pytest.raises(UserError, match="its tokens are those of a model"):
        show_data(mine, None, 3)
