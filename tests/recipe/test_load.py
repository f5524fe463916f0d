import pytest

from underdog.errors import UserError
from underdog.recipe.load import load_recipe, parse_override, replaced
from underdog.recipe.schema import Recipe

PHASES = """
[pretrain]
preset = "own"

[[pretrain.phase]]
name = "one"
share = 0.4
lr = { from = 0, to = 1e-3 }
mix = { top = 1.0 }

[[pretrain.phase]]
name = "two"
share = 0.6
lr = 1e-3
mix = { top = 0.5, high = 0.5 }
"""


def origins(resolved):
    return {key: origin for key, _, origin in resolved.settings()}


def test_an_empty_recipe_is_all_defaults(resolve):
    resolved = resolve("")
    assert resolved.recipe.model_copy(update={"pretrain": Recipe().pretrain}) == Recipe()
    found = origins(resolved)
    assert found.pop("pretrain.phase.3.lr.to") == "preset fg-wsd"
    assert set(found.values()) == {"default", "preset fg-wsd"}


@pytest.mark.parametrize(
    ("text", "line", "says", "hint"),
    [
        ("[model]\nwidht = 3", 2, 'recipe has no key "model.widht"', 'Did you mean "width"?'),
        ("\n[modle]\nwidth = 3", 2, 'recipe has no section "modle"', 'Did you mean "model"?'),
        ("seeed = 3", 1, 'recipe has no key "seeed"', 'Did you mean "seed"?'),
        ("[sft]\nkl = 3", 2, 'recipe has no key "sft.kl"', 'Did you mean "reinforce.kl"?'),
        ("[sft]\n\nzzz = 3", 3, 'recipe has no key "sft.zzz"', "Known: adapter, batch_tokens, budget"),
        ("[sft]\n[sft.optimizer]\nkid = 'muon'", 3, 'no key "sft.optimizer.kid"', 'Did you mean "kind"?'),
        ("[reinforce]\nreset = { evry = 3 }", 2, 'no key "reinforce.reset.evry"', 'Did you mean "every"?'),
        ("[sft]\nsteps = '3'", 2, "sft.steps: Input should be a valid integer (given: '3')", None),
        ("[sft]\nsteps = 3.0", 2, "sft.steps: Input should be a valid integer (given: 3.0)", None),
        ("[sft]\nsteps = 0", 2, "sft.steps: Input should be greater than or equal to 1 (given: 0)", None),
        ("[sft]\nlr = inf", 2, "sft.lr: Input should be a finite number (given: inf)", None),
        ("[model]\nfamily = 'gpt'", 2, "Input should be 'llama', 'qwen2' or 'qwen3' (given: 'gpt')", None),
        ("[model]\nheads = 5\n", 1, "model: heads (5) must be a multiple of kv_heads (2)", None),
        ("[refine]\nteacher = 'a'", 2, 'no key "refine.teacher"', 'Did you mean "teachers"?'),
        ("[refine]\nleast = 9.0", 1, "refine: least (9) is above enough (8)", None),
        ("[refine]\nevaluators = ['a']", 1, "refine: evaluators need teachers who draft", None),
        ("[reconstruct]\njudge = 'own'", 1, "reconstruct: a judge needs a teacher", None),
        ("[refine]\nbudget = { money = 3.0 }", 2, "refine.budget: a budget of money needs price_in or price_out", None),
        ("[export]\nformats = ['f32',\n 'q5']", 2, "export.formats.1: Input should be 'f32', 'f16', 'q8_0' or", None),
        ("\nsft = 3", 2, "sft: should be a table of settings (given: 3)", None),
        ("curate = { keep = 3 }", 1, "curate.keep: should be a table of settings (given: 3)", None),
        ("curate = { keep = { top = 'all' } }", 1, "curate.keep.top: Input should be a valid number", None),
        ("name = 'a/b'", 1, "name: must be fit for a folder's name", None),
        (PHASES.replace("1e-3", "'a'"), 8, "pretrain.phase.0.lr.to: Input should be a valid number", None),
        (PHASES.replace("to =", "too ="), 8, 'no key "pretrain.phase.0.lr.too"', 'Did you mean "to"?'),
        (PHASES.replace("lr = 1e-3", "lr = -1"), 14, "pretrain.phase.1.lr: Input should be greater", None),
        (PHASES.replace("lr = 1e-3", "lr = 'a'"), 14, "pretrain.phase.1.lr: Input should be a valid number", None),
        (PHASES.replace("share = 0.6", "shar = 0.6"), 13, 'no key "pretrain.phase.1.shar"', 'Did you mean "share"?'),
        (PHASES.replace("share = 0.6", ""), 11, 'phase "two" should have either a share or tokens', None),
        (
            PHASES.replace("share = 0.4", "share = 0.3"),
            7,
            "the shares of the pretraining phases add up to 0.9, not 1",
            None,
        ),
        (PHASES.replace("high = 0.5", "high = 0.6"), 15, 'the mix of phase "two" adds up to 1.1, not 1', None),
        (PHASES + "context = 600", 16, 'phase "two" has sequences of 600 tokens; model.context is 512', None),
        (PHASES.replace('"own"', '"wsd"'), 5, "[[pretrain.phase]] tables and pretrain.preset", 'Use preset = "own"'),
        (
            PHASES.replace("top = 1.0", "tpo = 1.0"),
            9,
            'phase "one" mixes in "tpo", which is neither',
            'Did you mean "top"?',
        ),
        (PHASES.replace("top = 1.0", "python-dosc = 1.0"), 9, 'mixes in "python-dosc"', 'Did you mean "python-docs"?'),
        (
            PHASES.replace("top = 1.0", "'top/python-dosc' = 1.0"),
            9,
            'mixes in "top/',
            'Did you mean "top/python-docs"?',
        ),
        (PHASES + "[curate]\nkeep = { top = 0.5 }", 15, 'keeps nothing as "high"', "Let curate.keep name high"),
        (PHASES + "[curate]\nthresholds = { top = 0.5 }", 15, 'thresholds keeps nothing as "high"', "Let curate.thr"),
        (PHASES.replace("to = 1e-3", "to = 1e-3, shape = 'constant'"), 8, "goes from 0 to 0.001", "Say lr = 0"),
        (PHASES.replace("share = 0.4", "tokens = 5"), 7, "hold 5 tokens and 0.6 of 3,000,000", "Change a phase's"),
        (PHASES.replace("share = 0.4", "share = 0.4\ntokens = 5"), 5, "either a share or tokens", None),
        (
            PHASES.replace('"own"', '"own"\ntokens = 7')
            .replace("share = 0.4", "tokens = 5")
            .replace("share = 0.6", "tokens = 5"),
            4,
            "pretrain.tokens is 7, but the phases hold 10",
            "Leave pretrain.tokens out",
        ),
        ("\n[pretrain]\npreset = 'own'", 3, "there is no [[pretrain.phase]]", None),
        ("\nextends = 'base.toml'", 2, "there is no recipe {folder}/base.toml", "Did you mean"),
    ],
)
def test_every_mistake_is_named_with_its_line(tmp_path, recipe_file, text, line, says, hint):
    path = recipe_file(text)
    with pytest.raises(UserError) as error:
        load_recipe(path)
    message = str(error.value)
    assert message.startswith(f"{path} line {line}: ")
    assert says.format(folder=tmp_path) in message
    assert (error.value.hint or "").startswith(hint or "")
    assert hint or not error.value.hint


