"""What is refined or reconstructed: conversations that end in an answer, some of them problems with a verifier."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from underdog.errors import UserError, did_you_mean
from underdog.recipe.synthesis import Asking
from underdog.tokens.conversation_files import Aside, read_conversations
from underdog.tokens.messages import Conversation, Message, as_json
from underdog.verify.problem import Problem, reference_answer
from underdog.verify.problem_files import load_problems, read_problems


@dataclass(frozen=True)
class Item:
    conversation: Conversation
    problem: Problem | None = None  # where it is one: its verifier judges answers
    passed: bool = False  # nobody works on it: it goes on as it is

    @property
    def messages(self) -> tuple[Message, ...]:
        """Up to and with the last of the user's turns."""
        return self.conversation.messages[:-1]

    @property
    def answer(self) -> str:
        return self.conversation.messages[-1].content

    @property
    def reasoning(self) -> str | None:
        return self.conversation.messages[-1].reasoning

    @property
    def where(self) -> str:
        return self.conversation.where

    def answered(self, content: str, reasoning: str | None = None) -> Conversation:
        """The same conversation with another answer."""
        return replace(self.conversation, messages=(*self.messages, Message("assistant", content, reasoning)))


def read_items(path: Path) -> tuple[list[Item], list[Aside]]:
    """Problems (rows with "prompt" and "answer") or conversations, by the file's first row."""
    if _holds_problems(path):
        found = load_problems(path)
        aside = [Aside(f"{path} line {one.line}", one.why) for one in found.rejected]
        return [_of_problem(problem, f"{path} {problem.id}") for problem in found.problems], aside
    good, aside = read_conversations(path)
    aside += [Aside(one.where, UNFIT) for one in good if not ends_in_answer(one)]
    items = [Item(one) for one in good if ends_in_answer(one)]
    if not items:
        raise UserError(f"{path} holds nothing to work on. {aside[0].where}: {aside[0].reason}")
    return items, aside


def chosen(found: Iterable[Conversation], problems: Path, settings: Asking, lacking: bool = False) -> list[Item]:
    """All conversations; those are to be worked on that the settings name, that end in an answer and, if `lacking`,
    have no reasoning for it.

    Args:
        problems: folder of the problems that some of them answer.

    Raises:
        UserError: that is none of them, or a domain is named that none has.
    """
    known = {one.id: one for split in ("demonstrations", "train") for one in read_problems(problems / f"{split}.jsonl")}
    items: list[Item] = []
    taken, domains = 0, set()
    for one in found:
        domains.add(one.domain)
        take = not settings.domains or one.domain in settings.domains
        take = take and ends_in_answer(one) and not (lacking and one.messages[-1].reasoning)
        take = take and not 0 < settings.rows <= taken
        taken += take
        items.append(Item(one, known.get(one.problem), passed=not take))
    for name in settings.domains:
        if name not in domains:
            raise UserError(f'No row is of the domain "{name}".', hint=did_you_mean(name, domains))
    if not taken:
        what = "an answer without reasoning" if lacking else "an answer"
        raise UserError(f"None of {len(items):,} rows ends in {what}: there is nothing to do.", hint="See sft.data.")
    return items


UNFIT = "it does not end with an answer of the assistant's to the user or to a tool"


def ends_in_answer(found: Conversation) -> bool:
    *before, last = found.messages
    taught = last.role == "assistant" and last.trained and not last.tool_calls
    return taught and bool(before) and before[-1].role in ("user", "tool")


def transcript(messages: tuple[Message, ...]) -> str:
    """The conversation as a text, for whoever judges it."""
    return "\n\n".join(f"{one.role}: {_said(one)}" for one in messages)


def _said(message: Message) -> str:
    """Calls as JSON behind the words."""
    calls = [json.dumps(call["function"], ensure_ascii=False) for call in as_json(message).get("tool_calls", ())]
    return "\n".join([message.content, *calls] if message.content else calls or [""])


def _of_problem(problem: Problem, where: str) -> Item:
    reasoning = problem.worked.reasoning if problem.worked else None
    answer = Message("assistant", reference_answer(problem) or "", reasoning)
    return Item(Conversation((*problem.prompt, answer), (), problem.task, where, problem.id), problem)


def _holds_problems(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8-sig") as file:
            row = json.loads(next(line for line in file if line.strip()))
        return isinstance(row, dict) and "prompt" in row and "answer" in row
    except (OSError, ValueError, StopIteration):
        return False
