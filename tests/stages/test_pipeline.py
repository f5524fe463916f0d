import dataclasses
import json
import os
import shutil
import time

import pytest

from underdog.artifacts.store import Artifact, load
from underdog.errors import UserError
from underdog.generate.open import open_model
from underdog.recipe.schema import Recipe
from underdog.stages.order import fingerprint, held_out_texts, stages, steps_of_same_time
from underdog.stages.pipeline import check_stage, log_so_far, open_run, run_folder, run_recipe
from underdog.verify.problem_files import read_problems

NAMES = [
    *("problems", "curate", "tokenize", "pretrain", "evaluate-pretrain", "sft", "evaluate-sft"),
    *("reinforce", "evaluate-reinforce", "export"),
]


def test_a_run_makes_every_stage_in_order(made, root, small):
    assert list(made.artifacts) == NAMES
    assert made.folder == run_folder(small().recipe, root)
    assert made.model is made.artifacts["reinforce"]
    for artifact in made.artifacts.values():
        assert load(artifact.path) == artifact
        assert artifact.path.parent == root / "store"
        json.dumps(artifact.manifest, allow_nan=False)


def test_its_folder_says_what_it_is_made_of(made):
    record = json.loads((made.folder / "run.json").read_text())
    assert Recipe.model_validate(record["recipe"]) == made.recipe
    assert record["artifacts"] == {name: artifact.path.name for name, artifact in made.artifacts.items()}
    assert open_run(made.folder) == made
    link = made.folder / "model"
    assert link.is_symlink() and not os.path.isabs(os.readlink(link))
    assert open_model(made.folder).name == "small"


def test_the_second_time_everything_is_there(made, root, small, watcher):
    again = run_recipe(small().recipe, root, watcher)
    assert watcher.reused == watcher.stages == NAMES
    assert again == made


@pytest.mark.parametrize(
    ("override", "first"),
    [
        ("name=other", None),
        ("threads=2", None),
        ("export.formats=['f32']", "export"),
        ("reinforce.kl=0.5", "reinforce"),
        ("sft.lr=0.5", "sft"),
        ("model.ffn=64", "pretrain"),
        ("tokenizer.vocabulary=420", "tokenize"),
        ("curate.minimum_characters=60", "curate"),
        ("problems.train=41", "problems"),
    ],
)
def test_a_changed_setting_changes_what_depends_on_it(made, root, small, override, first):
    """By the keys alone: nothing is made here."""
    from underdog.artifacts.store import Store

    store, artifacts, fresh = Store(root / "store"), dict(made.artifacts), []
    for stage in stages(small(override).recipe):
        parents = {name: artifacts[name] for name in stage.parents}
        key = store.key(stage.kind, stage.version, stage.settings, stage.seed, parents)
        if (found := store.find(stage.kind, key)) is None:
            fresh.append(stage.name)
            found = Artifact(root / "nowhere", {"key": key})
        artifacts[stage.name] = found
    assert fresh == (NAMES[NAMES.index(first) :] if first else [])


def test_a_seed_changes_the_training_and_not_the_data(small):
    def seeds(override):
        return {stage.name: stage.seed for stage in stages(small(override).recipe)}

    one, two = seeds("seed=1"), seeds("seed=2")
    assert one["problems"] == two["problems"] is None
    assert all(one[name] != two[name] for name in ("pretrain", "sft", "reinforce", "evaluate-sft"))
    trained = [one[name] for name in ("pretrain", "sft", "reinforce")]
    assert len(set(trained)) == 3
    assert one["evaluate-pretrain"] == one["evaluate-sft"]  # the same draws for all: they are compared


def test_a_run_that_stops_early_hides_nothing(made, root, small, watcher):
    run_recipe(small().recipe, root, watcher, until="tokenize")
    assert watcher.stages == NAMES[:3]
    assert open_run(made.folder) == made
    record = made.folder / "run.json"
    record.write_text("garbled")
    run_recipe(small().recipe, root, watcher)
    assert open_run(made.folder) == made


def test_a_record_ends_where_an_artifact_is_gone(made, root, small, watcher):
    evaluation = made.artifacts["evaluate-sft"].path
    evaluation.rename(evaluation.with_name("aside"))
    try:
        run_recipe(small().recipe, root, watcher, until="problems")
        assert list(open_run(made.folder).artifacts) == NAMES[: NAMES.index("evaluate-sft")]
    finally:
        evaluation.with_name("aside").rename(evaluation)
    assert run_recipe(small().recipe, root, watcher) == made