def test_bad_toml_names_its_line(recipe_file):
    path = recipe_file("[model]\nwidth = \n")
    with pytest.raises(UserError, match=r"a\.toml is not valid TOML: Invalid value \(at line 2, column 9\)"):
        load_recipe(path)
    with pytest.raises(UserError, match="not valid TOML"):
        load_recipe(recipe_file("a = 1\na = 2"))
    with pytest.raises(UserError, match="not valid TOML"):
        load_recipe(recipe_file(f"a = {'[' * 3000}"))


def test_files_that_cannot_be_read(tmp_path, recipe_file):
    path = recipe_file("")
    with pytest.raises(UserError, match="There is no recipe") as error:
        load_recipe(tmp_path / "aa.toml")
    assert error.value.hint == f"Did you mean {path}?"
    with pytest.raises(UserError, match="cannot be read: Is a directory") as error:
        load_recipe(tmp_path)
    assert error.value.hint == f"There are: {path}."
    with pytest.raises(UserError, match="cannot be read"):
        load_recipe(path / "b.toml")
    path.write_bytes(b'name = "caf\xe9"')
    with pytest.raises(UserError, match="is not UTF-8"):
        load_recipe(path)


def test_editors_that_mark_their_utf8_are_welcome(tmp_path):
    (tmp_path / "a.toml").write_text('name = "лиса"', encoding="utf-8-sig")
    assert load_recipe(tmp_path / "a.toml").recipe.name == "лиса"


