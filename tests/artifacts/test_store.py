import json
import signal
import subprocess
import sys
import time

import pytest

from underdog.artifacts.files import write_json
from underdog.artifacts.store import LOG, MANIFEST, STATE, Draft, Store, load
from underdog.errors import UserError


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def write(**files):
    """A stage that writes these files."""

    def build(out):
        for name, text in files.items():
            (out.path / name).write_text(text)

    return build


def names(folder):
    return sorted(path.name for path in folder.iterdir())


HEAD = """
import os, signal, sys
from pathlib import Path
import underdog.artifacts.store as module
from underdog.errors import UserError
store = module.Store(Path(sys.argv[1]))
def kill(*_): os.kill(os.getpid(), signal.SIGKILL)
"""


def child(code, store):
    """Runs code that knows `store`, its `module` and `kill` in a process of its own."""
    return subprocess.run([sys.executable, "-c", HEAD + code, str(store.root)], check=False)


def test_an_artifact_is_a_folder_with_a_manifest(store):
    parent, _ = store.make("read", write(text="abc"))

    def build(out):
        (out.path / "inner").mkdir()
        (out.path / "inner" / "b").write_text("b")
        out.metrics["loss"] = 1.5
        out.log(step=0, loss=2.0)
        out.log(step=1, loss=1.5)

    made, reused = store.make("train", build, settings={"lr": 0.1}, seed=7, parents={"text": parent})
    assert not reused
    assert made.path == store.root / f"train-{made.key}"
    assert (made.stage, made.metrics) == ("train", {"loss": 1.5})
    assert made.log() == [{"step": 0, "loss": 2.0}, {"step": 1, "loss": 1.5}]
    assert {"settings": {"lr": 0.1}, "seed": 7, "parents": {"text": parent.path.name}}.items() <= made.manifest.items()
    assert made.manifest["files"].keys() == {"inner/b", LOG}
    assert store.parents(made) == {"text": parent}
    assert load(made.path) == made == store.find("train", made.key)
    assert names(store.root) == sorted([".locks", parent.path.name, made.path.name])


def test_the_same_request_is_made_once(store):
    made, _ = store.make("a", write(x="1"))
    again, reused = store.make("a", lambda out: pytest.fail("made again"))
    assert reused
    assert again == made


def test_every_ingredient_changes_the_key(store):
    def parent(text):
        return store.make("parent", write(x="1"), settings=text)[0]

    asked = {"version": 1, "settings": {"a": 1, "b": [2]}, "seed": 1, "parents": {"p": parent("one")}}
    changes = [
        {},
        {"version": 2},
        {"settings": {"a": 1, "b": [3]}},
        {"settings": {"a": 1}},
        {"seed": 2},
        {"seed": None},
        {"parents": {"p": parent("two")}},
        {"parents": {"q": parent("one")}},
        {"parents": {}},
    ]
    keys = [store.key("a", **{**asked, **change}) for change in changes] + [store.key("b", **asked)]
    assert len(set(keys)) == len(keys)
    assert store.key("a", **{**asked, "settings": {"b": [2], "a": 1}}) == keys[0]


def test_a_parent_that_was_made_differently_makes_its_children_anew(store):
    """Lineage: the key hangs on the whole chain above."""
    for setting in (1, 2):
        top, _ = store.make("a", write(x="1"), settings=setting)
        middle, _ = store.make("b", write(y="1"), parents={"a": top})
        _, reused = store.make("c", write(z="1"), parents={"b": middle})
        assert not reused


def test_a_build_that_raises_leaves_no_artifact(store):
    def build(out):
        (out.path / "x").write_text("half")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        store.make("a", build)
    key = store.key("a", 1, None, None, {})
    assert store.find("a", key) is None
    made, reused = store.make("a", lambda out: (out.path / "y").write_text(str(names(out.path))))
    assert not reused
    assert (made.path / "y").read_text() == "[]"  # nothing to resume from: the half is gone


