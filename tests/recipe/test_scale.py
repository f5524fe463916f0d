from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from underdog.recipe.load import load_recipe
from underdog.recipe.reinforcement import LengthReward, Reinforce, ReinforceStage, Reset, Shaping
from underdog.recipe.scale import scaled
from underdog.recipe.schema import Model, Phase, Pretrain, Problems, Rate, Recipe, Sft, Tokenizer
from underdog.recipe.stages import stages as stages_of

RECIPES = Path(__file__).parents[2] / "recipes"
CLUSTER = Recipe(  # figures like those of Nanbeige4-3B
    model=Model(width=2560, layers=32, heads=20, kv_heads=4, head_width=128, ffn=10_496, context=65_536),
    pretrain=Pretrain(
        tokens=23 * 10**12,
        batch_tokens=16_777_216,
        phase=[
            Phase(name="long", share=0.9, lr=1e-3, mix={"top": 1.0}, context=4096),
            Phase(name="decay", share=0.1, lr=1e-4, mix={"top": 1.0}, context=65_536, rope_base=1e6),
        ],
    ),
    tokenizer=Tokenizer(vocabulary=166_144),
    problems=Problems(demonstrations=30_000_000, train=1_000_000, validation=10_000, test=100_000),
    sft=Sft(steps=100_000),
    reinforce=Reinforce(steps=3000),
)
SCALES = st.floats(-7, 1).map(lambda exponent: 10.0**exponent)


def parameters(recipe):
    m = recipe.model
    attention = m.width * m.head_width * (2 * m.heads + 2 * m.kv_heads)
    return recipe.tokenizer.vocabulary * m.width + m.layers * (attention + 3 * m.width * m.ffn)


def counts(recipe):
    """Everything that a scale moves."""
    m, p = recipe.model, recipe.problems
    return {
        "width": m.width,
        "inner": m.heads * m.head_width,
        "layers": m.layers,
        "ffn": m.ffn,
        "context": m.context,
        "vocabulary": recipe.tokenizer.vocabulary,
        "tokens": recipe.pretrain.tokens,
        "batch": recipe.pretrain.batch_tokens,
        "sft": recipe.sft.steps,
        "reinforce": recipe.reinforce.steps,
        **{f"problems.{name}": getattr(p, name) for name in ("demonstrations", "train", "validation", "test")},
        **{f"phase.{phase.name}": phase.context for phase in recipe.pretrain.phase if phase.context},
    }


def sane(recipe):
    assert Recipe.model_validate(recipe.model_dump(by_alias=True)) == recipe
    assert recipe.model.head_width % 2 == 0
    assert recipe.pretrain.batch_tokens >= recipe.model.context
    assert all((phase.context or 0) <= recipe.model.context for phase in recipe.pretrain.phase)
    assert recipe.pretrain.tokens >= 4 * recipe.pretrain.batch_tokens


MODELS = st.builds(
    lambda kv, groups, head, width, **rest: Model(kv_heads=kv, heads=kv * groups, head_width=head, width=width, **rest),
    kv=st.integers(1, 32),
    groups=st.integers(1, 16),
    head=st.sampled_from([8, 16, 32, 48, 64, 80, 128]),
    width=st.integers(2, 256).map(lambda n: n * 32),
    layers=st.integers(1, 96),
    ffn=st.integers(32, 20_000),
    context=st.integers(16, 100_000),
)


@given(SCALES)
def test_a_recipe_for_a_cluster_is_one_at_any_scale(scale):
    sane(scaled(CLUSTER, scale))


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.name)
@pytest.mark.parametrize("scale", [1e-7, 1e-3, 0.1, 0.5, 0.999, 1.001, 2, 10])
def test_every_recipe_is_one_at_any_scale(path, scale):
    sane(load_recipe(path, scale=scale).recipe)


@given(MODELS, SCALES)
def test_what_shrinks_is_never_larger_and_what_grows_never_smaller(model, scale):
    before = Recipe(model=model, sft=Sft(steps=7), reinforce=Reinforce(steps=2), problems=Problems(train=50))
    after = scaled(before, scale)
    Recipe.model_validate(after.model_dump(by_alias=True))
    for name, value in counts(after).items():
        assert (value <= counts(before)[name]) if scale <= 1 else (value >= counts(before)[name]), name
    assert after.model.heads // after.model.kv_heads == model.heads // model.kv_heads


@example(10.0**0.25, 10.0**0.375)
@given(SCALES, SCALES)
def test_a_larger_scale_gives_nothing_smaller(one, other):
    small, large = (counts(scaled(CLUSTER, scale)) for scale in sorted((one, other)))
    large["batch"] += large["context"]  # batches are whole numbers of sequences
    assert all(small[name] <= large[name] for name in small)