def test_a_recipe_goes_over_what_it_extends(recipe_file):
    recipe_file("name = 'bottom'\n[sft]\nsteps = 3\nlr = 0.5\n[reinforce.reset]\nevery = 7\n", "base/bottom.toml")
    recipe_file("extends = '../base/bottom.toml'\n[sft]\nsteps = 4\n[reinforce]\nkl = 0.5", "mid/middle.toml")
    top = recipe_file("extends = 'mid/middle.toml'\nname = 'top'\n[sft]\nlr = 0.25")
    resolved = load_recipe(top)
    recipe = resolved.recipe
    assert (recipe.name, recipe.sft.steps, recipe.sft.lr) == ("top", 4, 0.25)
    assert (recipe.reinforce.kl, recipe.reinforce.reset.every) == (0.5, 7)
    found = origins(resolved)
    assert found["sft.lr"] == f"{top} line 4"
    assert found["sft.steps"] == f"{top.parent}/mid/middle.toml line 3"
    assert found["reinforce.reset.every"].endswith("bottom.toml line 6")
    assert found["reinforce.rollouts"] == "default"


def test_lists_are_replaced_and_their_old_lines_forgotten(recipe_file):
    recipe_file(PHASES, "base.toml")
    text = "extends = 'base.toml'\n[[pretrain.phase]]\nname = 'all'\nshare = 1.0\nmix = { top = 1.0 }\nlr = 1e-3"
    resolved = load_recipe(recipe_file(text))
    assert [phase.name for phase in resolved.recipe.pretrain.phase] == ["all"]
    assert not any("base.toml" in origin for key, origin in resolved.origins.items() if "phase" in key)
    with pytest.raises(UserError, match=r'a\.toml line 2: .* phase "all" should have either a share or tokens'):
        load_recipe(recipe_file(text.replace("share = 1.0", "")))


def test_a_linked_recipe_extends_from_where_it_really_is(tmp_path, recipe_file):
    recipe_file("name = 'base'", "real/base.toml")
    real = recipe_file("extends = 'base.toml'", "real/real.toml")
    (tmp_path / "link.toml").symlink_to(real)
    assert load_recipe(tmp_path / "link.toml").recipe.name == "base"


@pytest.mark.parametrize(
    "files",
    [
        {"a.toml": "a.toml"},
        {"a.toml": "b.toml", "b.toml": "a.toml"},
        {"a.toml": "inner/b.toml", "inner/b.toml": "../a.toml"},
        {"a.toml": "../{folder}/a.toml"},
    ],
)
def test_circles_are_named(tmp_path, recipe_file, files):
    for name, base in files.items():
        recipe_file(f"extends = '{base.format(folder=tmp_path.name)}'", name)
    with pytest.raises(UserError, match=r"extend each other in a circle: .*a\.toml → ") as error:
        load_recipe(tmp_path / "a.toml")
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("sft.steps=200", "sft.steps", 200),
        (" sft.lr = 1e-3 ", "sft.lr", 1e-3),
        ("model.tied=false", "model.tied", False),
        ("name=demo", "name", "demo"),
        ('name="a b"', "name", "a b"),
        ("name=", "name", ""),
        ("name=a=b", "name", "a=b"),
        ("curate.sources=['a', 'b']", "curate.sources", ["a", "b"]),
        ("curate.keep={top=0.5}", "curate.keep", {"top": 0.5}),
        ("curate.sources=/some/folder", "curate.sources", "/some/folder"),
        ("pretrain.tokens=1_000", "pretrain.tokens", 1000),
    ],
)
def test_overrides_hold_toml_values(text, key, value):
    assert parse_override(text) == (key, value)


@pytest.mark.parametrize("text", ["sft.steps", "=3", "", " = 3"])
def test_an_override_has_a_key_and_a_value(text):
    with pytest.raises(UserError, match=r"not of the form section\.key=value"):
        parse_override(text)


def test_overrides_win_and_say_so(resolve):
    overrides = ("sft.steps=7", "name=other", "reinforce.reset={every=3}", "pretrain.phase.1.lr=0.5", "sft.steps=8")
    resolved = resolve(PHASES + "[reinforce.reset]\nevery = 9\noptimizer = 'keep'", *overrides)
    recipe = resolved.recipe
    assert (recipe.sft.steps, recipe.name, recipe.reinforce.reset.every) == (8, "other", 3)
    assert recipe.reinforce.reset.optimizer == "clear"  # the whole table was replaced
    assert recipe.pretrain.phase[1].lr == 0.5
    found = origins(resolved)
    for key in ("sft.steps", "name", "reinforce.reset.every", "reinforce.reset.optimizer", "pretrain.phase.1.lr"):
        assert found[key] == "--set"
    assert found["pretrain.phase.0.lr.to"].endswith("line 8")


