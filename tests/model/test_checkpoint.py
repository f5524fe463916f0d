import json

import pytest
import torch

from underdog.errors import UserError
from underdog.model.checkpoint import open_checkpoint
from underdog.model.weights import save_pretrained


def test_a_folder_and_the_run_that_made_it_are_the_same(tiny, tokenizer, tmp_path):
    model = tiny()
    save_pretrained(model, tokenizer, tmp_path / "run" / "model")
    (tmp_path / "run" / "run.json").write_text(json.dumps({}))
    for path in (tmp_path / "run", tmp_path / "run" / "model"):
        found, theirs = open_checkpoint(path)
        assert torch.equal(found.lm_head.weight, model.lm_head.weight) and theirs.fingerprint == tokenizer.fingerprint


@pytest.mark.parametrize(("name", "says"), [("nothing", "is no checkpoint"), ("no.gguf", "is not a whole GGUF file")])
def test_what_holds_no_model_is_told(name, says, tmp_path):
    (tmp_path / "no.gguf").write_bytes(b"GGUF and nothing more")
    with pytest.raises(UserError, match=says):
        open_checkpoint(tmp_path / name)
