import math

import pytest

from underdog.errors import UserError
from underdog.recipe.load import replaced
from underdog.stages.ablate import HELD_OUT, SECONDS, ablate
from underdog.stages.difference import STUDENT, Difference, gains
from underdog.stages.pipeline import open_run
from underdog.stages.switches import SWITCHES, find_switch


def difference(off, on):
    return Difference("x", True, off, on)


def test_the_interval_is_students_over_paired_differences():
    one = difference([0.1, 0.2, 0.3], [0.2, 0.4, 0.6])
    assert one.mean == pytest.approx(0.2)
    half = 4.303 * 0.1 / math.sqrt(3)  # t with 2 degrees of freedom, a spread of 0.1
    assert one.interval == pytest.approx((0.2 - half, 0.2 + half))
    assert difference([0.1], [0.2]).interval is None
    assert difference([0.1, 0.2], [0.3, 0.4]).interval == pytest.approx((0.2, 0.2))


def test_problems_are_paired_too_over_all_seeds():
    off, on = [{"a": 0.0, "b": 1.0, "c": 0.5}, {"a": 0.5, "b": 1.0}], [{"a": 1.0, "b": 1.0}, {"a": 0.5, "b": 0.5}]
    found = gains(off, on)  # of "c" not every look knows
    assert found == [0.5, -0.25]
    half = 1.96 * (0.75 / math.sqrt(2)) / math.sqrt(2)
    assert Difference("x", True, [0], [0], found).over_problems == pytest.approx((0.125 - half, 0.125 + half))
    assert difference([0], [0]).over_problems is None


def test_quantiles_fall_to_the_normal_one():
    values = [STUDENT[freedom] for freedom in range(1, 31)]
    assert values == sorted(values, reverse=True)
    assert values[0] == 12.706 and values[9] == 2.228 and values[29] == 2.042
    one = difference([0.0] * 40, [0.0, 1.0] * 20)
    low, high = one.interval
    assert (high - low) / 2 == pytest.approx(1.96 * math.sqrt(10 / 39) / math.sqrt(40))


def test_switches_by_name_and_made_on_the_spot():
    assert find_switch("fg_wsd") is SWITCHES["fg_wsd"]
    made = find_switch("sft.steps=7")
    assert (made.on, made.off) == ({}, {"sft.steps": 7})
    with pytest.raises(UserError, match='no switch "fg-wsd"') as error:
        find_switch("fg-wsd")
    assert error.value.hint.startswith('Did you mean "fg_wsd"?')


def test_what_is_compared_differs_in_nothing_else(small):
    on, off = (replaced(small(), {"pretrain.preset": preset}).recipe for preset in ("fg-wsd", "wsd"))
    both = [recipe.model_dump() for recipe in (on, off)]
    for values in both:
        del values["pretrain"]["preset"], values["pretrain"]["phase"]
    assert both[0] == both[1]


def test_both_arms_run_with_the_same_seeds(small, root, made, watcher):
    result = ablate(small(), find_switch("fg_wsd"), seeds=2, root=root, reporter=watcher, until="evaluate-sft")
    names = [one.name for one in result.differences]
    assert names[0] == HELD_OUT and names[-3:] == ["pass@1 sampled", "pass@1 greedy", SECONDS]
    assert [one.percent for one in result.differences] == [not name.startswith((HELD_OUT, SECONDS)) for name in names]
    assert all(len(one.off) == len(one.on) == 2 for one in result.differences)
    loss = result.differences[0]
    assert loss.off[0] == list(made.artifacts["pretrain"].metrics["held_out_loss"].values())[-1]
    assert loss.off[0] != loss.off[1] and loss.off[0] != loss.on[0]
    assert len(set(result.runs)) == 4
    assert watcher.stages.count("problems") == watcher.reused.count("problems") == 4  # what the arms share
    assert watcher.reused.count("pretrain") == 1  # the recipe's own arm is there already


def test_fg_wsd_needs_no_more_than_pretraining(small, root, made, watcher):
    result = ablate(small(), find_switch("fg_wsd"), seeds=1, root=root, reporter=watcher)
    names = [one.name for one in result.differences]
    assert names[0] == HELD_OUT and f"{HELD_OUT}, top" in names
    assert not any("pass@1" in name for name in names)
    assert watcher.stages[-1] == "pretrain"


@pytest.mark.parametrize(("name", "stage"), [("reinforce", "control"), ("reinforce_over_sft", "sft")])
def test_two_stages_of_one_run_are_compared(name, stage, small, root, made, watcher):
    resolved = small("control.enabled=true", "reinforce.steps=1")
    result = ablate(resolved, find_switch(name), seeds=1, root=root, reporter=watcher)
    assert [one.name for one in result.differences] == ["pass@1 sampled", "pass@1 greedy", SECONDS]
    assert result.runs[0] == result.runs[1]
    assert [len(one.gains) for one in result.differences] == [10, 10, 0]
    sampled = open_run(result.runs[0]).artifacts[f"evaluate-{stage}"].metrics["sampled"]["mean"]
    assert result.differences[0].off == [sampled]
    assert watcher.reused.count(stage) == watcher.stages.count(stage) - (stage == "control")


@pytest.mark.parametrize(
    ("name", "on", "off"),
    [("distill_over_sft", "distill", "control"), ("distill_over_reinforce", "distill", "reinforce")],
)
def test_distillation_is_judged_by_its_own_model(name, on, off, small, root, made, watcher):
    teacher = made.artifacts["reinforce"].path
    resolved = small("control.enabled=true", "distill.steps=1", "distill.prompts=2", f"distill.teacher={teacher}")
    result = ablate(resolved, find_switch(name), seeds=1, root=root, reporter=watcher)
    arms = {stage: open_run(folder).artifacts for stage, folder in zip((off, on), result.runs, strict=True)}
    sampled = [arms[stage][f"evaluate-{stage}"].metrics["sampled"]["mean"] for stage in (off, on)]
    assert [result.differences[0].off, result.differences[0].on] == [[sampled[0]], [sampled[1]]]
    seconds = result.differences[-1]
    assert [seconds.off, seconds.on] == [[arms[stage][stage].seconds] for stage in (off, on)]
    assert "reinforce" not in arms[on] or on == "reinforce"


@pytest.mark.parametrize("name", SWITCHES)
def test_both_arms_of_every_switch_are_recipes_and_differ(small, name):
    switch = SWITCHES[name]
    off_unless_said = ('refine.teachers=["base"]', "reconstruct.teacher=own")
    recipe = small(*off_unless_said, "reinforce.max_new_tokens=24")
    arms = {how: replaced(recipe, getattr(switch, how)).recipe for how in ("on", "off")}
    assert arms["on"] != arms["off"] or switch.until != switch.off_until != ""


@pytest.mark.parametrize(
    ("overrides", "switch", "says"),
    [
        (["control.enabled=false"], "reinforce", 'no stage "evaluate-control"'),
        (["reinforce.steps=0"], "reinforce", 'no stage "evaluate-control"'),
        *((["reinforce.steps=0"], name, 'no stage "evaluate-reinforce"') for name in ("kl", "clip_higher", "reset")),
        ([], "refine", '"refine" makes no difference'),
        ([], "sft.stepz=3", r'no key "sft\.stepz"'),
        ([], "sft.steps=many", "valid integer"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_made(small, tmp_path, watcher, overrides, switch, says):
    with pytest.raises(UserError, match=says):
        ablate(small(*overrides), find_switch(switch), 3, tmp_path, watcher)
    assert not list(tmp_path.iterdir())
