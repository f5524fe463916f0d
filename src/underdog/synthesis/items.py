"""What is refined or reconstructed: an instruction and the answer that there is, from problems or conversations."""

import json
from dataclasses import dataclass
from pathlib import Path

from underdog.errors import UserError
from underdog.tokens.conversation_files import Aside, read_conversations
from underdog.tokens.messages import Conversation, Message
from underdog.verify.problem import Problem
from underdog.verify.problem_files import read_problems, reference_answer


@dataclass(frozen=True)
class Item:
    messages: tuple[Message, ...]  # up to and with the last of the user's turns
    answer: str
    where: str
    reasoning: str | None = None
    problem: Problem | None = None  # with a verifier, where it is one


def read_items(path: Path) -> tuple[list[Item], list[Aside]]:
    """Problems (rows with "prompt" and "answer") or conversations, by the file's first row."""
    if _holds_problems(path):
        found = read_problems(path)
        return [_of_problem(problem, f"{path} {problem.id}") for problem in found], []
    good, aside = read_conversations(path)
    items = []
    for one in good:
        try:
            items.append(_of_conversation(one))
        except ValueError as problem:
            aside.append(Aside(one.where, str(problem)))
    if not items:
        raise UserError(f"{path} holds nothing to work on. {aside[0].where}: {aside[0].reason}")
    return items, aside


def transcript(messages: tuple[Message, ...]) -> str:
    """The conversation as a text, for whoever judges it."""
    return "\n\n".join(f"{one.role}: {one.content}" for one in messages)


def _of_problem(problem: Problem, where: str) -> Item:
    reasoning = problem.worked.reasoning if problem.worked else None
    return Item(problem.prompt, reference_answer(problem) or "", where, reasoning, problem)


def _of_conversation(found: Conversation) -> Item:
    *before, last = found.messages
    if last.role != "assistant" or last.tool_calls or not before or before[-1].role != "user":
        raise ValueError("it does not end with the user's turn and the assistant's answer")
    return Item(tuple(before), last.content, found.where, last.reasoning)


def _holds_problems(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8-sig") as file:
            row = json.loads(next(line for line in file if line.strip()))
        return isinstance(row, dict) and "prompt" in row and "answer" in row
    except (OSError, ValueError, StopIteration):
        return False
