import random

import pytest

from underdog.recipe.schema import Optimizer
from underdog.tokens.shards import Shard, write_shard
from underdog.train.batch import Example, collate
from underdog.train.objectives import next_token
from underdog.train.trainer import Trainer
from underdog.train.validation import HeldOut, _pieces, continuations, held_out_loss


def test_the_loss_on_held_out_text_is_the_mean_over_its_tokens(tmp_path, tiny):
    model, document = tiny(vocabulary=400), list(range(65))
    write_shard(tmp_path, "held-out", [document], 400)
    rows = collate([Example(document[low : low + 33], [True] * 33) for low in (0, 32)])
    expected = next_token(model, rows).loss["cross_entropy"].item() / 64
    assert held_out_loss(model, Shard(tmp_path, "held-out"), context=32) == pytest.approx(expected, rel=1e-5)


def test_a_document_predicts_nothing_of_the_next(tmp_path, tiny):
    model, documents = tiny(vocabulary=400), [list(range(16)), list(range(100, 116)), [7]]
    write_shard(tmp_path, "held-out", documents, 400)
    found = held_out_loss(model, Shard(tmp_path, "held-out"), context=16)
    losses = [next_token(model, collate([Example(one, [True] * 16)])).loss["cross_entropy"] for one in documents[:2]]
    assert found == pytest.approx(sum(losses).item() / 30, rel=1e-5)


def test_each_tier_has_a_loss_of_its_own(tmp_path, tiny):
    model = tiny(vocabulary=400)
    documents = {"held-out": [list(range(80))], "held-out-top": [list(range(40))], "held-out-high": [[5] * 40]}
    tokens = {name: write_shard(tmp_path, name, one, 400, tokenizer="t") for name, one in documents.items()}
    good, by_tier = HeldOut(tmp_path, {**tokens, "held-out-medium": 0, "top": 9}, "t").losses(model, 16)
    assert list(by_tier) == ["top", "high"]
    assert good == held_out_loss(model, Shard(tmp_path, "held-out"), 16)
    assert by_tier["high"] == held_out_loss(model, Shard(tmp_path, "held-out-high"), 16)


def test_others_are_of_other_documents(tmp_path):
    """Token = document: 200, 150, 100, 70, 64 and 63 tokens long."""
    lengths = [200, 150, 130, 130, 64, 63]
    write_shard(tmp_path, "held-out", [[one] * length for one, length in enumerate(lengths)], 400)
    pieces, others = _pieces(Shard(tmp_path, "held-out"), choices=4, most=100)
    documents = pieces[:, 0]
    assert pieces.shape[1] == 64 and (pieces == documents[:, None]).all()
    assert documents.tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3]  # the third round has one document: too few
    assert others[0].tolist() == list(range(9))
    for text, choices in enumerate(others.T):
        assert len(set(documents[choices])) == 4 and documents[choices[0]] == documents[text]
    assert len(_pieces(Shard(tmp_path, "held-out"), choices=4, most=5)[0]) == 5


def test_a_model_that_knows_its_texts_finds_their_continuations(tmp_path, tiny):
    source = random.Random(3)
    documents = [[word] * 64 for word in source.sample(range(400), 24)]  # who copies, knows
    write_shard(tmp_path, "held-out", documents, 400)
    shard = Shard(tmp_path, "held-out")
    model = tiny(vocabulary=400, width=32, heads=2, kv_heads=1, ffn=48).initialise(1)
    untaught, texts = continuations(model, shard)
    trainer = Trainer(model, Optimizer(kind="muon", weight_decay=0.0), next_token)
    batch = collate([Example(one[:33], [True] * 33) for one in documents])
    for _ in range(30):
        trainer.update([batch], 2e-2)
    taught, _ = continuations(model, shard)
    assert texts == 24 and taught > max(0.9, untaught)


def test_without_long_texts_there_is_nothing_to_ask(tmp_path, tiny):
    write_shard(tmp_path, "held-out", [[1] * 63] * 9, 400)
    assert continuations(tiny(vocabulary=400), Shard(tmp_path, "held-out")) == (0.0, 0)
