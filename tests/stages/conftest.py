"""A recipe so small that all of it takes seconds, and the artifacts of its first stages, made by the real ones."""

import functools
import json

import pytest
import torch

import underdog.verify.registry as registry
from underdog.artifacts.store import Store
from underdog.model.weights import save_pretrained
from underdog.recipe.load import load_recipe
from underdog.stages.pipeline import run_recipe
from underdog.tokens.messages import Message
from underdog.verify.problem import Problem, Verdict
from underdog.verify.problem_files import write_problems

SMALL = """
name = "small"
threads = 1
[model]
width = 32
layers = 1
heads = 2
kv_heads = 1
head_width = 16
ffn = 48
context = 128
[problems]
tasks = ["gcd", "chain_sum"]
demonstrations = 40
train = 40
validation = 6
test = 10
[curate]
sources = ["{texts}"]
near_duplicates = 0.0
minimum_characters = 50
keep = {{ medium = 0.3, high = 0.3, top = 0.3 }}
[tokenizer]
vocabulary = 400
[pretrain]
preset = "wsd"
tokens = 10_000
batch_tokens = 512
epochs = 100
[sft]
steps = 5
batch_tokens = 512
[reinforce]
steps = 2
prompts = 3
rollouts = 4
max_new_tokens = 12
validate_every = 1
[control]
enabled = false
[evaluate]
samples = 2
max_new_tokens = 12
[export]
formats = ["q8_0"]
"""


@pytest.fixture(scope="session")
def texts(plain_texts):
    """A folder of plain text."""
    return plain_texts(files=150, sentences=8)


@pytest.fixture(scope="session")
def small(texts, tmp_path_factory):
    """Overrides -> the small recipe, resolved."""
    path = tmp_path_factory.mktemp("recipe") / "small.toml"
    path.write_text(SMALL.format(texts=texts))
    return lambda *overrides: load_recipe(path, overrides)


class Watcher:
    """Remembers what a person would have seen."""

    def __init__(self):
        self.stages, self.reused, self.notes = [], [], []

    def begin(self, stage):
        self.stages.append(stage)

    def progress(self, done, total, note):
        assert 0 <= done <= total
        self.notes.append(note)

    def end(self, stage, artifact, reused):
        assert stage == self.stages[-1]
        if reused:
            self.reused.append(stage)


@pytest.fixture(scope="session")
def watcher_class():
    return Watcher


@pytest.fixture
def watcher():
    return Watcher()


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """Holds what the small recipe has made so far; tests may add to it and never take away."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="session")
def made(small, root):
    """The whole small recipe, run once."""
    return run_recipe(small().recipe, root, Watcher())


SEVENS = """
name = "sevens"
threads = 1
base = "{base}"
[problems]
tasks = []
files = ["{problems}"]
demonstrations = 8
train = {train}
validation = 2
test = 4
[sft]
steps = 2
batch_tokens = 256
data = ["train"]
[refine]
max_new_tokens = 1500
critique = 6
rounds = 1
failures = 0.9
[reconstruct]
own = {{ steps = 2 }}
[reinforce]
steps = 0
[evaluate]
samples = 1
max_new_tokens = 8
[export]
formats = ["f32"]
"""


@pytest.fixture(scope="session")
def sevens(seven, tmp_path_factory):
    """(train) -> the file of a recipe whose base, and whose problems, answer 7, all but every second of these. Which of
    them a split holds hangs on the path of their file: with fewer eights it may hold none."""

    @functools.cache
    def write(train=8):
        folder = tmp_path_factory.mktemp("sevens")
        rows = [
            {"prompt": f"Number {n}?", "answer": "8" if n % 2 else "7", "reasoning": "7"}
            for n in range(2 * (train + 14))
        ]
        (folder / "sevens.jsonl").write_text("\n".join(map(json.dumps, rows)))
        path = folder / "sevens.toml"
        path.write_text(SEVENS.format(base=seven, problems=folder / "sevens.jsonl", train=train))
        return path

    return write


@pytest.fixture
def make(tmp_path):
    """Runs a stage function on its arguments, in a store of its own; returns the artifact."""

    def build(function, *arguments, **options):
        name = str(len(list(tmp_path.iterdir())))
        return Store(tmp_path / name).make(name, lambda out: function(*arguments, out), **options)[0]

    return build


@pytest.fixture
def closing(tiny, tokenizer, make):
    """(times) -> a checkpoint that closes its turn the sooner the more its wish to do so is multiplied."""

    def build(times):
        model = tiny(tied=False, vocabulary=tokenizer.vocabulary, width=32, heads=2, kv_heads=1, ffn=48, context=128)
        with torch.no_grad():
            model.lm_head.weight[tokenizer.turn_end] *= times
        return make(lambda out: save_pretrained(model, tokenizer, out.path))

    return build


@pytest.fixture
def start(closing):
    """A checkpoint that closes its turn now and then."""
    return closing(4)


@pytest.fixture
def asking(make):
    """(verifier, answer, splits) -> problems that all ask for the same; `splits` says how many are in each."""

    def build(verifier, answer, **splits):
        def write(out):
            for split, count in splits.items():
                asked = [f"{split} {number}" for number in range(count)]
                found = [Problem(text, (Message("user", text),), verifier, {"answer": answer}) for text in asked]
                write_problems(out.path / f"{split}.jsonl", found)

        return make(write)

    return build


@pytest.fixture
def problems(asking, monkeypatch):
    """Problems that are solved by answers of odd length: some of any model's are."""
    registry.get_verifier("number")  # the real ones are there before they are copied
    monkeypatch.setattr(registry, "_VERIFIERS", dict(registry._VERIFIERS))
    registry.verifier("parity")(lambda answer, data: Verdict.share(float(len(answer) % 2), "odd"))
    return asking("parity", "odd", train=12, validation=4)
