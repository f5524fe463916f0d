from pathlib import Path

import pytest

from underdog.recipe.load import load_recipe
from underdog.recipe.schema import Phase, Pretrain, Rate, Recipe
from underdog.recipe.synthesis import Reconstruct, Refine
from underdog.report.plan import ordered, rate, readings, schedule, size, synthesis
from underdog.tokens.phases import Schedule

RECIPES = Path(__file__).parents[2] / "recipes"
PUBLISHED = {"nanbeige4-3b": (3_933_637_120, 3.083e9, 23e12), "qwen3-4b": (4_022_468_096, 3.633e9, 36e12)}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_recipes_have_the_published_size(name):
    recipe = load_recipe(RECIPES / f"{name}.toml").recipe
    parameters, inside, tokens = PUBLISHED[name]
    found = size(recipe)
    assert found.parameters == parameters
    assert found.inside == pytest.approx(inside, rel=1e-3)
    assert schedule(recipe).tokens == pytest.approx(tokens, rel=1e-7)
    assert found.flops > 6 * inside * tokens
    assert found.flops == pytest.approx(6 * parameters * tokens, rel=0.25)  # the rule of thumb


def test_nanbeiges_phases_are_those_of_its_report():
    """0.1T, 12.4T, 6.5T and 4T; 0 → 4.5e-4 → 1.5e-6; 64K at the end, its base raised."""
    spans = schedule(load_recipe(RECIPES / "nanbeige4-3b.toml").recipe).spans
    assert [round(span.tokens / 1e9) for span in spans] == [100, 12_400, 6500, 4000]
    assert [span.lr(span.start) for span in spans] == pytest.approx([0, 4.5e-4, 4.5e-4, 4.5e-4])
    assert [span.lr(span.end) for span in spans] == pytest.approx([4.5e-4, 4.5e-4, 4.5e-4, 1.5e-6])
    assert (spans[-1].context, spans[-1].rope_base) == (65_536, 5e6)
    assert spans[1].mix["medium"] == pytest.approx(6 / 12.5) and "medium" not in spans[2].mix


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("scale", [2e-8, 3e-8, 1e-7])
def test_published_recipes_shrink_to_a_laptop_with_all_their_phases(name, scale):
    whole, small = (load_recipe(RECIPES / f"{name}.toml", scale=one).recipe for one in (1.0, scale))
    spans = schedule(small).spans
    assert [span.name for span in spans] == [phase.name for phase in whole.pretrain.phase]
    assert all(span.tokens for span in spans) and spans[-1].context > spans[0].context
    assert 2e5 < size(small).parameters < 2e6
    assert 60 < schedule(small).steps < 400 and schedule(small).tokens <= 4e6
    assert small.reinforce.max_new_tokens <= small.model.context // 4 and small.reinforce.prompts == 8


def test_readings_count_epochs_by_the_limit_of_each_source():
    phase = Phase(name="a", share=1.0, lr=1e-3, mix={"top": 0.75, "arithmetic": 0.25, "high": 0.0})
    pretrain = Pretrain(preset="own", tokens=409_600, phase=[phase], epochs=4, epochs_of={"arithmetic": 50})
    recipe = Recipe(pretrain=pretrain)
    top, facts = readings(recipe, {"top": 102_400, "arithmetic": 10_240})
    assert (top.source, top.tokens, top.epochs, top.most) == ("top", 307_200, 3.0, 4)
    assert (facts.source, facts.tokens, facts.epochs, facts.most) == ("arithmetic", 102_400, 10.0, 50)
    assert [one.epochs for one in readings(recipe, None)] == [None, None]


def test_rates_as_people_write_them():
    def shown(lr):
        pretrain = Pretrain(preset="own", phase=[Phase(name="a", share=1.0, lr=lr, mix={"top": 1.0})])
        return rate(Schedule(pretrain, 512, 1e4).spans[0])

    assert shown(3e-3) == "0.003"
    assert shown(Rate(**{"from": 3e-3, "to": 3e-3, "shape": "constant"})) == "0.003"
    assert shown(Rate(**{"from": 4e-4, "to": 1.5e-6, "shape": "1-sqrt"})) == "0.0004 → 1.5e-6, 1-sqrt"


def test_what_teachers_will_be_asked_is_counted():
    budget = {"tokens": 2_000_000, "money": 5.0, "price_out": 2.0}
    refine = Refine(teachers=["http://a", "base"], evaluators=["http://b"], rounds=1, rows=20, budget=budget)
    one, two = synthesis(Recipe(refine=refine, reconstruct=Reconstruct(teacher="own", judge="http://b")))
    assert (one.models, one.rows) == ("http://a, base, http://b", 20)
    assert one.budget == "2\N{NO-BREAK SPACE}M tokens and 5 of money"
    assert one.requests == 2 + 2 + 3 * 2 + (1 + 2)  # checklist, drafts, scores, a revision; what is JSON twice
    assert (two.stage, two.models, two.requests, two.rows, two.budget) == (
        "reconstruct",
        "own, http://b",
        4,
        None,
        "none",
    )
    (again,) = synthesis(Recipe(reconstruct=Reconstruct(teacher="http://b", attempts=3)))
    assert again.requests == 1 + 3 * 4  # the summary once
    assert synthesis(Recipe()) == []


def test_better_text_comes_first():
    found = ordered(["medium", "wiki", "top", "arithmetic", "demonstrations", "high"])
    assert found == ["demonstrations", "top", "high", "medium", "arithmetic", "wiki"]
