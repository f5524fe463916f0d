"""The worker process in which environments of the `verifiers` interface are loaded and their rubrics score.

{"do": "rows", "path"} → {"rows"} or {"problem"}
{"do": "score", "path", "row", "answer"} → {"reward", "rewards"} or {"problem"}
"""

import asyncio
import inspect
import json
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from underdog.verify.workers import serve


def main() -> None:
    serve(answer, timed=True)


def answer(message: dict[str, Any]) -> dict[str, Any]:
    try:
        loaded = load(message["path"])
        return {"rows": rows(loaded)} if message["do"] == "rows" else score(loaded, message["row"], message["answer"])
    except Exception as error:
        return {"problem": f"{type(error).__name__}: {error}"}


@lru_cache(maxsize=16)
def load(path: str) -> Any:
    """What the file's load_environment() returns. Raises ValueError where it is not of one turn."""
    sys.path.insert(0, str(Path(path).parent))
    names = {"__name__": Path(path).stem, "__file__": path}
    exec(compile(Path(path).read_text(encoding="utf-8"), path, "exec"), names)
    if "load_environment" not in names:
        raise ValueError("there is no load_environment()")
    environment = names["load_environment"]()
    if getattr(environment, "max_turns", 1) not in (1, None):
        raise ValueError(f"an environment of {environment.max_turns} turns: only those of one turn can be used")
    return environment


def rows(environment: Any) -> list[dict[str, Any]]:
    """{"prompt": messages, "answer", "info", "task"} of every row."""
    data = environment.get_dataset() if hasattr(environment, "get_dataset") else environment.dataset
    system = getattr(environment, "system_prompt", None)
    found = []
    for row in data:
        prompt = row.get("prompt") or row["question"]
        if isinstance(prompt, str):
            prompt = [*([{"role": "system", "content": system}] if system else []), {"role": "user", "content": prompt}]
        info = row.get("info") or {}
        info = json.loads(info) if isinstance(info, str) else info
        found.append({"prompt": prompt, "answer": row.get("answer", ""), "info": info, "task": row.get("task", "")})
    return found


def score(environment: Any, row: dict[str, Any], text: str) -> dict[str, Any]:
    """Every reward function with the arguments that it names, and their weighted mean."""
    rubric = environment.rubric
    functions = list(_first(rubric, "get_reward_funcs", "funcs", "reward_funcs"))
    weights = list(_first(rubric, "get_reward_weights", "weights", "reward_weights") or [1.0] * len(functions))
    completion = [{"role": "assistant", "content": text}]
    given = {**row, "completion": completion, "state": {**row, "completion": completion, "turn": 1}}
    given["parser"] = getattr(environment, "parser", None) or getattr(rubric, "parser", None)
    given |= getattr(rubric, "class_objects", {})
    rewards = {function.__name__: _called(function, given) for function in functions}
    total = sum(weight for weight in weights if weight > 0) or 1.0
    reward = sum(weight * value for weight, value in zip(weights, rewards.values(), strict=True)) / total
    return {"reward": reward, "rewards": rewards}


def _first(rubric: Any, *names: str) -> Any:
    """The library has renamed these more than once."""
    for name in names:
        if (found := getattr(rubric, name, None)) is not None:
            return found() if callable(found) else found
    raise ValueError(f"the rubric has none of {', '.join(names)}")


def _called(function: Any, given: dict[str, Any]) -> float:
    wanted = inspect.signature(function).parameters
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in wanted.values())
    result = function(**(given if takes_all else {name: given[name] for name in wanted if name in given}))
    return float(asyncio.run(result) if inspect.isawaitable(result) else result)
