import json
import shutil

import pytest
import torch

from underdog.artifacts.store import load
from underdog.errors import UserError
from underdog.model.weights import load_pretrained
from underdog.recipe.common import Optimizer
from underdog.recipe.teaching import Adapter
from underdog.report.show_data import show_data
from underdog.report.table import sentence
from underdog.stages.base import base
from underdog.stages.pipeline import run_recipe
from underdog.stages.sft import sft
from underdog.tokens.messages import Conversation
from underdog.tokens.tokenizer import Tokenizer
from underdog.train.taught import row_examples
from underdog.verify.problem_files import read_problems


def weights(artifact):
    return torch.cat([weight.flatten() for weight in load_pretrained(artifact.path).parameters()]).detach()


@pytest.fixture
def tune(made, make):
    def run(steps=6, seed=1, **settings):
        settings = made.recipe.sft.model_copy(update=settings)
        return make(sft, settings, steps, seed, made.artifacts["pretrain"], made.artifacts["problems"])

    return run


def test_it_learns_the_demonstrations(tune, made):
    artifact = tune(steps=30, lr=1e-2)
    losses = [record["loss"] for record in artifact.log()]
    assert len(losses) == 30
    assert losses[-1] < 0.6 * losses[0]
    assert artifact.metrics["demonstrations"] == 40
    assert artifact.metrics["epochs"] == artifact.log()[-1]["epoch"] > 1
    assert Tokenizer.load(artifact.path).vocabulary == load_pretrained(artifact.path).config.vocabulary
    assert load_pretrained(artifact.path).config == load_pretrained(made.artifacts["pretrain"].path).config


def test_seeds_and_nothing_else_change_the_weights(tune):
    one, same, other = (weights(tune(seed=seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_the_rate_rises_and_falls(tune):
    rates = [record["lr"] for record in tune(steps=10, lr=0.5, warmup=0.3).log()]
    assert rates[0] == pytest.approx(0, abs=1e-6)
    assert max(rates) == rates[3] == 0.5
    assert rates[3:] == sorted(rates[3:], reverse=True)


def demonstration(made):
    (problem, *_) = read_problems(made.artifacts["problems"].path / "demonstrations.jsonl")
    return problem, Conversation(tuple(problem.conversation()), where=f"Demonstration {problem.id}")


def test_only_what_the_assistant_says_carries_loss(made):
    tokenizer = Tokenizer.load(made.artifacts["tokenize"].path)
    problem, conversation = demonstration(made)
    (one,) = row_examples(conversation, tokenizer, context=128)
    taught = [token for token, produced in zip(one.ids, one.mask, strict=True) if produced]
    assert tokenizer.decode(taught) == f"<think>{problem.worked.reasoning}</think>{problem.worked.answer}"
    assert taught[-1] == tokenizer.turn_end
    assert not any(one.mask[: len(one.ids) - len(taught) - 1])


def test_a_demonstration_that_is_too_long_is_named(made):
    tokenizer = Tokenizer.load(made.artifacts["tokenize"].path)
    problem, conversation = demonstration(made)
    with pytest.raises(UserError, match=rf"Demonstration {problem.id} has \d+ tokens"):
        row_examples(conversation, tokenizer, context=10)


@pytest.fixture
def mine(tmp_path):
    """A file of conversations with bad rows among them."""
    path = tmp_path / "mine.jsonl"
    good = [{"prompt": f"Say {word}.", "completion": word} for word in ("one", "two", "three", "four")]
    long = {"prompt": "x " * 200, "completion": "y"}
    path.write_text("\n".join(json.dumps(row) for row in [*good, {"prompt": "?"}, long]))
    return path


def test_the_users_conversations_are_learned_and_bad_rows_set_aside(tune, mine):
    artifact = tune(steps=20, lr=1e-2, data=[str(mine)])
    losses = [record["loss"] for record in artifact.log()]
    assert losses[-1] < 0.6 * losses[0]
    assert artifact.metrics["demonstrations"] == 4 and artifact.metrics["rows"] == {"mine": 4}
    aside = [json.loads(line) for line in (artifact.path / "set-aside.jsonl").read_text().splitlines()]
    assert [one["where"].split()[-2:] for one in aside] == [["line", "5"], ["line", "6"]]
    assert "is missing" in aside[0]["reason"] and "context holds 128" in aside[1]["reason"]


def test_domains_noise_and_lengths_are_switches(tune, mine):
    budget = {"mine": 0.25, "demonstrations": 0.75}
    artifact = tune(data=["demonstrations", str(mine)], budget=budget, neftune=5.0)
    assert artifact.metrics["rows"] == {"demonstrations": 40, "mine": 4}
    again = tune(data=["demonstrations", str(mine)], budget=budget, neftune=5.0)
    assert torch.equal(weights(artifact), weights(again))
    assert not torch.equal(weights(artifact), weights(tune(data=["demonstrations", str(mine)], budget=budget)))


def test_a_base_may_come_out_of_a_store(made, make):
    artifact = make(base, made.artifacts["pretrain"].path)
    assert load(artifact.path) == artifact and not artifact.log()


def test_a_base_keeps_its_template_for_tools(made, make, tmp_path):
    folder = tmp_path / "tools"
    shutil.copytree(made.artifacts["pretrain"].path, folder)
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "tool_use.jinja").write_text("with tools")
    artifact = make(base, folder)
    assert Tokenizer.load(artifact.path).template_for(tools=True) == "with tools"


def test_what_is_shown_of_a_run_is_what_its_sft_reads(small, root, watcher, made, capsys):
    run = run_recipe(small("sft.reasoning=false").recipe, root, watcher, until="tokenize")
    for one, reasoned in ((made, True), (run, False)):
        show_data(one.folder, None, 3)
        assert ("[[<think>" in capsys.readouterr().out) == reasoned


def test_from_a_base_of_others(small, made, root, watcher, mine, tmp_path):
    """A folder without a chat template is given one and taught the conversations; nothing is pretrained."""
    folder = tmp_path / "foreign"
    shutil.copytree(made.artifacts["pretrain"].path, folder)
    (folder / "chat_template.jinja").unlink()
    config = json.loads((folder / "tokenizer_config.json").read_text())
    del config["chat_template"]
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    recipe = small(f"base={folder}", f'sft.data=["{mine}"]', "reinforce.steps=0").recipe
    run = run_recipe(recipe, root, watcher)
    assert watcher.stages == ["problems", "base", "evaluate-base", "sft", "evaluate-sft", "export"]
    assert run.artifacts["export"].manifest["parents"] == {"sft": run.artifacts["sft"].path.name}
    assert (run.artifacts["export"].path / "huggingface" / "chat_template.jinja").exists()
    assert sentence(run.artifacts)


@pytest.mark.parametrize("precision", ["float32", "nf4"])
def test_an_adapter_learns_and_is_merged(tune, made, precision):
    adapter = Adapter(kind="lora", rank=8, precision=precision)
    artifact = tune(steps=30, lr=3e-2, adapter=adapter, optimizer=Optimizer(weight_decay=0.0))
    losses = [record["loss"] for record in artifact.log()]
    assert losses[-1] < 0.9 * losses[0]
    before, after = (
        dict(load_pretrained(one.path).named_parameters()) for one in (made.artifacts["pretrain"], artifact)
    )
    assert torch.equal(before["model.embed_tokens.weight"], after["model.embed_tokens.weight"])
    assert not torch.equal(before["model.layers.0.mlp.up_proj.weight"], after["model.layers.0.mlp.up_proj.weight"])
    assert (artifact.path / "adapter" / "adapter_model.safetensors").exists()
