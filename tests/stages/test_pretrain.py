import pytest
import torch

from underdog.errors import UserError
from underdog.model.weights import load_pretrained
from underdog.stages.pretrain import held_out_loss, pretrain
from underdog.tokens.phases import Schedule
from underdog.tokens.shards import Shard, write_shard
from underdog.train.batch import Example, collate
from underdog.train.objectives import next_token

PHASES = ["warm-up", "stable", "decay"]


def weights(artifact):
    return torch.cat([weight.flatten() for weight in load_pretrained(artifact.path).parameters()]).detach()


def test_it_writes_a_checkpoint_and_what_was_seen(made):
    artifact, recipe = made.artifacts["pretrain"], made.recipe
    schedule = Schedule(recipe.pretrain, recipe.model.context, recipe.model.rope_base)
    model = load_pretrained(artifact.path)
    assert artifact.metrics["parameters"] == model.parameter_count()
    assert artifact.metrics["tokens"] == schedule.tokens
    assert artifact.metrics["tokens_by_source"] == schedule.used
    assert list(artifact.metrics["held_out_loss"]) == PHASES
    log = [record for record in artifact.log() if "loss" in record]
    assert [record["step"] for record in log] == list(range(schedule.steps))
    assert [record["lr"] for record in log] == [schedule.at(step).lr for step in range(schedule.steps)]
    assert [record["tokens"] for record in log] == [512 * (step + 1) for step in range(schedule.steps)]
    assert log[-1]["loss"] < log[0]["loss"] - 0.5
    held_out = [record for record in artifact.log() if "held_out" in record]
    assert {record["phase"]: record["held_out"] for record in held_out} == artifact.metrics["held_out_loss"]


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


def test_seeds_and_nothing_else_change_the_weights(made, make):
    recipe, data = made.recipe, made.artifacts["tokenize"]
    settings = recipe.pretrain.model_copy(update={"tokens": 2560, "epochs": 1000})
    one, same, other = (make(pretrain, settings, recipe.model, seed, data) for seed in (1, 1, 2))
    assert torch.equal(weights(one), weights(same))
    assert not torch.equal(weights(one), weights(other))


@pytest.mark.parametrize(
    ("update", "says"),
    [
        ({"epochs": 0.1}, r"Pretraining would read .* times"),
        ({"batch_tokens": 100}, "sequences of 128 tokens in batches of 100"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_before_it_starts(made, make, update, says):
    settings = made.recipe.pretrain.model_copy(update=update)
    with pytest.raises(UserError, match=says):
        make(pretrain, settings, made.recipe.model, 1, made.artifacts["tokenize"])
