import pytest
from pydantic import ValidationError

from underdog.recipe.reinforcement import Reinforce
from underdog.recipe.schema import Model, Optimizer, Phase, Recipe


def test_everything_has_a_default():
    recipe = Recipe()
    assert Recipe.model_validate(recipe.model_dump(by_alias=True)) == recipe


@pytest.mark.parametrize(
    "values",
    [
        {"nonsense": 1},
        {"model": {"nonsense": 1}},
        {"seed": "1"},
        {"seed": 1.0},
        {"seed": True},
        {"threads": -1},
        {"model": {"layers": 0}},
        {"model": {"tied": 1}},
        {"model": {"family": "mamba"}},
        {"model": {"rope_base": float("inf")}},
        {"model": {"norm_eps": float("nan")}},
        {"pretrain": {"peak_lr": 0.0}},
        {"curate": {"sources": "python-docs"}},
        {"reinforce": {"clip": [0.2]}},
        {"reinforce": {"clip": [0.2, -0.1]}},
        {"reinforce": {"rollouts": 1}},
        {"export": {"formats": ["q4"]}},
        {"sft": {"optimizer": {"beta1": 1.0}}},
        {"model": []},
        {"name": ""},
        {"name": "../../elsewhere"},
        {"name": "a\\b"},
        {"name": "two\nlines"},
    ],
)
def test_what_makes_no_sense_is_refused(values):
    with pytest.raises(ValidationError):
        Recipe.model_validate(values)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"tokenizer": {"held_out": []}}, 'must name "top" or "high"'),
        ({"tokenizer": {"held_out": ["medium"]}}, 'must name "top" or "high"'),
        (
            {"pretrain": {"phase": [{"name": "a", "share": 0.5, "lr": 1e-3, "mix": {"top": 1.0}}] * 2}},
            'two tables of pretrain.phase are named "a"',
        ),
    ],
)
def test_what_a_later_stage_would_stumble_over_is_refused(values, complaint):
    with pytest.raises(ValidationError, match=complaint):
        Recipe.model_validate(values)


def test_heads_must_fit():
    with pytest.raises(ValidationError, match=r"heads \(6\) must be a multiple of kv_heads \(4\)"):
        Model(heads=6, kv_heads=4)
    with pytest.raises(ValidationError, match=r"head_width \(33\) must be even"):
        Model(head_width=33)
    Model(heads=6, kv_heads=6)


def test_whole_numbers_are_floats_too():
    assert Optimizer(weight_decay=1).weight_decay == 1.0
    assert Reinforce(clip=[1, 2]).clip == [1.0, 2.0]


@pytest.mark.parametrize(
    "change",
    [
        {"lr": -1.0},
        {"lr": {"from": -1.0, "to": 0.0}},
        {"mix": {"top": 1.5, "high": -0.5}},
        {"share": 1.5},
        {"share": -0.1},
    ],
)
def test_phases_refuse_rates_and_shares_below_nothing(change):
    values = {"name": "a", "share": 1.0, "lr": 1e-3, "mix": {"top": 1.0}}
    Phase.model_validate(values)
    with pytest.raises(ValidationError):
        Phase.model_validate(values | change)


def test_a_recipe_cannot_be_changed_in_place():
    with pytest.raises(ValidationError):
        Recipe().seed = 2