def test_the_state_of_a_build_that_raises_survives(store):
    def build(out):
        out.state.mkdir()
        (out.state / "position").write_text("7")
        (out.path / "half").write_text("stale")
        out.log(step=6)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        store.make("a", build)

    def resume(out):
        assert names(out.path) == [LOG, STATE]  # what the killed attempt wrote besides might never be written again
        assert (out.state / "position").read_text() == "7"
        out.log(step=7)

    made, reused = store.make("a", resume)
    assert not reused
    assert names(made.path) == [LOG, MANIFEST]
    assert [record["step"] for record in made.log()] == [6, 7]


BUILD = """
def build(out):
    out.state.mkdir(exist_ok=True)
    (out.state / 'position').write_text('7')
    (out.path / 'x').write_text('1')
"""
KILLED = {
    "while building": "def late(out): build(out); kill()\nstore.make('a', late)",
    "before the manifest": "module.write_json = kill\nstore.make('a', build)",
    "while the manifest is written": "os.fsync = kill\nstore.make('a', build)",
    "before the rename": "module.commit_folder = kill\nstore.make('a', build)",
}


@pytest.mark.parametrize("moment", KILLED)
def test_a_killed_build_leaves_its_state_and_no_artifact(store, moment):
    assert child(BUILD + KILLED[moment], store).returncode == -signal.SIGKILL
    key = store.key("a", 1, None, None, {})
    assert store.find("a", key) is None

    def resume(out):
        assert (out.state / "position").read_text() == "7"
        (out.path / "x").write_text("2")

    made, _ = store.make("a", resume)
    assert names(made.path) == [MANIFEST, "x"]
    assert load(made.path).manifest["files"].keys() == {"x"}


def test_a_kill_right_after_the_rename_leaves_the_artifact(store):
    code = BUILD + "def after(*_): rename(*_); kill()\nrename = module.commit_folder\nmodule.commit_folder = after\n"
    assert child(code + "store.make('a', build)", store).returncode == -signal.SIGKILL
    made, reused = store.make("a", lambda out: pytest.fail("made again"))
    assert reused
    assert names(made.path) == [MANIFEST, "x"]


def test_two_processes_never_make_the_same_thing(store, tmp_path):
    waiting = tmp_path / "waiting"
    code = f"""
def build(out):
    Path({str(waiting)!r}).touch()
    sys.stdin.read()
    (out.path / 'x').write_text('first')
store.make('a', build)
"""
    first = subprocess.Popen([sys.executable, "-c", HEAD + code, str(store.root)], stdin=subprocess.PIPE)
    try:
        while not waiting.exists():
            assert first.poll() is None
            time.sleep(0.01)
        with pytest.raises(UserError, match="Another process is making a-"):
            store.make("a", lambda out: pytest.fail("made twice"))
        store.make("b", write(x="other things go on"))
        first.communicate(b"")
        assert first.returncode == 0
    finally:
        first.kill()
        first.wait()
    made, reused = store.make("a", write(x="second"))
    assert reused
    assert (made.path / "x").read_text() == "first"


def test_a_killed_process_leaves_no_lock(store):
    assert child("store.make('a', kill)", store).returncode == -signal.SIGKILL
    store.make("a", write(x="1"))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: (folder / "x").unlink(), "x is missing"),
        (lambda folder: (folder / "x").write_text("abd"), "x differs from its digest"),
        (lambda folder: (folder / "x").write_text("abcd"), "x differs from its digest"),
    ],
)
def test_a_damaged_artifact_names_the_file_and_the_remedy(store, damage, says):
    made, _ = store.make("a", write(x="abc", y="fine"))
    damage(made.path)
    with pytest.raises(UserError, match=f"Artifact {made.path.name} is damaged: {says}") as error:
        store.make("a", write(x="abc"))
    assert str(made.path) in error.value.hint
    assert (made.path / "y").read_text() == "fine"  # nothing is thrown away


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", "null", "3", "{}", '"files"', "\0"),
        *('{"files": []}', '{"files": {"x": 3}}', '{"files": {"x": {"bytes": 1}}}', '{"files": {}}'),
    ],
)
def test_a_garbled_manifest_is_named(store, content):
    made, _ = store.make("a", write(x="abc"))
    (made.path / MANIFEST).write_text(content)
    with pytest.raises(UserError, match=r"manifest\.json is not") as error:
        load(made.path)
    assert "Remove the folder" in error.value.hint