def test_a_recipe_for_a_cluster_fits_a_laptop():
    small = scaled(CLUSTER, 1e-7)
    assert parameters(CLUSTER) == pytest.approx(3e9, rel=0.3)
    assert 2e5 < parameters(small) < 2e6  # the root of 1e-7 of three billion is a million
    assert small.pretrain.tokens == 2_300_000
    assert 80 < small.pretrain.tokens / small.pretrain.batch_tokens < 1000
    assert small.model.context <= 2048
    assert [phase.context for phase in small.pretrain.phase] == [256, small.model.context]
    assert small.sft.steps == 20 and small.reinforce.steps == 3


@pytest.mark.parametrize("scale", [0.01, 0.1, 0.5])
def test_parameters_shrink_by_about_the_root_of_the_scale(scale):
    ratio = parameters(scaled(CLUSTER, scale)) / parameters(CLUSTER)
    assert ratio == pytest.approx(scale**0.5, rel=0.25)


def test_what_is_switched_off_stays_off_and_the_rest_untouched():
    recipe = Recipe(reinforce=Reinforce(steps=0))
    after = scaled(recipe, 0.01)
    assert after.reinforce == recipe.reinforce
    assert (after.curate, after.export, after.seed) == (recipe.curate, recipe.export, recipe.seed)


def test_rates_grow_by_the_eighth_root():
    """As the best rate falls with compute; a preset's peak, a phase's rates, and those of the later stages."""
    phase = Phase(name="a", share=1.0, lr=Rate(**{"from": 0.0, "to": 1e-3}), mix={"top": 1.0})
    for pretrain in (Pretrain(), Pretrain(preset="own", phase=[phase])):
        after = scaled(Recipe(pretrain=pretrain, sft=Sft(lr=1e-5)), 1e-8)
        assert after.sft.lr == 1e-4 and after.reinforce.lr == 1e-3
        if pretrain.phase:
            assert after.pretrain.phase[0].lr == Rate(**{"from": 0.0, "to": 1e-2})
        else:
            assert after.pretrain.peak_lr == 3e-2


@given(SCALES.filter(lambda scale: scale < 1))
def test_phases_that_say_their_tokens_shrink_with_the_budget(scale):
    """And every batch is a whole number of sequences of every length, its own or the shared one."""
    phases = [
        Phase(name="a", tokens=10**12, lr=1e-3, mix={"top": 1.0}, context=4096),
        Phase(name="b", tokens=3 * 10**12, lr=1e-3, mix={"top": 1.0}, context=65_536, batch_tokens=2 * 65_536),
    ]
    pretrain = Pretrain(preset="own", tokens=4 * 10**12, batch_tokens=16_777_216, phase=phases)
    after = scaled(CLUSTER.model_copy(update={"pretrain": pretrain}), scale).pretrain
    a, b = after.phase
    assert after.tokens == a.tokens + b.tokens
    assert b.tokens / a.tokens == pytest.approx(3, rel=1e-4)
    assert after.batch_tokens % a.context == b.batch_tokens % b.context == 0
    Pretrain.model_validate(after.model_dump(by_alias=True))


def test_reinforcement_keeps_its_stages_and_its_rhythm():
    stages = [ReinforceStage(name="short", share=0.5), ReinforceStage(name="long", share=0.5, max_new_tokens=16_384)]
    whole = Reinforce(steps=2400, max_new_tokens=8192, validate_every=100, reset=Reset(every=400), stage=stages)
    small = scaled(Recipe(model=Model(context=131_072), reinforce=whole), 1e-6).reinforce
    assert (small.steps, small.reset.every, small.validate_every) == (4, 1, 1)
    assert [len(stage.steps) for stage in stages_of(small)] == [2, 2]
    assert stages_of(small)[1].settings.max_new_tokens == 2 * small.max_new_tokens


def test_shaping_shrinks_with_answers_and_steps():
    length = LengthReward(high=0.2)  # on for 100 steps, off for 500
    stages = [ReinforceStage(name="a", share=0.5), ReinforceStage(name="b", share=0.5, shaping=Shaping(overlong=4096))]
    shaping = Shaping(overlong=2048, length=length)
    whole = Reinforce(steps=2400, max_new_tokens=8192, shaping=shaping, stage=stages)
    small = scaled(Recipe(model=Model(context=131_072), reinforce=whole), 1e-2).reinforce
    first, last = (stage.settings.shaping for stage in stages_of(small))
    assert first.overlong == pytest.approx(small.max_new_tokens / 4, abs=1) and last.overlong == 2 * first.overlong
    assert first.length == last.length == LengthReward(high=0.2, on=1, off=5)
