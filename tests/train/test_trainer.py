import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from underdog.errors import UserError
from underdog.recipe.schema import Optimizer
from underdog.train.batch import collate, collate_groups
from underdog.train.objectives import Sums, next_token
from underdog.train.policy import PolicyGradient
from underdog.train.trainer import Trainer


def stepped(trainer, parts, lr=0.0):
    figures = trainer.update(parts, lr)
    return figures, {name: weight.grad.clone() for name, weight in trainer.model.named_parameters()}


@pytest.mark.parametrize("cuts", [[0, 12], [0, 1, 12], [0, 5, 6, 12], list(range(13))])
def test_a_step_in_parts_is_the_step_in_one(model, examples, same, cuts):
    whole, expected = stepped(Trainer(model, Optimizer(clip=1e9), next_token), [collate(examples)])
    parts = [collate(examples[low:high]) for low, high in pairwise(cuts)]
    figures, found = stepped(Trainer(model, Optimizer(clip=1e9), next_token), parts)
    same(found, expected, atol=1e-5)
    assert figures == pytest.approx(whole, rel=1e-4)


def test_tokens_weigh_the_same_in_short_and_long_answers(model, groups, same):
    """DAPO: every component is divided by the tokens of the whole step, whatever the groups' sizes."""
    objective = PolicyGradient(0.2, 0.28, kl=0.0)
    _, expected = stepped(Trainer(model, Optimizer(clip=1e9), objective), [collate_groups(groups)])
    figures, found = stepped(Trainer(model, Optimizer(clip=1e9), objective), [collate_groups([one]) for one in groups])
    same(found, expected, atol=1e-4)
    tokens = sum(len(answer.ids) for group in groups for answer in group.answers)
    losses = [objective(model, collate_groups([one])).loss["policy"].item() for one in groups]
    assert figures["policy"] == pytest.approx(sum(losses) / tokens, rel=1e-3)


def test_figures_are_means_over_weighted_tokens(model, examples):
    batch = collate(examples)
    figures, found = stepped(Trainer(model, Optimizer(clip=1e9), next_token), [batch], lr=0.0)
    mean = next_token(model, batch).loss["cross_entropy"].item() / batch.weights_N.sum().item()
    assert (figures["loss"], figures["cross_entropy"]) == pytest.approx((mean, mean), rel=1e-5)
    norm = math.sqrt(sum(float(grad.square().sum()) for grad in found.values()))
    assert figures["gradient_norm"] == pytest.approx(norm, rel=1e-4)
    assert figures["lr"] == 0.0


def test_large_gradients_are_clipped(model, examples):
    figures, found = stepped(Trainer(model, Optimizer(clip=0.01), next_token), [collate(examples)])
    assert figures["gradient_norm"] > 0.01
    assert math.sqrt(sum(float(grad.square().sum()) for grad in found.values())) == pytest.approx(0.01, rel=1e-2)


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_training_learns(model, examples, kind):
    trainer = Trainer(model, Optimizer(kind=kind, weight_decay=0.0), next_token)
    batch = collate(examples)
    losses = [trainer.update([batch], 1e-2)["loss"] for _ in range(40)]
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_stops_before_it_does_harm(model, examples, bad):
    def broken(model, batch):
        loss = next_token(model, batch).loss["cross_entropy"]
        return Sums({"cross_entropy": loss * bad}, {})

    trainer = Trainer(model, Optimizer(kind="muon"), next_token)
    trainer.update([collate(examples)], 1e-3)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    trainer.objective = broken
    with pytest.raises(UserError, match="The gradient is not finite") as error:
        trainer.update([collate(examples)], 1e-3)
    assert "learning rate" in error.value.hint
    assert all(torch.equal(weight, before[name]) for name, weight in model.named_parameters())


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_a_step_that_is_not_accepted_changes_nothing(tiny, examples, kind):
    """Neither weights nor moments: the next step is what it would have been."""

    def train(*batches):
        model = tiny(vocabulary=40, width=32, heads=2, kv_heads=1, ffn=48)
        trainer = Trainer(model, Optimizer(kind=kind), next_token)
        for batch, accepted in batches:
            figures = trainer.update([collate(batch)], 1e-2, lambda figures, said=accepted: said)
            assert {"loss", "gradient_norm", "lr"} <= figures.keys()
        return torch.cat([weight.detach().flatten() for weight in model.parameters()])

    first, second, third = examples[:4], examples[4:8], examples[8:]
    skipped = train((first, True), (second, False), (third, True))
    assert torch.equal(skipped, train((first, True), (third, True)))
    assert not torch.equal(skipped, train((first, True), (second, True), (third, True)))


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_a_cleared_optimizer_is_a_new_one(tiny, examples, kind):
    def train(clear):
        model = tiny(vocabulary=40, width=32, heads=2, kv_heads=1, ffn=48)
        trainer = Trainer(model, Optimizer(kind=kind), next_token)
        trainer.update([collate(examples[:6])], 1e-2)
        if clear == "clear":
            trainer.clear_optimizer()
        elif clear == "new":
            trainer = Trainer(model, Optimizer(kind=kind), next_token)
        trainer.update([collate(examples[6:])], 1e-2)
        return torch.cat([weight.detach().flatten() for weight in model.parameters()])

    assert torch.equal(train("clear"), train("new"))
    assert not torch.equal(train("clear"), train("keep"))


def test_the_rate_reaches_every_weight(model, examples):
    trainer = Trainer(model, Optimizer(kind="muon", weight_decay=0.0), next_token)
    before = [weight.detach().clone() for weight in model.parameters()]
    trainer.update([collate(examples)], 0.0)
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), before, strict=True))
    trainer.update([collate(examples)], 1e-3)
    assert not any(torch.equal(one, other) for one, other in zip(model.parameters(), before, strict=True))


def test_a_model_with_capped_scores_is_refused(model):
    model.config = replace(model.config, logit_cap=30.0)
    with pytest.raises(UserError, match="final_logit_softcapping"):
        Trainer(model, Optimizer(), next_token)
