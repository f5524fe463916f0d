import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import underdog.stages.distill as stage
from underdog.errors import UserError
from underdog.generate.engine import Engine
from underdog.generate.interface import Sampling
from underdog.model.weights import load_pretrained
from underdog.recipe.teaching import Distill
from underdog.stages.distill import distill
from underdog.stages.pipeline import run_recipe
from underdog.tokens.tokenizer import Tokenizer
from underdog.train.batch import Answer, Group, collate_groups
from underdog.train.rollouts import roll_out
from underdog.train.teacher import Teacher, with_teacher
from underdog.verify.problem_files import read_problems


def weights(folder):
    return torch.cat([weight.flatten() for weight in load_pretrained(folder).parameters()]).detach()


@pytest.fixture(scope="module")
def easy(tmp_path_factory):
    """Problems that the smallest model learns in seconds: the answer is always 7."""
    path = tmp_path_factory.mktemp("easy") / "easy.jsonl"
    said = ({"prompt": f"Number {n}?", "answer": "7", "reasoning": "7"} for n in range(200))
    path.write_text("\n".join(map(json.dumps, said)))
    tasks = ['problems.tasks=["gcd"]', f'problems.files=["{path}"]', "problems.demonstrations=80"]
    return [*tasks, "sft.steps=80", "sft.lr=1e-2"]


@pytest.fixture(scope="module")
def teacher(easy, small, root, watcher_class):
    """A run whose SFT has learned to answer most of its problems; its pretraining is the student."""
    made = run_recipe(small(*easy, "reinforce.steps=0").recipe, root, watcher_class(), until="evaluate-sft").artifacts
    assert made["evaluate-sft"].metrics["sampled"]["mean"] > 0.2
    return made


@pytest.fixture
def teach(teacher, make):
    def run(seed=1, **settings):
        said = {"steps": 12, "prompts": 4, "max_new_tokens": 24, "batch_tokens": 256, "samples": 2, "lr": 3e-3}
        settings = Distill(**{"teacher": str(teacher["sft"].path), **said, **settings})
        return make(distill, settings, seed, teacher["pretrain"], teacher["problems"])

    return run


@pytest.fixture(scope="module")
def distance(teacher):
    """(folder, settings) -> distance of a model from the teacher, on the answers of the student as it began."""
    tokenizer = Tokenizer.load(teacher["sft"].path)
    problems = read_problems(teacher["problems"].path / "train.jsonl")
    engine = Engine(load_pretrained(teacher["pretrain"].path), tokenizer.turn_end)
    answered = roll_out(engine, tokenizer, problems, Sampling(1.0, max_new_tokens=24, seed=5), 8)
    texts = [Group(one.prompt, [Answer(answer.ids, {}) for answer in one.completions]) for one in answered]

    @torch.no_grad()
    def measure(folder, settings):
        batch = collate_groups(texts)
        batch = with_teacher(batch, Teacher.open(Path(settings.teacher), tokenizer, settings.top_k).name(batch))
        apart = stage.objective(settings)(load_pretrained(folder), batch).loss["distillation"]
        return float(apart / batch.weights_N.sum())

    return measure


# On the same texts: a student that learns says other things, where it may be further off than it was where it began.
@pytest.mark.parametrize("divergence", ["forward", "reverse", "jsd"])
def test_a_student_comes_nearer_to_its_teacher(teach, teacher, distance, divergence):
    settings = Distill(teacher=str(teacher["sft"].path), divergence=divergence)
    taught = teach(divergence=divergence, steps=40)
    assert distance(taught.path, settings) < 0.8 * distance(teacher["pretrain"].path, settings)


def test_seeds_and_nothing_else_change_the_weights(teach):
    one, same, other = (weights(teach(seed=seed, steps=3).path) for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)


STAGE = """
import json, os, signal, sys
from pathlib import Path
import underdog.train.resume as resume
from underdog.artifacts.store import Store, load
from underdog.recipe.teaching import Distill
from underdog.stages.distill import distill

root, settings, student, problems, saves = sys.argv[1:]
left, save = int(saves), resume.commit_folder

def die_after(save):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

resume.commit_folder = lambda *told: die_after(save(*told))
start, problems = (load(Path(path)) for path in (student, problems))
settings = Distill.model_validate(json.loads(settings))
Store(Path(root)).make("distill", lambda out: distill(settings, 1, start, problems, out))
"""


