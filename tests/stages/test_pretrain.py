import shutil

import pytest
import torch

from underdog.artifacts.store import Artifact, Store
from underdog.errors import UserError
from underdog.model.decoder import Decoder
from underdog.model.weights import load_pretrained
from underdog.recipe.schema import Phase, Spikes
from underdog.report.show_plan import show_plan
from underdog.stages.pipeline import already_made
from underdog.stages.pretrain import pretrain
from underdog.stages.tokenize import tokenize
from underdog.tokens.phases import Schedule
from underdog.tokens.shards import Shard
from underdog.tokens.tokenizer import Tokenizer
from underdog.train.trainer import Trainer

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
    assert set(artifact.metrics["held_out_by_tier"]["decay"]) <= {"top", "high"}
    assert 0 <= artifact.metrics["continuations"]["accuracy"] <= 1 and artifact.metrics["skipped_steps"] == 0
    held_out = [record for record in artifact.log() if "held_out" in record]
    assert {record["phase"]: record["held_out"] for record in held_out} == artifact.metrics["held_out_loss"]


def test_the_share_that_is_held_out_is_the_recipes(made, make):
    settings = made.recipe.tokenizer.model_copy(update={"held_out_share": 0.3})
    few = made.artifacts["tokenize"]
    many = make(tokenize, settings, made.artifacts["curate"], made.artifacts["problems"])
    good = sum(Shard(many.path, name).documents for name in ("top", "high", "held-out"))
    assert 0.2 < Shard(many.path, "held-out").documents / good < 0.4
    assert set(held_out_texts(few)) < set(held_out_texts(many))  # whoever asks for more keeps what there was


def held_out_texts(artifact):
    tokenizer, shard = Tokenizer.load(artifact.path), Shard(artifact.path, "held-out")
    return [tokenizer.decode(shard.read(one, 0, 10_000).tolist()) for one in range(shard.documents)]


def test_seeds_and_nothing_else_change_the_weights(made, make):
    recipe, data = made.recipe, made.artifacts["tokenize"]
    settings = recipe.pretrain.model_copy(update={"tokens": 2560, "epochs": 1000})
    one, same, other = (make(pretrain, settings, recipe.model, seed, data) for seed in (1, 1, 2))
    assert torch.equal(weights(one), weights(same))
    assert not torch.equal(weights(one), weights(other))


