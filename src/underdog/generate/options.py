"""What a caller may wish of an answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from underdog.errors import UserError
from underdog.generate.structure import Structure
from underdog.generate.tools import Offer

COLDEST = 1e-5  # lowest temperature above 0: dividing by less would overflow the scores


class OptionError(UserError):
    """Something asked for that cannot be had; `option` names it."""

    def __init__(self, option: str, message: str, *, hint: str | None = None):
        super().__init__(message, hint=hint)
        self.option = option

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.option, str(self)), vars(self)  # worker processes send it


class ContextFull(OptionError):
    """The conversation, with the new tokens asked for, is longer than the model's context."""


@dataclass(frozen=True)
class Options:
    """How an answer is to be drawn. None leaves it to the model's own generation_config.json.

    Raises:
        OptionError: a value is out of range.
    """

    temperature: float | None = None  # 0 = greedy
    top_p: float | None = None
    top_k: int | None = None  # 0 = all
    min_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    max_new_tokens: int | None = None  # None = as many as the context has room for
    seed: int | None = None  # None = another one each time
    stop: tuple[str, ...] = ()  # the content ends before the first of these; reasoning is not searched
    bias: Mapping[int, float] = field(default_factory=dict)  # token -> what is added to its score
    alternatives: int | None = None  # log-probabilities, with so many likeliest tokens beside each; None: none
    thinking: bool | None = None  # asks the chat template for a mode; None: the template's own
    thinking_budget: int | None = None  # tokens of reasoning, after which `</think>` is written for the model
    structure: Structure | None = None  # of the content
    offer: Offer | None = None  # tools

    def __post_init__(self):
        rules = {
            "temperature": (lambda t: t == 0 or COLDEST <= t <= 2, f"0 (greedy) or between {COLDEST:.5f} and 2"),
            "top_p": (lambda p: 0 <= p <= 1, "between 0 and 1"),
            "top_k": (lambda k: k >= 0, "0 (all tokens) or more"),
            "min_p": (lambda p: 0 <= p <= 1, "between 0 and 1"),
            "presence_penalty": (lambda p: -2 <= p <= 2, "between -2 and 2"),
            "frequency_penalty": (lambda p: -2 <= p <= 2, "between -2 and 2"),
            "repetition_penalty": (lambda p: 0.1 <= p <= 10, "between 0.1 and 10"),
            "max_new_tokens": (lambda n: n >= 1, "at least 1"),
            "seed": (lambda seed: -(2**63) <= seed < 2**63, "a number of 64 bits"),
            "stop": (lambda strings: all(strings) and len(strings) <= 16, "at most 16 strings, none of them empty"),
            "bias": (
                lambda bias: all(-100 <= value <= 100 for value in bias.values()) and len(bias) <= 1024,
                "at most 1,024 tokens, each with a number between -100 and 100",
            ),
            "alternatives": (lambda n: 0 <= n <= 20, "between 0 and 20"),
            "thinking_budget": (lambda n: n >= 0, "0 or more"),
        }
        for name, (holds, rule) in rules.items():
            value = getattr(self, name)
            if value is not None and not holds(value):
                raise OptionError(name, f"{name} must be {rule}.")
        if self.structure and self.offer and self.offer.choice != "none":
            raise OptionError("structure", "An answer is either of a given structure or may call tools, not both.")
