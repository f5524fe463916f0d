import math

import pytest
import torch

from underdog.generate.batch import CHUNK
from underdog.generate.engine import Engine
from underdog.generate.interface import Drawing, Sampling
from underdog.generate.structure import Structure, accepts
from underdog.generate.torch_engine import TorchEngine
from underdog.model.attention import Packed, end_to_end

PROMPT = [5, 9, 17, 33, 9]


@pytest.fixture
def engine(model, tokenizer):
    return TorchEngine(model, tokenizer)


def draw(engine, prompt=PROMPT, **settings):
    sampling = {name: settings.pop(name) for name in list(settings) if name in Sampling.__dataclass_fields__}
    return list(engine.stream(prompt, Drawing(Sampling(**{"max_new_tokens": 12, **sampling}), **settings)))


def text(tokens):
    return b"".join(token.data for token in tokens).decode()


def logits(model, ids):
    """[N, V], everything read at once."""
    with torch.inference_mode():
        return model.logits(model(torch.tensor(ids), Packed(end_to_end([len(ids)]))))


def test_greedy_is_what_the_batch_engine_draws(engine, model, tokenizer):
    ((whole,),) = Engine(model, tokenizer.turn_end).generate([PROMPT], Sampling(0, max_new_tokens=30))
    drawn = [
        token.scored[0].id for token in draw(engine, temperature=0, max_new_tokens=30, alternatives=0) if token.scored
    ]
    assert drawn == [token for token in whole.ids if token not in tokenizer.stops]


def test_a_second_question_reads_only_what_is_new(engine):
    document = [3 + i * 7 % 400 for i in range(200)]
    draw(engine, [*document, 7, 8], max_new_tokens=3)
    before = engine.read_tokens
    (again,) = draw(engine, [*document, 11], temperature=0, max_new_tokens=1)
    assert engine.read_tokens - before == 1 and again.cached == len(document)
    fresh = TorchEngine(engine.model, engine._tokenizer)
    (alone,) = draw(fresh, [*document, 11], temperature=0, max_new_tokens=1)
    assert again.data == alone.data and alone.cached == 0


def test_log_probabilities_are_the_models_own(engine, model):
    tokens = draw(engine, temperature=0.7, top_k=5, alternatives=3, seed=4)
    ids = list(PROMPT)
    for token in tokens:
        if token.closes:
            break
        expected = logits(model, ids)[-1].log_softmax(-1)
        (scored,), (top,) = token.scored, token.top
        assert scored.logprob == pytest.approx(float(expected[scored.id]), abs=1e-4)
        assert [one.id for one in top] == expected.topk(3).indices.tolist()
        ids.append(scored.id)


def test_equal_seeds_give_equal_answers_and_others_do_not(engine):
    first, again, other = ([token.data for token in draw(engine, seed=seed)] for seed in (1, 1, 2))
    assert first == again != other


def test_bias_and_penalties_move_the_choice(engine, model):
    (likeliest, *_) = draw(engine, temperature=0, alternatives=0, max_new_tokens=1)
    best = likeliest.scored[0].id
    (other, *_) = draw(engine, temperature=0, alternatives=0, max_new_tokens=1, bias={best: -100.0})
    assert other.scored[0].id != best
    forced = draw(engine, temperature=0, alternatives=0, max_new_tokens=6, bias={40: 100.0})
    assert {token.scored[0].id for token in forced} == {40}
    # The bias of 100 stands against 2 for having come, and 2 for each time it came: the scores of the others are near.
    spread = draw(engine, temperature=0, alternatives=0, max_new_tokens=8, presence_penalty=2.0, frequency_penalty=2.0)
    plain = draw(engine, temperature=0, alternatives=0, max_new_tokens=8)
    assert distinct(spread) >= distinct(plain)


def distinct(tokens):
    return len({token.scored[0].id for token in tokens if token.scored})


