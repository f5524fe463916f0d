"""Rows of published data sets as problems. What a row is like says which set it comes from.

| like | domain | what tells it |
|---|---|---|
| GSM8K | mathematics | "question", "answer" with #### |
| MATH, DeepScaleR | mathematics | "problem", "answer" or "solution" |
| DAPO-Math and others made for verl | mathematics | "prompt" of messages, "reward_model" |
| HumanEval | code | "prompt", "entry_point", "test" |
| MBPP | code | "text" or "prompt", "test_list" |
| APPS, TACO, Eurus | code | "question", "input_output" |
| MMLU, GPQA | STEM | "question", "choices" or "options", "answer" |
| IFEval | instruction following | "prompt", "instruction_id_list" |
"""

import ast
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from underdog.verify.mathematics import final_answer
from underdog.verify.problem import Worked
from underdog.verify.science import LETTERS

Row = Mapping[str, Any]
BOXED = "\n\nPut the final answer in \\boxed{}."
_CALCULATOR = re.compile(r"<<[^<>]*>>")


@dataclass(frozen=True)
class Parts:
    """What a row holds; `prompt` is a text or a list of messages."""

    prompt: Any
    verifier: str
    data: Mapping[str, Any]
    domain: str
    worked: Worked | None = None


class Unusable(Exception):
    """What a row lacks."""


def recognise(row: Row) -> Callable[[Row], Parts] | None:
    """The reader for a row like this, or None where it is of no published set."""
    for fields, read in _READERS:
        if all(any(name in row for name in names.split("|")) for names in fields):
            return read
    return None


def _gsm8k(row: Row) -> Parts:
    steps, mark, answer = _text(row, "answer").rpartition("####")
    if not mark:
        raise Unusable('"answer" has no #### before the result')
    return _mathematics(row["question"], answer.strip(), _CALCULATOR.sub("", steps).strip())


def _problem(row: Row) -> Parts:
    solution = row.get("solution") or ""
    answer = row.get("answer")
    if answer in (None, ""):
        if "\\boxed" not in solution:
            raise Unusable('there is no "answer", and no \\boxed{} in "solution"')
        answer = final_answer(solution)
    return _mathematics(_text(row, "problem"), str(answer), solution)


def _mathematics(question: str, answer: str, steps: str) -> Parts:
    worked = Worked(steps, f"\\boxed{{{final_answer(answer)}}}") if steps else None
    return Parts(question + BOXED, "math", {"answer": answer}, "mathematics", worked)


def _verl(row: Row) -> Parts:
    truth = row["reward_model"].get("ground_truth") if isinstance(row["reward_model"], Mapping) else None
    if truth in (None, "", []):
        raise Unusable('"reward_model" has no "ground_truth"')
    if isinstance(truth, str) and truth.lstrip().startswith("{") and "inputs" in truth:
        return _input_output({"question": row["prompt"], "input_output": truth})
    return Parts(row["prompt"], "math", {"answer": str(truth)}, "mathematics")


def _humaneval(row: Row) -> Parts:
    entry, start = _text(row, "entry_point"), _text(row, "prompt")
    prelude, define, _ = start.rpartition(f"def {entry}(")
    if not define:
        raise Unusable(f'"prompt" does not define {entry}')
    data = {"tests": _text(row, "test"), "entry": entry, "prelude": prelude}
    if row.get("canonical_solution"):
        data["solution"] = _fenced(start + row["canonical_solution"])
    return Parts(f"Complete this function. Write all of it.\n\n{_fenced(start)}", "code", data, "code")


def _mbpp(row: Row) -> Parts:
    tests = row["test_list"]
    if not isinstance(tests, list) or not tests:
        raise Unusable('"test_list" is empty')
    solution = (row.get("code") or "").replace("\r\n", "\n")
    prelude = "\n".join([row.get("test_setup_code") or "", *(row.get("test_imports") or [])]).strip()
    data = {"tests": "\n".join(tests), "prelude": prelude, "names": _defined(solution)}
    if solution:
        data["solution"] = _fenced(solution)
    prompt = f"{row.get('text') or row.get('prompt')}\n\nOne of the tests:\n\n{_fenced(tests[0])}"
    return Parts(prompt, "code", data, "code")


def _input_output(row: Row) -> Parts:
    given = row["input_output"]
    try:
        given = json.loads(given) if isinstance(given, str) else given
        pairs = list(zip(given["inputs"], given["outputs"], strict=True))
    except (ValueError, KeyError, TypeError) as error:
        raise Unusable('"input_output" has no "inputs" and "outputs" of one length') from error
    if name := given.get("fn_name"):
        cases = [{"arguments": arguments, "expected": _single(result)} for arguments, result in pairs]
        return Parts(row["question"], "code", {"function": name, "cases": cases}, "code")
    cases = [{"input": _lines(text), "output": _lines(result)} for text, result in pairs]
    return Parts(row["question"], "code", {"cases": cases}, "code")


def _choice(row: Row) -> Parts:
    choices = row.get("choices") or row.get("options")
    if isinstance(choices, dict):
        choices = choices.get("text")
    answer = row["answer"]
    if isinstance(answer, int) and not isinstance(answer, bool):
        answer = LETTERS[answer] if 0 <= answer < len(LETTERS) else str(answer)
    if not isinstance(choices, list) or not 2 <= len(choices) <= len(LETTERS):
        raise Unusable(f'"choices" must be 2 to {len(LETTERS)} texts')
    listed = "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, choices, strict=False))
    prompt = f"{row['question']}\n\n{listed}\n\nAnswer with the letter of the right choice."
    return Parts(prompt, "choice", {"answer": str(answer).strip().upper(), "choices": list(map(str, choices))}, "stem")


def _ifeval(row: Row) -> Parts:
    data = {name: row.get(name) for name in ("instruction_id_list", "kwargs")}
    return Parts(_text(row, "prompt"), "instructions", data, "instructions")


def _text(row: Row, name: str) -> str:
    if not isinstance(row.get(name), str) or not row[name].strip():
        raise Unusable(f'"{name}" is missing')
    return row[name]


def _fenced(code: str) -> str:
    return f"```python\n{code.strip(chr(10))}\n```"


def _defined(code: str) -> list[str]:
    """The names at the top of a solution: what its tests call."""
    try:
        body = ast.parse(code).body
    except SyntaxError:
        return []
    return [node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)]


def _single(result: Any) -> Any:
    """APPS wraps what a function returns in a list."""
    return result[0] if isinstance(result, list) and len(result) == 1 else result


def _lines(text: Any) -> str:
    return "\n".join(map(str, text)) if isinstance(text, list) else str(text)


_READERS: list[tuple[tuple[str, ...], Callable[[Row], Parts]]] = [
    (("instruction_id_list", "prompt"), _ifeval),
    (("reward_model", "prompt"), _verl),
    (("entry_point", "test", "prompt"), _humaneval),
    (("test_list", "text|prompt"), _mbpp),
    (("input_output", "question"), _input_output),
    (("choices|options", "question", "answer"), _choice),
    (("problem", "answer|solution"), _problem),
    (("question", "answer"), _gsm8k),
]
