"""Completions side by side: each is what it would be alone, and all share the model's passes."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from underdog.errors import UserError
from underdog.generate.batch import BESIDE, CHUNK
from underdog.generate.interface import Drawing, Sampling
from underdog.generate.prefixes import Prefixes
from underdog.generate.structure import Structure
from underdog.generate.torch_engine import TorchEngine

SCHEMA = {"type": "object", "properties": {"city": {"enum": ["Rome", "Oslo"]}, "days": {"type": "integer"}}}
DOCUMENT = [3 + i * 7 % 400 for i in range(150)]


@pytest.fixture
def fresh(model, tokenizer):
    return lambda **settings: TorchEngine(model, tokenizer, **settings)


@pytest.fixture
def passes(model):
    """How many tokens each of the model's passes read."""
    seen = []
    hook = model.register_forward_hook(lambda model, given, result: seen.append(len(given[0])))
    yield seen
    hook.remove()


def kinds(count):
    """Prompts of all lengths, drawn in all ways."""
    for i in range(count):
        sampling = Sampling(0 if i % 3 == 0 else 0.8, max_new_tokens=5 + 7 * (i % 4), seed=i, top_k=0 if i % 2 else 20)
        ways = [
            {},
            {"grammar": Structure.json_schema(SCHEMA).whole()},
            {"alternatives": 2},
            {"frequency_penalty": 1.0, "repetition_penalty": 1.2},
            {"grammar": Structure.choice(["a rather long fixed text", "no"]).whole(), "alternatives": 1},
        ]
        yield DOCUMENT[: 1 + 13 * i % 150], Drawing(sampling, **ways[i % 5])


def said(tokens):
    return [(token.data, token.closes, [one.id for one in token.scored]) for token in tokens if token.count]


@pytest.mark.parametrize("cache", ["full", "int8"])
def test_each_is_what_it_would_be_alone(fresh, cache):
    asked = list(kinds(20))
    alone = [said(fresh(cache=cache).stream(*one)) for one in asked]
    engine = fresh(cache=cache)
    with ThreadPoolExecutor(20) as pool:
        together = list(pool.map(lambda one: said(engine.stream(*one)), asked))
    assert together == alone


def test_who_comes_later_joins(fresh, passes):
    engine = fresh()
    first = engine.stream(DOCUMENT[:9], Drawing(Sampling(0, max_new_tokens=40), bias={7: 100.0}))
    begun = [next(first) for _ in range(5)]
    second = engine.stream(DOCUMENT[9:20], Drawing(Sampling(0, max_new_tokens=30), bias={8: 100.0}))
    assert len(list(second)) == 30
    assert len([*begun, *first]) == 40
    assert len(passes) <= 41  # of the one alone; each of the other's is among them


def test_a_long_prompt_is_read_beside_an_answer(tiny, tokenizer):
    model = tiny(vocabulary=tokenizer.vocabulary, context=2 * CHUNK, layers=1)
    engine, passes = TorchEngine(model, tokenizer), []
    model.register_forward_hook(lambda model, given, result: passes.append(len(given[0])))
    answer = engine.stream([5], Drawing(Sampling(0, max_new_tokens=30), bias={7: 100.0}))
    next(answer)
    prompt = DOCUMENT * 4
    other = engine.stream(prompt, Drawing(Sampling(0, max_new_tokens=1)))
    assert next(other).count == 0  # nothing of it yet: it is being read
    assert passes == [1, BESIDE]  # with the answer's next token
    assert next(answer).count == 1
    other.close()
    assert len(list(answer)) == 28
    assert sum(passes) < 30 + 2 * BESIDE  # nobody read on for who has left


def test_more_than_fit_wait_for_their_turn(fresh):
    engine = fresh(parallel=1)
    first = engine.stream([5], Drawing(Sampling(0, max_new_tokens=20), bias={7: 100.0}))
    next(first)
    second = engine.stream([6], Drawing(Sampling(0, max_new_tokens=2), bias={8: 100.0}))
    next(second)  # which draws the first to its end
    assert engine.read_tokens == 20 + 1 and len(list(first)) == 19
    third = engine.stream([9], Drawing(Sampling(0, max_new_tokens=20), bias={7: 100.0}))
    second.close()
    assert len(list(third)) == 20


def test_an_error_is_one_answers_alone(fresh, monkeypatch):
    engine = fresh()
    good = engine.stream(DOCUMENT[:9], Drawing(Sampling(0, max_new_tokens=10), bias={7: 100.0}))
    bad = engine.stream(DOCUMENT[:5], Drawing(grammar=Structure.json_schema(SCHEMA).whole()))
    next(good)

    def fails(*_):
        raise UserError("too complex")

    monkeypatch.setattr("underdog.generate.guide.Guide.restrict", fails)
    with pytest.raises(UserError, match="too complex"):
        list(bad)
    assert len(list(good)) == 9


def test_options_are_scored_while_an_answer_is_drawn(fresh):
    options = [[7], [7, 8, 9]]
    expected = fresh().score(DOCUMENT, options)
    engine = fresh()
    answer = engine.stream(DOCUMENT[:50], Drawing(Sampling(0, max_new_tokens=10), bias={7: 100.0}))
    begun = next(answer)
    assert engine.score(DOCUMENT, options) == pytest.approx(expected, abs=1e-4)
    assert engine.read_tokens <= len(DOCUMENT) + 1 + 4  # the answer's prompt was not read again
    assert len([begun, *answer]) == 10


def test_a_prompt_of_many_is_read_once(fresh):
    """Eight answers at once behind one document."""
    engine = fresh()
    first = engine.stream([*DOCUMENT, 1], Drawing(Sampling(0, max_new_tokens=30), bias={7: 100.0}))
    next(first)
    others = [engine.stream([*DOCUMENT, 2 + i], Drawing(Sampling(0, max_new_tokens=1))) for i in range(7)]
    assert [len(list(other)) for other in others] == [1] * 7
    assert engine.read_tokens < len(DOCUMENT) + 20 and len(list(first)) == 29


def test_idle_histories_are_kept_within_bounds(model, monkeypatch):
    prefixes = Prefixes(model.config, most=2)
    for start in range(3):
        history = prefixes.take([start], 0)
        history.make_room(64)
        history.ids = [start] * 64
        prefixes.give(history)

    def found(start):
        history = prefixes.take([start] * 64, 63)
        prefixes.give(history)
        return len(history.ids)

    assert [found(2), found(1)] == [63, 63]
    assert found(0) == 0  # the longest idle one had to go
    monkeypatch.setattr("underdog.generate.prefixes.BYTES", 1)
    assert found(1) > 0 and found(2) == 0  # but the last used one stays
