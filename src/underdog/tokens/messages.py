"""A conversation: the type that problems, demonstrations, training and serving share."""

from dataclasses import dataclass
from typing import Literal

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True)
class Message:
    """One turn. `reasoning` is what an assistant thought before `content`; None when it did not think."""

    role: Role
    content: str
    reasoning: str | None = None