def test_the_log_of_a_stage_can_be_read_while_it_goes_on(made, root):
    finished = made.artifacts["reinforce"]
    assert log_so_far(made, "reinforce") == finished.log() != []
    before = {name: made.artifacts[name] for name in NAMES[: NAMES.index("reinforce")]}
    going_on = dataclasses.replace(made, artifacts=before)
    assert log_so_far(going_on, "reinforce") == []
    draft = root / "store" / f"reinforce-{finished.key}.partial"
    draft.mkdir()
    try:
        (draft / "log.jsonl").write_text('{"step": 0, "reward": 0.5}\n{"step": 1, "rew')
        assert log_so_far(going_on, "reinforce") == [{"step": 0, "reward": 0.5}]
    finally:
        shutil.rmtree(draft)


def test_a_run_without_reinforcement(made, root, small, watcher):
    run = run_recipe(small("reinforce.steps=0").recipe, root, watcher)
    assert list(run.artifacts) == [name for name in NAMES if "reinforce" not in name]
    assert run.model is run.artifacts["sft"]
    assert watcher.reused == NAMES[:7]


def test_control_takes_the_time_of_reinforcement(small):
    names = [stage.name for stage in stages(small("control.enabled=true").recipe)]
    assert names == [*NAMES[:-1], "control", "evaluate-control", "export"]

    def artifact(**manifest):
        return Artifact(None, manifest)

    sft = artifact(metrics={"steps": 100}, seconds=20.0)
    assert steps_of_same_time(sft, artifact(seconds=30.0)) == 150
    assert steps_of_same_time(sft, artifact(seconds=0.001)) == 1


def test_a_stage_that_does_not_exist(small):
    check_stage(small().recipe, "sft")
    with pytest.raises(UserError, match='no stage "stf"') as error:
        check_stage(small().recipe, "stf")
    assert error.value.hint == 'Did you mean "sft"?'
    with pytest.raises(UserError, match='no stage "reinforce"'):
        check_stage(small("reinforce.steps=0").recipe, "reinforce")


def test_what_is_held_out(made):
    folder = made.artifacts["problems"].path
    texts = held_out_texts(made.artifacts["problems"])
    for split, size in (("validation", 6), ("test", 10)):
        problems = read_problems(folder / f"{split}.jsonl")
        assert len(problems) == size
        assert all(texts[problem.id] == problem.prompt[-1].content for problem in problems)
    assert not texts.keys() & {problem.id for problem in read_problems(folder / "train.jsonl")}


def touched(path, text="changed"):
    path.write_text(text)
    os.utime(path, ns=(time.time_ns(), time.time_ns() + 1_000_000))


def test_changed_files_are_noticed(tmp_path):
    for name in ("a.txt", "inner/b.txt", "inner/deep/c.txt", "odd[1].txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("text")
    sources = {
        "folder": (str(tmp_path), "inner/deep/c.txt"),
        "file": (str(tmp_path / "a.txt"), "a.txt"),
        "glob": (str(tmp_path / "*.txt"), "a.txt"),
        "deep glob": (str(tmp_path / "**" / "*.txt"), "inner/deep/c.txt"),
        "name that looks like a glob": (str(tmp_path / "odd[1].txt"), "odd[1].txt"),
    }
    for kind, (source, name) in sources.items():
        before = fingerprint([source])
        assert fingerprint([source]) == before, kind
        touched(tmp_path / name, f"changed by {kind}")
        assert fingerprint([source]) != before, kind
    before = fingerprint([str(tmp_path)])
    (tmp_path / "new.txt").write_text("new")
    assert fingerprint([str(tmp_path)]) != before
    assert fingerprint(["python-docs"]) == fingerprint([])


@pytest.mark.parametrize(
    "content", ["{}", "[]", '{"recipe": {}, "artifacts": 3}', '{"recipe": 3, "artifacts": {}}', "x"]
)
def test_a_garbled_record_is_named(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(UserError, match=r"run\.json is not"):
        open_run(tmp_path)


def test_a_run_whose_artifact_is_gone(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text('{"recipe": {}, "artifacts": {"sft": "sft-123"}}')
    with pytest.raises(UserError, match="sft-123 is not an artifact"):
        open_run(tmp_path / "run")
    with pytest.raises(UserError, match="is not a run"):
        open_run(tmp_path)
