import pytest
import torch

from underdog.errors import UserError
from underdog.model.weights import load_pretrained
from underdog.stages.sft import example, sft
from underdog.tokens.tokenizer import Tokenizer
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


def test_only_what_the_assistant_says_carries_loss(made):
    tokenizer = Tokenizer.load(made.artifacts["tokenize"].path)
    (problem, *_) = read_problems(made.artifacts["problems"].path / "demonstrations.jsonl")
    one = example(problem, tokenizer, context=128)
    taught = [token for token, produced in zip(one.ids, one.mask, strict=True) if produced]
    assert tokenizer.decode(taught) == f"<think>{problem.worked.reasoning}</think>{problem.worked.answer}"
    assert taught[-1] == tokenizer.turn_end
    assert not any(one.mask[: len(one.ids) - len(taught) - 1])


def test_a_demonstration_that_is_too_long_is_named(made):
    tokenizer = Tokenizer.load(made.artifacts["tokenize"].path)
    (problem, *_) = read_problems(made.artifacts["problems"].path / "demonstrations.jsonl")
    with pytest.raises(UserError, match=rf"Demonstration {problem.id} \({problem.task}\) has \d+ tokens"):
        example(problem, tokenizer, context=10)
