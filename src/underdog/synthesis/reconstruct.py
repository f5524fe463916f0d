"""Reconstruct: the reasoning that leads to an answer which was rewritten, or never had any (Nanbeige4-3B, SFT data).

A teacher sees instruction and final answer, writes a summary of the reasoning first, then the chain. Guards (ours): a
chain is dropped if it speaks of the answer as given, gives it away at once, states an equation that does not hold, or
does not lead there; another attempt may follow.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from underdog.generate.options import Options
from underdog.seeds import derive
from underdog.synthesis.asking import NoReply, Teacher, object_schema
from underdog.synthesis.items import Item, transcript
from underdog.tokens.messages import Conversation, Message
from underdog.verify.equations import false_equation
from underdog.verify.registry import verify

GIVEN = re.compile(
    r"\b(?:given|provided|supplied|stated|reference|expected|known)\s+(?:(?:the|final|correct|reference|expected)\s+)?answer"
    r"|\b(?:given|provided|supplied|reference|expected)\s+(?:(?:final|correct|reference)\s+)?(?:solution|response)"
    r"|\b(?:solution|answer)\s+(?:above|provided|given|says|states|tells)"
    r"|\baccording to the (?:solution|answer)|\bmatch(?:es)? the (?:solution|answer)",
    re.IGNORECASE,
)
EARLY = 0.1  # share of a chain in which its answer must not stand yet


@dataclass(frozen=True)
class Reconstructor:
    """`judge` says whether a chain leads to its answer where no verifier does."""

    teacher: Teacher
    judge: Teacher
    summarise: bool = True  # False for a model that was trained on `completion_rows`
    temperature: float = 0.6
    max_new_tokens: int = 4096
    attempts: int = 1
    """Chains that are written for an answer at most, until one is kept."""
    seed: int = 1

    def reconstruct(self, item: Item) -> dict[str, Any]:
        """The record: summary, last chain, and how it ended: kept, leaks, false equation, leads elsewhere, failed."""
        record: dict[str, Any] = {"where": item.where, "instruction": transcript(item.messages), "answer": item.answer}
        try:
            if self.summarise:
                record["summary"] = self.teacher.ask([Message("user", _summary(item))], self._options(item, "summary"))
            for attempt in range(self.attempts):
                found = self._attempt(item, record.get("summary"), f" {attempt}" if attempt else "")
                if found["ended"] == "kept":
                    break
            return {**record, **found, "attempts": attempt + 1}
        except NoReply as problem:
            return {**record, "ended": "failed", "why": problem.why, "reason": str(problem)}

    def _attempt(self, item: Item, summary: str | None, again: str) -> dict[str, Any]:
        """A chain, and what became of it."""
        options = self._options(item, f"chain{again}")
        chain = self.teacher.ask([Message("user", chain_prompt(item, summary))], options).strip()
        if leak := leaks(chain, item.answer):
            return {"chain": chain, "ended": "leaks", "reason": leak}
        if wrong := false_equation(chain):
            return {"chain": chain, "ended": "false equation", "reason": wrong}
        leads, why = self._leads(item, chain, again)
        return {"chain": chain, "led_to": why, "ended": "kept" if leads else "leads elsewhere"}

    def _leads(self, item: Item, chain: str, again: str) -> tuple[bool, str]:
        """Whether one who sees the chain, and not the answer, comes to it."""
        found = self.judge.ask([Message("user", answer_prompt(item, chain))], self._options(item, f"answer{again}"))
        if item.problem is not None:
            verdict = verify(item.problem, found)
            return verdict.reward == 1, f"{found.strip()} ({verdict.detail})"
        asked = (
            f"Do these two answers say the same?\n\nFirst:\n{item.answer}\n\nSecond:\n{found}\n\n"
            f"Both answer:\n{transcript(item.messages)}"
        )
        schema = object_schema(same={"type": "boolean"})
        said = self.judge.ask_json([Message("user", asked)], self._options(item, f"same{again}"), schema)
        return said["same"], found.strip()

    def _options(self, item: Item, step: str) -> Options:
        seed = derive(self.seed, step, transcript(item.messages)) >> 1
        return Options(temperature=self.temperature, max_new_tokens=self.max_new_tokens, seed=seed)


def chain_prompt(item: Item, summary: str | None = None) -> str:
    """What is asked of a chain-completion model, ours or an instruct model."""
    steps = f"\n\nSummary of the reasoning:\n{summary}" if summary else ""
    return (
        f"{transcript(item.messages)}\n\nFinal answer:\n{item.answer}{steps}\n\n"
        "Write the reasoning of someone who does not know this answer yet and works it out step by step. Never mention "
        "that it was there. Only the reasoning."
    )


def answer_prompt(item: Item, chain: str) -> str:
    """What a judge is asked who sees the chain, and not the answer."""
    return (
        f"{transcript(item.messages)}\n\nReasoning:\n{chain}\n\n"
        "Write the final answer that this reasoning comes to, and nothing else."
    )


def leaks(chain: str, answer: str) -> str | None:
    """What gives a chain away as written from its answer; None where nothing does."""
    if found := GIVEN.search(chain):
        return f'says "{found[0]}"'
    begin = chain[: int(EARLY * len(chain))]
    if len(answer) >= 2 and re.search(rf"(?<!\w){re.escape(answer.strip())}(?!\w)", begin):
        return "the answer stands at its beginning"
    return None


def reconstructed(item: Item, record: dict[str, Any]) -> Conversation | None:
    """The conversation with its reasoning; None where the chain was dropped."""
    return item.answered(item.answer, record["chain"]) if record["ended"] == "kept" else None


def completion_rows(items: Iterable[Item]) -> Iterator[dict[str, Any]]:
    """Conversations that teach a model of our own to complete chains, and to say where one leads, from data that has
    chains."""
    for item in items:
        if item.reasoning:
            yield {"prompt": chain_prompt(item), "completion": item.reasoning}
            yield {"prompt": answer_prompt(item, item.reasoning), "completion": item.answer}


def _summary(item: Item) -> str:
    return (
        f"{transcript(item.messages)}\n\nFinal answer:\n{item.answer}\n\n"
        "Summarise in a few sentences the reasoning that leads from the question to this answer."
    )