def test_a_repetition_penalty_divides_the_scores_of_what_was_seen(engine, model):
    scores = logits(model, PROMPT)[-1].clone()
    seen = torch.tensor(sorted(set(PROMPT)))
    scores[seen] = torch.where(scores[seen] > 0, scores[seen] / 3, scores[seen] * 3)
    (token, *_) = draw(engine, temperature=0, alternatives=0, max_new_tokens=1, repetition_penalty=3.0)
    assert token.scored[0].id == int(scores.argmax())


def test_min_p_leaves_the_likely_ones(engine, model):
    probabilities = logits(model, PROMPT)[-1].softmax(-1)
    likely = set((probabilities >= 0.5 * probabilities.max()).nonzero().flatten().tolist())
    drawn = {draw(engine, min_p=0.5, alternatives=0, max_new_tokens=1, seed=s)[0].scored[0].id for s in range(20)}
    assert drawn <= likely


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_drawn_under_a_schema_is_of_it(engine, seed):
    schema = {
        "type": "object",
        "properties": {"city": {"enum": ["Rome", "Oslo"]}, "days": {"type": "integer", "minimum": 1, "maximum": 30}},
        "required": ["city", "days"],
        "additionalProperties": False,
    }
    structure = Structure.json_schema(schema)
    tokens = draw(engine, grammar=structure.whole(), max_new_tokens=200, seed=seed)
    assert tokens[-1].closes
    assert accepts(structure, text(tokens))


def test_what_a_grammar_forces_costs_no_pass(engine):
    passes = []
    hook = engine.model.register_forward_hook(lambda model, given, result: passes.append(len(given[0])))
    said = "The only thing that may be said here is this very sentence."
    tokens = draw(engine, grammar=Structure.choice([said]).whole(), max_new_tokens=100)
    hook.remove()
    assert text(tokens) == said
    assert len(passes) == 1 and sum(token.count for token in tokens) > 10


def test_forced_tokens_have_their_log_probabilities_too(engine, model, tokenizer):
    tokens = draw(engine, grammar=Structure.choice(["fixed text"]).whole(), alternatives=1, max_new_tokens=50)
    ids = list(PROMPT)
    for token in tokens[:-1]:
        expected = float(logits(model, ids)[-1].log_softmax(-1)[token.scored[0].id])
        assert token.scored[0].logprob == pytest.approx(expected, abs=1e-4)
        ids.append(token.scored[0].id)


def test_a_limit_holds_for_forced_tokens(engine):
    tokens = draw(engine, grammar=Structure.choice(["one two three four five"]).whole(), max_new_tokens=4)
    assert sum(token.count for token in tokens) == 4


def test_options_are_scored_as_if_each_stood_alone(engine, model):
    options = [[7], [7, 8, 9], [100, 200]]
    expected = []
    for option in options:
        logprobs = logits(model, PROMPT + option).log_softmax(-1)
        expected.append(sum(float(logprobs[len(PROMPT) - 1 + i, token]) for i, token in enumerate(option)))
    assert engine.score(PROMPT, options) == pytest.approx(expected, abs=1e-3)
    assert engine.score(PROMPT, options) == pytest.approx(expected, abs=1e-3)  # and leaves no trace


def test_a_text_embeds_alike_whatever_came_before(engine):
    (alone,) = engine.embed([[5, 6, 7]])
    first, second = engine.embed([[9] * 20, [5, 6, 7]])
    assert second == pytest.approx(alone, abs=1e-5)
    assert math.hypot(*first) == pytest.approx(1, abs=1e-5)


def test_a_prompt_longer_than_a_chunk(tiny, tokenizer):
    model = tiny(vocabulary=tokenizer.vocabulary, context=2 * CHUNK, layers=1)
    ids = [3 + i * 7 % 400 for i in range(CHUNK + 40)]
    read, first = draw(TorchEngine(model, tokenizer), ids, temperature=0, alternatives=0, max_new_tokens=1)
    assert (read.data, read.count) == (b"", 0)  # a sign of life
    assert first.scored[0].id == int(logits(model, ids)[-1].argmax())