@pytest.mark.parametrize(
    ("override", "says", "hint"),
    [
        ("reinfroce.kl=0", '--set: recipe has no section "reinfroce".', 'Did you mean "reinforce"?'),
        ("reinforce.kll=0", '--set: recipe has no key "reinforce.kll".', 'Did you mean "reinforce.kl"?'),
        ("steps=3", '--set: recipe has no key "steps".', 'Did you mean "sft.steps"?'),
        ("sft.steps=many", "--set: sft.steps: Input should be a valid integer (given: 'many').", None),
        ("sft=3", "--set: sft: should be a table of settings (given: 3).", None),
        ("name.x=3", '--set "name.x=3": "name" holds a value, not a section.', None),
        ("pretrain.phase.2.lr=1", '--set "pretrain.phase.2.lr=1": there is no item "2" in a list of 2;', None),
        ("pretrain.phase.one.lr=1", '--set "pretrain.phase.one.lr=1": there is no item "one"', None),
        ("pretrain.phase.-1=1", '--set "pretrain.phase.-1=1": there is no item "-1"', None),
        ("pretrain.phase.0.share=0.5", "--set: the shares of the pretraining phases add up to 1.1, not 1.", None),
        ("a..b=3", '--set: recipe has no section "a".', "Known: "),
    ],
)
def test_mistakes_in_overrides(resolve, override, says, hint):
    with pytest.raises(UserError) as error:
        resolve("name = 'x'\n" + PHASES, override)
    assert str(error.value).startswith(says)
    assert (error.value.hint or "").startswith(hint or "")


def test_scale_is_an_origin(resolve):
    resolved = resolve(PHASES + "context = 512\n[model]\nwidth = 768", scale=0.001)
    found = origins(resolved)
    assert found["model.width"] == found["pretrain.tokens"] == "--scale 0.001"
    assert found["pretrain.phase.1.context"] == "--scale 0.001"
    assert found["pretrain.phase.1.mix.top"].endswith("line 15")
    assert found["model.rope_base"] == "default"


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan")])
def test_scales_that_cannot_be(resolve, scale):
    with pytest.raises(UserError, match="cannot be"):
        resolve("", scale=scale)


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        ("[reinforce]\nsteps = 0\nkl = 0.1\n[control]\nenabled = true", ["control.enabled", "reinforce.kl"]),
        ("[reinforce]\nsteps = 1\nkl = 0.1\n[control]\nenabled = true", []),
        (PHASES.replace('"own"', '"own"\npeak_lr = 1e-3'), ["pretrain.peak_lr"]),
        ("[pretrain]\npeak_lr = 1e-3", []),
        ("[reinforce.reset]\nevery = 0\non_stall = false\noptimizer = 'keep'", ["reinforce.reset.optimizer"]),
        ("[reinforce.reset]\nevery = 0\non_stall = true\noptimizer = 'keep'", []),
        (
            "[refine]\nteachers = []\nrounds = 3\n[reconstruct]\nown = { steps = 3 }",
            ["refine.rounds", "reconstruct.own.steps"],
        ),
        ("[reinforce.reset]\nevery = 0\non_stall = false\non_kl = 0.5\noptimizer = 'keep'", []),
        ("[reinforce]\nreset = { every = 0, on_stall = false, optimizer = 'keep' }", ["reinforce.reset.optimizer"]),
        ("[reinforce]\nkl = 0.0\nreset = { on_kl = 0.5 }", ["reinforce.reset.on_kl"]),
        ("[reinforce]\nkl = 0.0\nloss = { ratio = 'sequence', kl_estimator = 'k2' }", ["reinforce.loss.kl_estimator"]),
        (
            "[reinforce]\nkl = 0.0\nloss.kl_estimator = 'k2'\n[[reinforce.stage]]\nname = 'a'\nshare = 1.0\nkl = 0.1",
            [],
        ),
        (
            "[reinforce]\nentropy = { step = 0.01 }\nprofile = { low = 0.2 }",
            ["reinforce.entropy.step", "reinforce.profile.low"],
        ),
        ("[sft]\nadapter = { rank = 16, precision = 'nf4' }", ["[sft.adapter] rank, precision"]),
        ("[sft]\nadapter = { kind = 'lora', rank = 16 }", []),
        ("[distill]\nsteps = 1\nteacher = 'a'\njsd_beta = 0.3", ["distill.jsd_beta"]),
        ("[distill]\nsteps = 1\nteacher = 'a'\ndivergence = 'jsd'\njsd_beta = 0.3", []),
        ("[refine]\nteachers = ['a']\nrounds = 3", []),
        ("[reconstruct]\nteacher = 'a'\nsummary = true\nown.steps = 3", ["reconstruct.own.steps"]),
        ("[reconstruct]\nteacher = 'own'\nsummary = true\nown.steps = 3", ["reconstruct.summary"]),
    ],
)
def test_settings_without_effect_are_named_with_their_line(resolve, text, warned):
    warnings = resolve(text).warnings
    assert [warning.split(" (")[0] for warning in warnings] == warned
    assert all(" line " in warning and " no effect: " in warning for warning in warnings)


