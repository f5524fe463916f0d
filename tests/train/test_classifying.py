import random
from types import SimpleNamespace

import torch

from underdog.model.classifier import add_classes, class_scores
from underdog.recipe.teaching import Adapter
from underdog.train import classifying
from underdog.train.classifying import Fitting, classify, fit_classes, held_out_loss, lay
from underdog.train.trainer import Trainer


def rows(count, seed=1):
    """Texts of one of two kinds of tokens: the class is the kind."""
    draw = random.Random(seed)
    labels = [draw.randrange(2) for _ in range(count)]
    return [([draw.randrange(10 + 20 * one, 30 + 20 * one) for _ in range(draw.randint(2, 9))], one) for one in labels]


def fresh(tiny):
    model = tiny()
    add_classes(model, 2, Adapter(kind="lora", rank=4), seed=1)
    return model


def test_the_loss_is_that_of_the_scores(tiny):
    model, texts = fresh(tiny), rows(6)
    torch.nn.init.normal_(model.score.weight)
    loss = classify(model, lay(texts)).loss["cross_entropy"] / len(texts)
    torch.testing.assert_close(float(loss.detach()), held_out_loss(model, texts), atol=1e-4, rtol=1e-4)


def test_what_is_seen_is_learned_and_the_base_stays(tiny):
    model, before = fresh(tiny), tiny().state_dict()
    looks = []
    settings = Fitting(epochs=4, batch=16, lr=1e-2, look_every=8)
    fit_classes(model, rows(160), rows(40, seed=2), settings, 1, lambda *look: looks.append(look))
    held = rows(100, seed=3)
    found = class_scores(model, [ids for ids, _ in held]).argmax(1)
    assert (found == torch.tensor([label for _, label in held])).float().mean() > 0.95
    assert looks[-1][2] < 0.7 * looks[0][2] or looks[0][2] < 0.1
    assert torch.equal(model.state_dict()["model.embed_tokens.weight"], before["model.embed_tokens.weight"])


def test_it_stops_where_held_out_rows_get_no_better_and_keeps_the_best(tiny):
    model, texts = fresh(tiny), rows(64)
    wrong = [(ids, 1 - label) for ids, label in rows(20, seed=2)]  # what is learned makes these worse
    looks = []
    settings = Fitting(epochs=50, batch=16, lr=1e-2, look_every=1, patience=2)
    steps = fit_classes(model, texts, wrong, settings, 1, lambda *look: looks.append(look))
    assert steps == len(looks) < 200 and looks[-1][1] == 200
    assert held_out_loss(model, wrong) == min(loss for *_, loss in looks)


def test_it_ends_by_the_clock_with_the_rate_all_the_way_down(tiny, monkeypatch):
    """A minute a step: the fifth is the last of what would be 400."""
    clock, rates = iter(range(100)), []
    monkeypatch.setattr(classifying, "time", SimpleNamespace(monotonic=lambda: 60 * next(clock)))
    update = Trainer.update
    monkeypatch.setattr(Trainer, "update", lambda self, parts, lr: rates.append(lr) or update(self, parts, lr))
    settings = Fitting(epochs=100, batch=16, minutes=5, warmup=0.0)
    assert fit_classes(fresh(tiny), rows(64), rows(8, seed=2), settings, 1) == len(rates) == 5
    assert rates == sorted(rates, reverse=True) and rates[-1] < 0.1 * settings.lr


def test_seeds_and_nothing_else_change_the_weights(tiny):
    found = []
    for seed in (1, 1, 2):
        model = fresh(tiny)
        fit_classes(model, rows(64), rows(8, seed=2), Fitting(epochs=1, batch=16), seed)
        found.append(model.score.weight.detach())
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])
