import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from underdog.recipe.reinforcement import LengthReward, PolicyLoss, Reinforce, ReinforceStage, Shaping
from underdog.recipe.stages import stage_at, stages


def test_a_run_without_stages_is_one():
    (only,) = stages(Reinforce(steps=7))
    assert only.steps == range(7) and only.settings == Reinforce(steps=7)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 500))
def test_every_step_belongs_to_one_stage(parts, steps):
    shares = [part / sum(parts) for part in parts]
    plan = stages(Reinforce(steps=steps, stage=[ReinforceStage(name=str(i), share=s) for i, s in enumerate(shares)]))
    assert [step for stage in plan for step in stage.steps] == list(range(steps))
    assert all(step in stage_at(plan, step).steps for step in range(steps))
    assert stage_at(plan, steps) == plan[-1]


def test_a_stage_changes_what_it_names_and_nothing_else():
    base = Reinforce(steps=10, temperature=1.0, lr=1e-4)
    changes = [ReinforceStage(name="warm", share=0.5, temperature=1.4), ReinforceStage(name="cool", share=0.5, lr=1e-5)]
    warm, cool = stages(base.model_copy(update={"stage": changes}))
    assert (warm.name, warm.settings.temperature, warm.settings.lr) == ("warm", 1.4, 1e-4)
    assert (cool.name, cool.settings.temperature, cool.settings.lr) == ("cool", 1.0, 1e-5)


def test_tables_of_a_stage_change_what_they_name_too():
    """Also after the recipe was written down and read again, which spells defaults out."""
    whole = {"loss": {"advantage": "batch", "kl_estimator": "k2"}, "shaping": {"overlong": 32, "length": {"high": 1.0}}}
    stage = {"name": "a", "share": 1.0, "loss": {"average": "sequence"}, "shaping": {"length": {"on": 5}}}
    given = Reinforce.model_validate({**whole, "stage": [stage]})
    for settings in (given, Reinforce.model_validate(given.model_dump())):
        (only,) = stages(settings)
        assert only.settings.loss == PolicyLoss(advantage="batch", kl_estimator="k2", average="sequence")
        assert only.settings.shaping == Shaping(overlong=32, length=LengthReward(high=1.0, on=5))


def test_shares_that_do_not_fill_the_run_are_refused():
    with pytest.raises(ValidationError, match=r"the shares of stage make 0.7, not 1"):
        Reinforce(stage=[ReinforceStage(name="half", share=0.7)])


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"mix": {"code": 0.5, "logic": 0.4}}, r"the shares of mix make 0\.9, not 1"),
        ({"stage": [{"name": "a", "share": 1.0, "mix": {"code": 0.5}}]}, 'mix of stage "a" make 0.5, not 1'),
        ({"shaping": {"overlong": 129}}, "overlong, 129 tokens, is more than an answer may have, 128"),
        (
            {"shaping": {"overlong": 100}, "stage": [{"name": "a", "share": 1.0, "max_new_tokens": 64}]},
            'stage "a": shaping.overlong, 100 tokens',
        ),
        ({"stage": [{"name": "a", "share": 0.5}] * 2}, 'two tables of stage are named "a"'),
        ({"engine": "vlm"}, '"vlm" is neither "built-in" nor "vllm" nor a URL'),
    ],
)
def test_mixtures_and_engines_are_checked(settings, complaint):
    with pytest.raises(ValidationError, match=complaint):
        Reinforce.model_validate(settings)
