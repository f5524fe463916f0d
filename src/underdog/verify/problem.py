"""The types of verified problems: read these first."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from underdog.tokens.messages import Message


@dataclass(frozen=True)
class Worked:
    """A demonstration: the reasoning that leads to the answer, and the answer."""

    reasoning: str
    answer: str


@dataclass(frozen=True)
class Problem:
    """A prompt whose answers a program can judge."""

    id: str  # a digest of the prompt: equal problems have equal ids, so splits can be checked
    prompt: tuple[Message, ...]
    verifier: str  # a name in the registry: "number", "expression", "list", …
    data: Mapping[str, Any]  # what the verifier needs; never sent to the model
    domain: str = "logic"
    task: str = ""  # where it comes from: "chain_sum", a file name, …
    worked: Worked | None = field(default=None, compare=False)

    def conversation(self) -> list[Message]:
        """The worked problem as the conversation that it teaches."""
        return [*self.prompt, Message("assistant", self.worked.answer, self.worked.reasoning)]


@dataclass(frozen=True)
class Verdict:
    """A verifier's judgement of one answer."""

    reward: float  # 0..1, unshaped
    detail: str  # one line that a person reads beside the rollout