@pytest.mark.parametrize(("method", "saves"), [("dpd", 1), ("on-policy", 5)])
def test_a_killed_stage_ends_in_the_same_bits(method, saves, teach, teacher, tmp_path):
    """Killed by itself right after that many saves, so that no machine is too fast for it."""
    settings = {"teacher": str(teacher["sft"].path), "method": method, "steps": 12, "prompts": 4, "samples": 2}
    settings |= {"max_new_tokens": 24, "batch_tokens": 256, "lr": 3e-3}
    root = tmp_path / "killed"
    told = [sys.executable, "-c", STAGE, str(root), json.dumps(settings)]
    told += [str(teacher[of].path) for of in ("pretrain", "problems")]
    env = {**os.environ, "UNDERDOG_SAVE_SECONDS": "0", "OMP_NUM_THREADS": "1"}
    killed = subprocess.run([*told, str(saves)], env=env, check=False)
    assert killed.returncode == -signal.SIGKILL
    subprocess.run([*told, "0"], env=env, check=True)
    (killed,) = root.glob("distill-*")
    assert torch.equal(weights(killed), weights(teach(**settings).path))


UNREAD = [({"preference": 0.0}, "policy_logprobs"), ({"positive": 0.0, "negative": 0.0}, "with_teacher")]


@pytest.mark.parametrize(("off", "unread"), UNREAD)
def test_what_no_term_reads_is_not_computed(teach, teacher, monkeypatch, off, unread):
    settings = {"method": "dpd", "steps": 3, **off}
    with monkeypatch.context() as patch:
        patch.setattr(stage, unread, None)
        spared = teach(**settings)
    start, before = load_pretrained(teacher["pretrain"].path), stage.as_pairs
    named = stage.Teacher.open(teacher["sft"].path, Tokenizer.load(teacher["sft"].path), 64).name
    computed = []

    def all_of_it(batch, part, reference):
        computed.append(part)
        return stage.with_teacher(before(batch, part, start), named(batch))

    monkeypatch.setattr(stage, "as_pairs", all_of_it)
    assert torch.equal(weights(spared.path), weights(teach(**settings).path)) and computed


def test_a_cache_says_what_the_teacher_says(teach):
    live, cached = (teach(method="off-policy", cached=cached) for cached in (False, True))
    assert live.metrics["lessons"] == cached.metrics["lessons"] > 0
    torch.testing.assert_close(
        weights(live.path), weights(cached.path), atol=1e-3, rtol=0
    )  # other batches round otherwise


def test_pairs_are_learned_from_with_every_term(teach):
    artifact = teach(method="dpd", steps=20)
    first, last = artifact.log()[0], artifact.log()[-1]
    assert {"preference", "positive", "negative", "preferred", "loss"} <= first.keys()
    assert last["positive"] < first["positive"] and last["preference"] < first["preference"]


def test_a_teacher_of_other_tokens_is_refused(teacher, make, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(teacher["sft"].path, other)
    definition = json.loads((other / "tokenizer.json").read_text())
    tokens = definition["model"]["vocab"]
    before, last = sorted(tokens, key=tokens.get)[-2:]
    tokens[last], tokens[before] = tokens[before], tokens[last]
    (other / "tokenizer.json").write_text(json.dumps(definition))
    assert Tokenizer.load(other).vocabulary == Tokenizer.load(teacher["sft"].path).vocabulary
    settings = Distill(steps=1, teacher=str(other))
    with pytest.raises(UserError, match=r"another tokenizer than the student.*first difference is token"):
        make(distill, settings, 1, teacher["pretrain"], teacher["problems"])


def test_a_recipe_with_distillation(teacher, easy, small, root, watcher):
    on = ["distill.steps=2", f"distill.teacher={teacher['sft'].path}", "distill.prompts=2", "distill.max_new_tokens=8"]
    run = run_recipe(small(*easy, *on, "reinforce.steps=1").recipe, root, watcher, until="evaluate-reinforce")
    assert watcher.stages[-5:] == ["evaluate-sft", "distill", "evaluate-distill", "reinforce", "evaluate-reinforce"]
    assert run.artifacts["reinforce"].manifest["parents"]["distill"] == run.artifacts["distill"].path.name


NOTHING = [f"distill.{name}=0.0" for name in ("preference", "positive", "negative")]


@pytest.mark.parametrize(
    ("overrides", "why"),
    [
        (["distill.steps=3"], "needs a teacher"),
        (["distill.steps=3", "distill.teacher=http://host/v1"], "a server does not tell"),
        (["distill.steps=3", "distill.teacher=x", "distill.method=dpd", *NOTHING], "nothing would be learned"),
    ],
)
def test_a_recipe_that_cannot_teach(small, overrides, why):
    with pytest.raises(UserError, match=why):
        small(*overrides)


def test_settings_of_another_method_are_warned_of(small):
    resolved = small("distill.steps=3", "distill.teacher=x", "distill.margin=0.2", "distill.prompts=3")
    assert resolved.warnings == ("distill.margin (--set) has no effect: the method is on-policy.",)
