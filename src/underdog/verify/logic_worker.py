"""The worker process in which reasoning-gym makes entries and scores answers.

{"do": "names"} → {"names"}
{"do": "check", "task", "config"} → {} or {"problem", "settings"}
{"do": "entries", "task", "config", "seed", "size", "first", "count"} → {"entries", "seconds"}
{"do": "score", "task", "config", "entry", "answer"} → {"score"}, {"unparsable"} or {"problem"}
"""

import ast
import importlib
import inspect
import time
from dataclasses import fields
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import reasoning_gym
import sympy
from reasoning_gym.coaching.base_curriculum import DefaultCurriculumContext
from reasoning_gym.factory import CURRICULA, DATASETS, create_curriculum

from underdog.verify.algebra import parse
from underdog.verify.exact import symbols
from underdog.verify.workers import limit_memory, serve

MIXING = ("composite",)
# Scorers that would run an answer as Python: by eval, or by SymPy's parse_expr, which evaluates what it reads.
_EVALUATE = ("algorithmic.string_insertion", "algorithmic.spiral_matrix", "algorithmic.binary_matrix", "games.n_queens")
_ALGEBRA = ("algebra.simple_integration", "algebra.intermediate_integration", "algebra.polynomial_multiplication")
_ARITHMETIC = ("games.countdown", "games.puzzle24")
_NESTED = ("arc_agi", "rearc")  # they compare with tuples, which JSON turned into lists


def main() -> None:
    limit_memory(8 << 30)
    make_safe()
    make_fast()
    serve(answer, timed=True)


def make_safe() -> None:
    """Puts real parsers in the place of what evaluates answers."""
    for name in _EVALUATE:
        vars(importlib.import_module(f"reasoning_gym.{name}"))["eval"] = ast.literal_eval
    algebra = SimpleNamespace(**vars(sympy))
    algebra.parse_expr = parse
    for name in _ALGEBRA:
        module = vars(importlib.import_module(f"reasoning_gym.{name}"))
        module["sp" if "sp" in module else "sympy"] = algebra


def make_fast() -> None:
    """Gives two generators exact fractions in the place of SymPy's symbols: the same draws, the same problems."""
    for name in _ARITHMETIC:
        vars(importlib.import_module(f"reasoning_gym.{name}"))["symbols"] = symbols


def answer(message: dict[str, Any]) -> dict[str, Any]:
    task, config = message.get("task"), message.get("config", {})
    if message["do"] == "names":
        return {"names": sorted(set(DATASETS) - set(MIXING))}
    try:
        dataset = open_dataset(task, message.get("seed", 0), config, message.get("size", 1))
    except (TypeError, ValueError, AssertionError, KeyError) as error:
        settings = ["level", *(field.name for field in fields(DATASETS[task][1]))] if task in DATASETS else []
        return {"problem": str(error) or type(error).__name__, "settings": settings}
    if message["do"] == "check":
        return {}
    if message["do"] == "entries":
        return _entries(dataset, message["first"], message["count"])
    return _score(dataset, task, message["entry"], message["answer"])


@lru_cache(maxsize=32)
def _opened(task: str, seed: int, size: int, config: str) -> Any:
    return reasoning_gym.create_dataset(task, seed=seed, size=size, **ast.literal_eval(config))


def open_dataset(task: str, seed: int, config: dict[str, Any], size: int) -> Any:
    """A dataset; some prepare all of their `size` at once.

    `config` holds reasoning-gym's settings, and "level": a step of the task's curriculum.
    """
    settings = dict(config)
    if (level := settings.pop("level", None)) is not None:
        settings = _curriculum(task, level) | settings
    return _opened(task, seed, size, repr(settings))


def _curriculum(task: str, level: int) -> dict[str, Any]:
    """The settings of a step; each attribute stays at its last one where it has fewer."""
    if task not in CURRICULA:
        raise ValueError("has no curriculum: give its settings instead of a level")
    if type(level) is not int or level < 0:
        raise ValueError('"level" must be a whole number from 0 on')
    curriculum = create_curriculum(task)
    for name, attribute in curriculum.attributes.items():
        curriculum.set_attr_level(name, min(level, len(attribute.levels) - 1))
    base = curriculum.generate_configuration({"seed": 0, "size": 1}, context=DefaultCurriculumContext())
    plain = DATASETS[task][1]()
    return {
        field.name: getattr(base, field.name)
        for field in fields(base)
        if field.name not in ("seed", "size") and getattr(base, field.name) != getattr(plain, field.name)
    }


def _entries(dataset: Any, first: int, count: int) -> dict[str, Any]:
    start = time.process_time()
    made = [{**dataset[index], "category": dataset.category} for index in range(first, first + count)]
    return {"entries": made, "seconds": time.process_time() - start}


def _score(dataset: Any, task: str, entry: dict[str, Any], answer: str) -> dict[str, Any]:
    if task in _NESTED:
        metadata = entry["metadata"]
        entry = {**entry, "metadata": {**metadata, "output": tuple(map(tuple, metadata["output"]))}}
    try:
        return {"score": float(dataset.score_answer(answer, entry))}
    except KeyError as error:
        return {"problem": f"its entry lacks {error}"}
    except Exception as error:  # scorers raise all kinds on answers of a form that they did not expect
        return {"unparsable": f"{type(error).__name__}: {inspect.cleandoc(str(error))}"}