@pytest.mark.parametrize(
    ("update", "says"),
    [
        ({"epochs": 0.1}, r'Phase ".*" asks for .* epochs of "\w+" by its end'),
        ({"epochs_of": {"high": 0.1}}, r'asks for .* epochs of "high" by its end'),
        ({"batch_tokens": 100}, "sequences of 128 tokens in batches of 100"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_before_it_starts(made, make, update, says):
    settings = made.recipe.pretrain.model_copy(update=update)
    with pytest.raises(UserError, match=says):
        make(pretrain, settings, made.recipe.model, 1, made.artifacts["tokenize"])


@pytest.fixture
def train(made, make):
    """Overrides of the small recipe's pretraining -> the artifact."""

    def build(**updates):
        settings = made.recipe.pretrain.model_copy(update={"tokens": 2560, "epochs": 1000, **updates})
        return make(pretrain, settings, made.recipe.model, 1, made.artifacts["tokenize"])

    return build


def test_mixture_length_and_batch_change_on_the_exact_token(train, made, monkeypatch):
    """Three phases of their own tokens, sequences and batches, in one process; sources of text as well as tiers."""
    seen = []

    def look(self, parts, lr, accept):
        seen.append((sum(part.tokens for part in parts), self.model.config.rope_base))
        return update(self, parts, lr, accept)

    update = Trainer.update
    monkeypatch.setattr(Trainer, "update", look)
    (texts,) = made.recipe.curate.sources
    common = {"lr": 1e-3, "mix": {"top": 0.5, "arithmetic": 0.5}}
    phases = [
        Phase(name="short", tokens=700, context=32, batch_tokens=64, **common),
        Phase(name="long", tokens=1024, context=128, batch_tokens=512, rope_base=5e5, **common),
        Phase(name="last", tokens=640, context=64, batch_tokens=128, lr=1e-3, mix={texts: 0.5, f"top/{texts}": 0.5}),
    ]
    artifact = train(preset="own", phase=phases)
    assert seen == [(64, 1e4)] * 11 + [(512, 5e5)] * 2 + [(128, 5e5)] * 5
    log = [record for record in artifact.log() if "loss" in record]
    ends = {record["phase"]: record["tokens"] for record in log}
    assert ends == {"short": 704, "long": 704 + 1024, "last": 704 + 1024 + 640}
    assert load_pretrained(artifact.path).config.rope_base == 5e5
    assert artifact.metrics["tokens_by_source"] == {
        **{"arithmetic": 352 + 512, "top": 352 + 512},
        **{texts: 320, f"top/{texts}": 320},
    }


def test_a_step_that_spikes_is_left_out_and_logged(train):
    """With a threshold below the median every step spikes, once there is a median."""
    phase = Phase(name="all", share=1.0, lr=1e-3, mix={"top": 1.0})
    short = train(preset="own", phase=[phase], tokens=1024)
    artifact = train(preset="own", phase=[phase], spikes=Spikes(loss=0.5, gradient_norm=1e9, window=4))
    records = [record for record in artifact.log() if "loss" in record]
    assert ["skipped" in record for record in records] == [False, False, True, True, True]
    assert records[-1]["skipped"].startswith("loss ") and "0.5 times the median" in records[-1]["skipped"]
    assert artifact.metrics["skipped_steps"] == 3
    assert torch.equal(weights(artifact), weights(short))


def test_an_average_of_the_last_phase_is_what_is_written(train):
    plain, mean = train(tokens=10_000), train(tokens=10_000, average=0.9)
    assert not torch.equal(weights(plain), weights(mean))
    assert mean.metrics["held_out_loss"]["stable"] == plain.metrics["held_out_loss"]["stable"]
    assert mean.metrics["held_out_loss"]["decay"] != plain.metrics["held_out_loss"]["decay"]


def test_a_loss_that_is_no_number_is_named(train, monkeypatch):
    initialise = Decoder.initialise

    def broken(self, seed):
        model = initialise(self, seed)
        with torch.no_grad():
            model.model.norm.weight[0] = float("nan")
        return model

    monkeypatch.setattr(Decoder, "initialise", broken)
    with pytest.raises(UserError, match=r'Step 0 \(phase "warm-up", sequences: \d of \w+.*not finite') as error:
        train()
    assert "state before this step is kept" in error.value.hint


def test_a_damaged_shard_is_named_before_it_is_trained_on(made, tmp_path):
    data = made.artifacts["tokenize"]
    copy = tmp_path / "copy"
    shutil.copytree(data.path, copy)
    content = bytearray((copy / "high.tokens.npy").read_bytes())
    content[-1] ^= 255
    (copy / "high.tokens.npy").write_bytes(content)
    with pytest.raises(UserError, match=r"high is damaged: the checksum"):
        Store(tmp_path / "store").make(
            "pretrain",
            lambda out: pretrain(made.recipe.pretrain, made.recipe.model, 1, Artifact(copy, data.manifest), out),
        )


def test_a_plan_knows_the_tokens_that_are_there(made, root, tmp_path, capsys):
    """And refuses what pretraining would refuse, after showing it."""
    assert list(already_made(made.recipe, root, "tokenize")) == ["problems", "curate", "tokenize"]
    assert already_made(made.recipe, tmp_path, "tokenize") == {}
    show_plan(made.recipe, root)
    assert "?" not in capsys.readouterr().out
    greedy = made.recipe.pretrain.model_copy(update={"epochs": 0.1})
    with pytest.raises(UserError, match=r"pretrain\.epochs allows 0\.1"):
        show_plan(made.recipe.model_copy(update={"pretrain": greedy}), root)
    assert "epochs" in capsys.readouterr().out


def test_a_plan_from_a_base_pretrains_nothing(made, root, capsys):
    show_plan(made.recipe.model_copy(update={"base": "a-folder"}), root)
    said = capsys.readouterr().out
    assert "starts from a-folder" in said and "FLOPs" not in said
