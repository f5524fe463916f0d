import pytest
import tokenizers
from tokenizers import AddedToken
from typer.testing import CliRunner

from underdog.cli import app
from underdog.errors import UserError
from underdog.model.weights import save_pretrained
from underdog.tokens.infill import MARKS
from underdog.tokens.tokenizer import Tokenizer


@pytest.fixture
def coder(tokenizer, tiny, tmp_path):
    core = tokenizers.Tokenizer.from_str(tokenizer.core.to_str())
    core.add_special_tokens([AddedToken(mark, special=True) for mark in MARKS["DeepSeek-Coder"]])
    marked = Tokenizer(core)
    save_pretrained(tiny(vocabulary=marked.vocabulary), marked, tmp_path / "coder")
    return tmp_path / "coder"


def complete(model, text, *words):
    done = CliRunner().invoke(app, ["complete", str(model), "-", *words], input=text, catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def test_a_text_goes_on_and_a_gap_is_filled(coder):
    words = ("--max-tokens", "6")
    texts = {complete(coder, text, *words) for text in ("a = ", "a = <FILL>\nb", "a = <FILL>\nc")}
    assert len(texts) == 3
    assert complete(coder, "a = @@\nb", *words, "--here", "@@") == complete(coder, "a = <FILL>\nb", *words)


def test_two_gaps_are_one_too_many(coder):
    with pytest.raises(UserError, match="2 gaps"):
        complete(coder, "<FILL> and <FILL>")
