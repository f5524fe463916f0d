"""A made-up run in a real store: what every stage writes, with plausible figures."""

import hashlib
import json
import math
import random
from functools import partial

import pytest

from underdog.artifacts.store import Store
from underdog.recipe.load import load_recipe
from underdog.stages.pipeline import Run, run_folder

RECIPE = """
name = "demo"
[model]
width = 128
layers = 4
context = 256
[pretrain]
tokens = 1_000_000
batch_tokens = 4096
[reinforce]
steps = 60
"""
TASKS = {  # accuracy of a sampled answer by stage: chance, pretrain, sft, control, reinforce
    "chain_sum": (0.01, 0.02, 0.44, 0.49, 0.71),
    "countdown": (0.0, 0.0, 0.12, 0.14, 0.24),
    "number_sorting": (0.0, 0.0, 0.36, 0.41, 0.52),
    "simple_equations": (0.09, 0.06, 0.33, 0.36, 0.44),
}
STAGES = ("pretrain", "sft", "control", "reinforce")
SIGNALS = {  # definition, weight, deciles of the raw values
    "information_density": (
        "Different content words in sentences, for the document's length.",
        2.0,
        [0.0, 0.031, 0.069, 0.101, 0.128, 0.152, 0.174, 0.197, 0.222, 0.253, 0.454],
    ),
    "educational_value": (
        "Definitions, interpretations and worked examples, a word.",
        2.0,
        [0.0, 0.0, 0.0, 0.0, 0.005, 0.008, 0.01, 0.012, 0.015, 0.021, 0.08],
    ),
    "non_boilerplate": (
        "Free of the words of licences, change logs, generated files and page frames.",
        3.0,
        [-0.17, -0.005, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    ),
    "non_repetition": (
        "1 − the worst of the duplicate shares as a multiple of its limit.",
        1.0,
        [-6.463, -0.795, -0.221, 0.064, 0.255, 0.394, 0.5, 0.594, 0.683, 0.811, 1.0],
    ),
}
EXCERPTS = {
    "top": [
        "Return the number of ways to choose k items from n items without repetition and without order.\n\n"
        "Evaluates to n! / (k! * (n - k)!) when k <= n, and to zero when k > n, because there is no such choice.",
        "A lock is released by the thread that holds it. If it is not held, an error is raised, for example when it is "
        "released twice.",
    ],
    "high": ["Merge two sorted lists into one. The lists themselves are not changed; equal items keep their order."],
    "medium": ["path : str\n    Where to read from.\nencoding : str, optional\n    UTF-8 unless said."],
    "dropped": ["Copyright (c) 1998-2026. All rights reserved. Redistribution and use in source and binary forms …"],
}


def tiers(top, high, medium, dropped):
    counts = {"top": top, "high": high, "medium": medium, "dropped": dropped}
    return {tier: {"documents": number, "characters": 1100 * number} for tier, number in counts.items()}


FUNNEL = {
    "read": (9675, 11_797_944),
    "long enough": (9668, 11_796_773),
    "no duplicates": (9483, 11_410_340),
    "no near-duplicates": (9134, 10_785_531),
    "not contaminated": (9121, 10_770_112),
    "in a tier": (7150, 7_549_676),
}


def curated(out):
    out.earlier = 21.4
    out.metrics = {
        "funnel": [{"step": step, "documents": d, "characters": c} for step, (d, c) in FUNNEL.items()],
        "tiers": tiers(2140, 2365, 2645, 2525),
        "sources": {
            "python-docs": tiers(998, 603, 359, 190),
            "package-docs": tiers(1137, 1740, 2183, 1454),
            "python-rest": tiers(5, 22, 103, 881),
        },
        "signals": {
            name: {"definition": definition, "weight": weight, "histogram": [900] * 10, "deciles": deciles}
            for name, (definition, weight, deciles) in SIGNALS.items()
        },
        "examples": {
            tier: [excerpt(tier, i, text) for i, text in enumerate(texts)] for tier, texts in EXCERPTS.items()
        },
    }


def excerpt(tier, i, text):
    return {
        "id": f"{tier}{i}",
        "source": "python-docs",
        "origin": f"module_{i}.py function",
        "score": 0.8,
        "text": text,
    }


def tokenized(out):
    out.earlier = 3.1
    counts = {"medium": 810_000, "high": 640_000, "top": 390_000, "held-out": 28_000, "demonstrations": 223_000}
    out.metrics = {"vocabulary": 2048, "tokens": counts, "bytes_per_token": 3.31}


def problems_made(out):
    out.earlier = 15.0
    out.metrics = {
        "rejected": {"sums.jsonl": 3},
        "counts": {task: {"demonstrations": 750, "train": 2000, "validation": 50, "test": 40} for task in TASKS},
        "chance": {task: values[0] for task, values in TASKS.items()},
    }


def pretrained(recipe):
    def build(out):
        from underdog.tokens.phases import Schedule

        out.earlier = 192.0
        noise = random.Random(1)
        schedule = Schedule(recipe.pretrain, recipe.model.context, recipe.model.rope_base)
        held_out = {}
        for index in range(schedule.steps):
            step = schedule.at(index)
            seen = step.tokens_after
            mean = 3.3 + 4.4 * math.exp(-seen / 160_000) + 0.5 * math.exp(-seen / 800_000)
            mean -= 0.25 * (step.phase == "decay") * (1 - step.lr / recipe.pretrain.peak_lr)
            out.log(step=index, tokens=seen, phase=step.phase, loss=mean + noise.gauss(0, 0.08), lr=step.lr)
            if step.ends_phase:
                held_out[step.phase] = mean - 0.1
                out.log(step=index, tokens=seen, phase=step.phase, held_out=mean - 0.1)
        out.metrics = {
            "parameters": 1_049_984,
            "tokens": schedule.tokens,
            "held_out_loss": held_out,
            "tokens_per_second": 5210.4,
        }

    return build


def tuned(seconds, steps):
    def build(out):
        out.earlier = seconds
        for step in range(steps):
            out.log(step=step, loss=0.4 + 2 * math.exp(-step / 50), lr=1e-3)
        out.metrics = {"steps": steps, "demonstrations": 3000, "set_aside": 0, "epochs": 5.1}

    return build


def rollouts(step, hostile):
    def answer(text, reward, verdict):
        outcome = "right" if reward == 1 else "wrong"
        return {"text": text + hostile, "tokens": 7, "reward": reward, "outcome": outcome, "verdict": verdict + hostile}

    answers = [answer("<think>17*3</think>51", 1.0, "51 is right"), answer("[bold]50", 0.0, "50 is not 51")]
    group = {"problem": "abc", "task": "products", "prompt": f"What is 17 * 3? (step {step})"}
    return [{**group, "rewards": [1.0, 0.0, 0.0], "answers": answers}]


def reinforced(out, hostile):
    out.earlier = 171.0
    noise = random.Random(2)
    for step in range(60):
        part = step / 60
        if step % 10 == 0:
            out.log(step=step, validation=0.312 + 0.16 * part**0.7 + noise.gauss(0, 0.006))
        if step == 40:
            out.log(step=step, reset="40 steps since the last")
        if step % 30 == 0:
            out.log(step=step, pool={"active": 60, "deferred": 30, "retired": 10, "rates": [30, *[10] * 6, 0, 0, 10]})
            out.log(step=step, rollouts=rollouts(step, hostile))
        out.log(
            step=step,
            reward=0.31 + 0.17 * part**0.8 + noise.gauss(0, 0.02),
            kept=0.66 - 0.1 * part + noise.gauss(0, 0.04),
            length=38 + 6 * part + noise.gauss(0, 0.8),
            truncated=0.01,
            solved_once=0.7 + 0.2 * part,
            length_right=24.0 + part,
            length_wrong=26.0 - part,
            entropy=0.34 - 0.13 * part + noise.gauss(0, 0.01),
            clipped=0.01,
            off_sampler=2e-6,
            verifier_timed_out=int(step == 7),
            verifier_crashed=0,
            kl_to_reference=0.0012 * (step if step < 40 else step - 40) + abs(noise.gauss(0, 0.001)),
            loss=noise.gauss(0, 0.01),
        )
    out.metrics = {"steps": 60, "problems_drawn": 2400}


def evaluated(stage, hostile=""):
    def build(out):
        out.earlier = 14.0
        place = STAGES.index(stage) + 1
        by_task = {}
        everyone, best = [], []
        with (out.path / "samples.jsonl").open("w") as file:
            for task, chances in TASKS.items():
                sampled, greedy = [], []
                for i in range(40):
                    skill = random.Random(f"{task}{i}").betavariate(2, 2) * 2 * chances[place]
                    draw = random.Random(f"{task}{i}{stage}")
                    rewards = [float(draw.random() < skill) for _ in range(8)]
                    right = draw.random() < 1.1 * skill
                    sampled.append(sum(rewards) / 8)
                    greedy.append(float(right))
                    file.write(json.dumps(sample(task, i, right, rewards, hostile)) + "\n")
                by_task[task] = {"sampled": sum(sampled) / 40, "greedy": sum(greedy) / 40}
                everyone += sampled
                best += greedy
        mean, cold = sum(everyone) / len(everyone), sum(best) / len(best)
        out.metrics = {
            "problems": len(everyone),
            "samples": 8,
            "sampled": {"mean": mean, "low": max(0.0, mean - 0.028), "high": mean + 0.028},
            "greedy": {"mean": cold, "low": max(0.0, cold - 0.05), "high": cold + 0.05},
            "any_of_samples": sum(value > 0 for value in everyone) / len(everyone),
            "chance": 0.026,
            "by_task": by_task,
        }

    return build


def sample(task, i, right, rewards, hostile):
    digits = random.Random(f"{task}{i}")
    a, b, c = (digits.randint(1, 99) for _ in range(3))
    factor, root = a % 9 + 2, b % 12
    match task:
        case "chain_sum":
            prompt, answer = f"State the final answer: {a} + {b} - {c} =", a + b - c
            steps = f"{a}+{b}={a + b}\n{a + b}-{c}={answer}"
        case "countdown":
            prompt, answer = f"Reach {a + b * 3} with the numbers 3, {b}, {a}.", f"{b}*3+{a}"
            steps = f"{a}-{b}={a - b},{a - b}*3={3 * (a - b)} no\n{b}*3={b * 3},{b * 3}+{a}={b * 3 + a}"
        case "number_sorting":
            prompt, answer = f"Sort these numbers in ascending order: {a}, {b}, {c}", str(sorted([a, b, c]))
            steps = ",".join(map(str, sorted([a, b]))) + "\n" + answer[1:-1].replace(" ", "")
        case "simple_equations":
            prompt, answer = f"Find the value of x: {factor}*x - {c} = {factor * root - c}", root
            steps = f"{factor}*x={factor * root - c}+{c}={factor * root}\nx={factor * root}/{factor}={root}"
    given = answer if right else f"{answer}7"
    return {
        "problem": hashlib.sha256(f"{task}{i}".encode()).hexdigest()[:16],
        "task": task,
        "prompt": prompt + hostile,
        "greedy": f"<think>{steps}{hostile}</think>{given}{hostile}",
        "verdict": f"{given} is {'right' if right else f'not {answer}'}{hostile}",
        "greedy_reward": float(right),
        "sampled_rewards": rewards,
    }


def exported(out):
    out.earlier = 2.0
    out.metrics = {
        "bytes": {"huggingface": 4_311_552, "f32": 4_305_920, "q8_0": 1_190_400},
        "against_checkpoint": {
            "f32": {"largest": 0.0, "mean": 0.0, "same_best_token": 1.0},
            "q8_0": {"largest": 0.21, "mean": 0.011, "same_best_token": 0.987},
        },
        "warnings": {"q4_k_m": "not written: its [rows] & more"},
    }


def build_run(root, *, stages=None, hostile=""):
    """A finished run, or the part of it whose stages are named."""
    path = root / "demo.toml"
    path.write_text(RECIPE)
    recipe = load_recipe(path).recipe
    store, run = Store(root / "store"), Run(recipe, run_folder(recipe, root))
    run.folder.mkdir(parents=True)

    def make(name, build, *parents, kind=None):
        if stages is None or name in stages:
            here = {parent: run.artifacts[parent] for parent in parents if parent in run.artifacts}
            run.artifacts[name], _ = store.make(kind or name, build, settings=name, seed=1, parents=here)

    def look(name):
        make(f"evaluate-{name}", evaluated(name, hostile), name, "problems", kind="evaluate")

    make("problems", problems_made)
    make("curate", curated, "problems")
    make("tokenize", tokenized, "curate", "problems")
    make("pretrain", pretrained(recipe), "tokenize")
    look("pretrain")
    make("sft", tuned(128.0, 400), "pretrain", "problems")
    look("sft")
    make("reinforce", partial(reinforced, hostile=hostile), "sft", "problems")
    look("reinforce")
    make("control", tuned(171.0, 534), "sft", "reinforce", "problems")
    look("control")
    make("export", exported, "reinforce")
    return run


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    return build_run(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def run_of(tmp_path):
    """Stages to make, hostile text for the samples -> a run."""
    return lambda *stages, hostile="": build_run(tmp_path, stages=stages or None, hostile=hostile)
