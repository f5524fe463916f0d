"""The sections [refine] and [reconstruct]: what becomes of conversations before SFT learns them (docs/teaching.md)."""

from typing import Annotated

from pydantic import Field, model_validator

from underdog.recipe.common import Count, NotNegative, Positive, Section, Share

BASE = "base"
"""As a model's name: what the run has before SFT, pretrained or given."""
OWN = "own"
"""As a model's name in [reconstruct]: the chain-completion model that the run trains."""
UNKEYED = {"failures", "budget", "timeout", "own"}
"""Settings that decide whether a stage comes to its end, and nothing about what it makes; how an own model is trained
is in that model's key."""
Score = Annotated[float, Field(ge=0, le=10)]


class Budget(Section):
    """What a stage's teachers may use, all together. Replies of attempts that were stopped count; they are not paid for
    again."""

    tokens: Count | None = None
    """Read and written."""
    money: Positive | None = None
    """In the unit of the prices."""
    price_in: NotNegative = 0.0
    """Of a million tokens read; `price_out`: of a million written."""
    price_out: NotNegative = 0.0

    @model_validator(mode="after")
    def _money_needs_prices(self) -> "Budget":
        if self.money is not None and not self.price_in + self.price_out:
            raise ValueError("a budget of money needs price_in or price_out")
        return self


class Asking(Section):
    """What both sections say."""

    domains: list[str] = []
    """Domains (docs/teaching.md) whose rows are worked on; empty: all. Other rows are taught as they are."""
    rows: Annotated[int, Field(ge=0)] = 0
    """Most rows that are worked on, the first of them, the others being taught as they are; 0 = all."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.7
    max_new_tokens: Count = 2048
    """Longest reply; less where a model's context has no room for it."""
    seed: int = 1
    """Of the replies. The recipe's own seed does not change them: they are asked for once for all seeds."""
    failures: Share = 0.1
    """Share of the rows on which teachers may fail. More end the stage with an error; run again, it goes on."""
    timeout: Positive = 600.0
    """Seconds that a server may be silent before it is asked again."""
    budget: Budget = Budget()


class Refine(Asking):
    """Answers are drafted, judged by a checklist, and revised."""

    teachers: list[str] = []
    """Who drafts; the first revises: addresses (http://host/v1#model), runs, folders, .gguf files, or "base". Empty:
    the stage is left out."""
    evaluators: list[str] = []
    """Who writes checklists and scores; empty: the teachers."""
    enough: Score = 8.0
    """Score at which an answer is good."""
    least: Score = 0.0
    """Answers that stay below this score are left out."""
    rounds: Annotated[int, Field(ge=0)] = 2
    """Most revisions of an answer."""
    critique: Count = 2000
    """Longest critique, in characters."""

    @property
    def models(self) -> list[str]:
        return [*self.teachers, *self.evaluators]

    @model_validator(mode="after")
    def _fits(self) -> "Refine":
        if self.least > self.enough:
            raise ValueError(f"least ({self.least:g}) is above enough ({self.enough:g})")
        if self.evaluators and not self.teachers:
            raise ValueError("evaluators need teachers who draft")
        return self


class Own(Section):
    """How the chain-completion model is trained; what is not said here is as in [sft]."""

    data: Annotated[list[str], Field(min_length=1)] = ["demonstrations"]
    """Conversations that have their reasoning, named as in sft.data."""
    steps: Count = 300


class Reconstruct(Asking):
    """Reasoning is written for the answers that have none."""

    teacher: str = ""
    """Who writes it: as in refine.teachers, or "own". Empty: the stage is left out."""
    judge: str = ""
    """Who says what a chain leads to; empty: the teacher."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.6
    max_new_tokens: Count = 4096
    summary: bool = True
    """Have the reasoning summarised first. A model of our own is not asked to."""
    attempts: Count = 1
    """Chains that are written for an answer at most, until one passes the guards."""
    own: Own = Own()

    @property
    def models(self) -> list[str]:
        return [name for name in (self.teacher, self.judge or self.teacher) if name]

    @model_validator(mode="after")
    def _has_a_teacher(self) -> "Reconstruct":
        if self.judge and not self.teacher:
            raise ValueError("a judge needs a teacher whose chains it judges")
        return self