def test_a_stage_that_is_off_is_one_warning(resolve):
    rest = "lr = 1e-4\nkl = 0.1\nclip = [0.2, 0.2]\nrollouts = 4\nprompts = 8\nminibatches = 1\n"
    (warning,) = resolve(f"[reinforce]\nsteps = 0\n{rest}").warnings
    named = "[reinforce] lr, kl, clip, rollouts and 2 more"
    assert warning.startswith(named) and warning.endswith("line 3) have no effect: reinforce.steps is 0.")


def test_a_switch_changes_settings_and_checks_them(resolve):
    resolved = resolve(PHASES)
    changed = replaced(resolved, {"reinforce.kl": 0.0, "seed": 5})
    assert (changed.recipe.reinforce.kl, changed.recipe.seed) == (0.0, 5)
    assert origins(changed)["reinforce.kl"] == "switch"
    assert resolved.recipe.seed == 1
    with pytest.raises(UserError, match=r'no key "reinforce\.kll"'):
        replaced(resolved, {"reinforce.kll": 0.0})
    with pytest.raises(UserError, match=r"add up to 1\.1"):
        replaced(resolved, {"pretrain.phase.0.share": 0.5})


def test_a_switch_of_preset_writes_its_phases_anew(resolve):
    fg_wsd = resolve("[pretrain]\npeak_lr = 0.01")
    wsd = replaced(fg_wsd, {"pretrain.preset": "wsd"})
    assert wsd.recipe == resolve("[pretrain]\npeak_lr = 0.01\npreset = 'wsd'").recipe
    assert replaced(wsd, {"pretrain.preset": "fg-wsd"}).recipe == fg_wsd.recipe
    assert origins(wsd)["pretrain.phase.0.lr.to"] == "preset wsd"
    assert replaced(resolve(PHASES), {"pretrain.preset": "fg-wsd"}).recipe.pretrain.phase[0].name == "warm-up"


def test_a_switch_that_changes_nothing_gives_the_same_recipe(resolve):
    for text in ("", PHASES):
        assert replaced(resolve(text), {}).recipe == resolve(text).recipe


IN_TOKENS = PHASES.replace("share = 0.4", "tokens = 400_000").replace("share = 0.6", "tokens = 600_000")


def test_phases_in_tokens_make_the_budget(resolve):
    resolved = resolve(IN_TOKENS)
    assert resolved.recipe.pretrain.tokens == 1_000_000
    assert resolve(IN_TOKENS, "pretrain.phase.0.tokens=100_000").recipe.pretrain.tokens == 700_000
    assert replaced(resolved, {"pretrain.phase.0.tokens": 100_000}).recipe.pretrain.tokens == 700_000
    assert resolve(IN_TOKENS, scale=0.5).recipe.pretrain.tokens == 500_000
    mixed = PHASES.replace("share = 0.4", "tokens = 1_200_000")
    assert resolve(mixed).recipe.pretrain.tokens == 3_000_000


def test_sources_of_text_can_be_mixed_in(resolve):
    mix = "'python-docs' = 0.5, 'top/~/articles' = 0.25, arithmetic = 0.25"
    text = PHASES.replace("top = 1.0", mix) + "[curate]\nsources = ['python-docs', '~/articles']"
    assert resolve(text).recipe.pretrain.phase[0].mix["top/~/articles"] == 0.25