def test_what_is_not_an_artifact_is_named(store, tmp_path):
    with pytest.raises(UserError, match="nowhere is not an artifact") as error:
        load(tmp_path / "nowhere")
    assert "Remove" not in error.value.hint
    made, _ = store.make("a", write(x="abc"))
    (made.path / MANIFEST).unlink()
    with pytest.raises(UserError, match=f"{made.path.name} is not an artifact"):
        store.make("a", write(x="abc"))


def test_the_log_goes_on_after_a_cut_line(tmp_path):
    draft = Draft(tmp_path)
    for step in range(5):
        draft.log(step=step)
    log = tmp_path / LOG
    log.write_text(log.read_text()[:-4])  # a kill while the last line was written
    draft.rewind_log(lambda record: record["step"] < 3)
    draft.log(step=3)
    assert [json.loads(line)["step"] for line in log.read_text().splitlines()] == [0, 1, 2, 3]
    assert names(tmp_path) == [LOG]


def test_a_log_without_its_last_line_keeps_the_others(tmp_path):
    draft = Draft(tmp_path)
    draft.rewind_log(lambda record: True)  # none yet
    draft.log(step=0, note="лиса")
    (tmp_path / LOG).open("ab").write(b'{"step": 1, "note": "\xd0')
    draft.rewind_log(lambda record: True)
    assert [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()] == [{"step": 0, "note": "лиса"}]


def test_a_kill_while_the_log_is_rewound_keeps_it(store):
    code = """
draft = module.Draft(store.root)
os.fsync = kill
draft.rewind_log(lambda record: record['step'] < 2)
"""
    store.root.mkdir()
    draft = Draft(store.root)
    for step in range(3):
        draft.log(step=step)
    assert child(code, store).returncode == -signal.SIGKILL
    assert len((store.root / LOG).read_text().splitlines()) == 3


def test_seconds_add_up_over_attempts(store):
    def first(out):
        out.state.mkdir()
        time.sleep(0.1)
        write_json(out.state / "seconds.json", out.seconds)
        time.sleep(0.3)  # work after the state: lost, and done again
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        store.make("a", first)

    def second(out):
        out.earlier = json.loads((out.state / "seconds.json").read_text())
        time.sleep(0.1)

    made, _ = store.make("a", second)
    assert 0.2 <= made.seconds <= time.monotonic() - began - 0.3


def test_progress_reaches_whoever_watches(store):
    seen = []

    def build(out):
        out.progress(1, 2, "half")
        out.progress(2, 2)

    store.make("a", build, on_progress=lambda *report: seen.append(report))
    store.make("b", build)
    assert seen == [(1, 2, "half"), (2, 2, "")]


ON_A_SMALL_DISK = """
import subprocess
store.make("before", lambda out: (out.path / "x").write_bytes(bytes(1000)))

def build(out):
    out.state.mkdir(exist_ok=True)
    seen.append([path.name for path in out.state.iterdir()])
    (out.state / "position").write_text("7")
    (out.path / "y").write_bytes(bytes(500_000))

seen = []
try:
    store.make("big", build)
except UserError as problem:
    print(problem)
kept, reused = store.make("before", kill)
assert reused
subprocess.run(["mount", "-o", "remount,size=2m", os.environ["DISK"]], check=True)
made, reused = store.make("big", build)
assert not reused and seen == [[], ["position"]], seen
module.load(made.path)
"""


def test_a_full_disk_loses_nothing(small_disk):
    store = Store(small_disk.folder)
    ended = small_disk([sys.executable, "-c", HEAD + ON_A_SMALL_DISK, store.root])
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == f"The disk that holds {small_disk.folder} is full.\n"
