"""recipes/prorl-1.5b.toml and -v2, shrunk: their eight runs, resets and longer context."""

from itertools import pairwise
from pathlib import Path

import pytest

from underdog.generate.engine import Engine
from underdog.recipe.load import load_recipe
from underdog.stages.reinforce import Loop, reinforce
from underdog.train.rollouts import Sampler
from underdog.train.trainer import Trainer

RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.fixture
def brief(closing):
    """A checkpoint that closes its turn after a few tokens."""
    return closing(20)


@pytest.fixture
def watched(brief, problems, make, monkeypatch):
    """Recipe, steps, overrides -> its reinforcement at a scale of 1e-9, two problems a step: its log; by step the
    stage, what is taken from an answer that does not end, and (answers a problem, room, temperature) as the engine was
    asked; how often the optimizer was cleared."""
    learn, collect, answers, clear = Loop.learn, Sampler.collect, Engine.answers, Trainer.clear_optimizer
    steps, asked, cleared = [], [], []

    def noted_answers(self, prompts, sampling, n, place):
        asked.append((n, sampling.max_new_tokens, sampling.temperature))
        return answers(self, prompts, sampling, n, place)

    def noted_collect(self, *rest):
        asked.clear()
        found = collect(self, *rest)
        (steps[-1][2],) = set(asked)
        return found

    def noted_learn(self, step, stage, pool):
        steps.append([stage.name, stage.settings.shaping.stop, None])
        learn(self, step, stage, pool)

    monkeypatch.setattr(Engine, "answers", noted_answers)
    monkeypatch.setattr(Sampler, "collect", noted_collect)
    monkeypatch.setattr(Loop, "learn", noted_learn)
    monkeypatch.setattr(Trainer, "clear_optimizer", lambda self: cleared.append(1) or clear(self))

    def run(name, count, *overrides):
        settings = load_recipe(RECIPES / f"{name}.toml", ["reinforce.prompts=2", *overrides], 1e-9).recipe.reinforce
        assert (settings.steps, settings.reset.every) == (16, 3)
        settings = settings.model_copy(update={"steps": count})
        log = make(reinforce, settings, 1, brief, problems).log()
        return settings, log, steps, len(cleared)

    return run


def test_version_1_makes_its_eight_runs(watched):
    _, log, steps, cleared = watched("prorl-1.5b", 16, "reinforce.profile.samples=2")
    assert steps == [
        [
            f"run {run}",
            0.5 if run in (4, 5) else 0.0,
            (32 if run in (6, 7) else 16, 92 if run == 8 else 64, 1.2),
        ]
        for run in range(1, 9)
        for _ in range(2)
    ]
    assert [record["step"] for record in log if "pool" in record] == list(range(0, 16, 2))
    resets = [record["step"] for record in log if "reset" in record]
    assert len(resets) >= 5 and all(later - earlier <= 3 for earlier, later in pairwise([0, *resets, 16]))
    assert cleared >= len(resets)  # after a collapse too
    assert sum("gradient_norm" in record for record in log) > 12


def test_version_2_keeps_the_optimizer_and_compares_answers_over_the_step(watched):
    settings, log, steps, cleared = watched("prorl-1.5b-v2", 8)
    assert (settings.loss.advantage, settings.loss.kl_estimator, settings.clip) == ("batch", "k2", [0.2, 0.28])
    assert [name for name, *_ in steps] == [f"run {run}" for run in range(1, 9)]
    resets = [record["reset"] for record in log if "reset" in record]
    collapses = [why for why in resets if "collapsed" in why]
    assert len(resets) > len(collapses) == cleared  # after a collapse alone
