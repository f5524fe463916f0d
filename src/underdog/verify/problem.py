"""The types of verified problems: read these first."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
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
    verifier: str  # a name in the registry: "number", "math", "code", …
    data: Mapping[str, Any]  # what the verifier needs; never sent to the model, nor to code that it writes
    domain: str = "logic"
    task: str = ""  # where it comes from: "chain_sum", a file name, …
    worked: Worked | None = field(default=None, compare=False)
    metadata: Mapping[str, Any] = field(default_factory=dict, compare=False)  # for people and reports

    def conversation(self) -> list[Message]:
        """The worked problem as the conversation that it teaches."""
        return self.answered(self.worked.answer, self.worked.reasoning)

    def answered(self, answer: str, reasoning: str | None = None) -> list[Message]:
        """A conversation that teaches this answer; the prompt's own turns, of examples say, are not learned."""
        given = [replace(message, trained=False) for message in self.prompt]
        return [*given, Message("assistant", answer, reasoning)]


def reference_answer(problem: Problem) -> str | None:
    """The right answer, where one is written down."""
    if problem.worked:
        return problem.worked.answer
    for place in (problem.data, problem.data.get("entry")):  # of code, "entry" is a function's name
        for name in ("answer", "solution"):
            if isinstance(place, Mapping) and isinstance(place.get(name), str):
                return place[name]
    return None


class Outcome(Enum):
    """How a judgement ended."""

    RIGHT = "right"
    WRONG = "wrong"  # in part, too: the reward says how much was right
    UNPARSABLE = "unparsable"  # there is no answer, or none of the form that the problem asks for
    TIMED_OUT = "timed out"  # the answer, or judging it, took longer than allowed
    CRASHED = "crashed"  # the verifier failed: nothing is known about the answer


@dataclass(frozen=True)
class Verdict:
    """A verifier's judgement of one answer."""

    outcome: Outcome
    reward: float  # 0..1, unshaped: 1 when right, and 0 when there is no judgement
    detail: str  # one line that a person reads beside the rollout

    @staticmethod
    def right(detail: str) -> "Verdict":
        return Verdict(Outcome.RIGHT, 1.0, detail)

    @staticmethod
    def wrong(detail: str) -> "Verdict":
        return Verdict(Outcome.WRONG, 0.0, detail)

    @staticmethod
    def share(reward: float, detail: str) -> "Verdict":
        """Right where the reward is 1, else wrong with what it is."""
        return Verdict(Outcome.RIGHT if reward >= 1 else Outcome.WRONG, reward, detail)

    @staticmethod
    def unparsable(detail: str) -> "Verdict":
        return Verdict(Outcome.UNPARSABLE, 0.0, detail)

    @staticmethod
    def timed_out(detail: str) -> "Verdict":
        return Verdict(Outcome.TIMED_OUT, 0.0, detail)

    @staticmethod
    def crashed(detail: str) -> "Verdict":
        return Verdict(Outcome.CRASHED, 0.0, detail)
