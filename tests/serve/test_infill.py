"""The field `suffix` of /v1/completions, and the command that fills a gap."""

import httpx
import pytest
import tokenizers
from tokenizers import AddedToken

from underdog.generate.chat import TemplateChat
from underdog.generate.session import Served
from underdog.generate.torch_engine import TorchEngine
from underdog.tokens.infill import MARKS
from underdog.tokens.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def coder(tokenizer, tiny) -> Served:
    """A model of random weights whose tokenizer has StarCoder's marks."""
    core = tokenizers.Tokenizer.from_str(tokenizer.core.to_str())
    core.add_special_tokens([AddedToken(mark, special=True) for mark in MARKS["StarCoder"]])
    marked = Tokenizer(core)
    return Served("coder", TorchEngine(tiny(vocabulary=marked.vocabulary), marked), TemplateChat(marked))


def test_what_stands_behind_the_gap_counts(coder, serving):
    ask = {"model": "coder", "prompt": "a = ", "max_tokens": 8, "temperature": 0}
    with serving(coder) as (url, _):
        texts = [
            httpx.post(f"{url}/v1/completions", json={**ask, **more}, timeout=60).json()["choices"][0]["text"]
            for more in ({}, {"suffix": "\nprint(a)"}, {"suffix": "\nreturn b"}, {"suffix": None})
        ]
    assert texts[0] == texts[3] and len({*texts}) == 3


def test_a_model_that_fills_no_gaps_says_so(api):
    answer = httpx.post(f"{api}/v1/completions", json={"model": "tiny", "prompt": "a", "suffix": "b"}, timeout=60)
    assert answer.status_code == 400 and answer.json()["error"]["param"] == "suffix"
    assert "no tokens for a gap" in answer.json()["error"]["message"]
