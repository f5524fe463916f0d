"""What an engine is: prompts as ids in, tokens out. Nothing above this room knows which one it talks to.

Engines: `torch_engine.TorchEngine` (the built-in decoder), `llamacpp.LlamaCpp` (GGUF files). A server behind an
OpenAI-compatible address takes messages rather than ids, so it stands one floor higher: `remote.Remote`.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, Protocol

CacheKind = Literal["full", "int8"]  # how keys and values are kept: the engine's own floats, or 8 bits


class Ending(Enum):
    """How a completion ended."""

    STOPPED = "stop"  # the model closed its turn
    TRUNCATED = "length"  # it ran into the limit of new tokens or of the context
    CALLED = "tool_calls"  # it ended its turn to have tools called


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn. Rollouts for training keep `top_p` = 1 and `top_k` = `min_p` = 0: a truncated
    distribution biases the ratios (facts: ProRL)."""

    temperature: float = 1.0  # 0 = greedy
    top_p: float = 1.0
    top_k: int = 0  # 0 = all
    max_new_tokens: int = 256
    seed: int = 0
    min_p: float = 0.0  # least probability, as a share of the likeliest token's


@dataclass(frozen=True)
class Drawing:
    """All that shapes one completion."""

    sampling: Sampling = field(default_factory=Sampling)
    presence_penalty: float = 0.0  # taken from the score of each token that was drawn before
    frequency_penalty: float = 0.0  # the same, times how often it was drawn
    repetition_penalty: float = 1.0  # divides the score of each token of prompt and answer (CTRL, section 4.1)
    bias: Mapping[int, float] = field(default_factory=dict)  # added to scores
    grammar: str | None = None  # what the whole output must be: Lark, as `structure.Structure.whole` writes it
    alternatives: int | None = None  # likeliest tokens to report beside each; None: no log-probabilities


@dataclass(frozen=True)
class Scored:
    """A token with its log-probability under the model itself, before temperature, penalties and grammar."""

    data: bytes
    logprob: float
    id: int | None = None


@dataclass(frozen=True)
class Token:
    """One step of a completion: mostly one token, where an engine gives out whole characters only also several."""

    data: bytes = b""  # what it adds to the text: nothing where it is a control token
    count: int = 1  # tokens drawn
    closes: bool = False  # the model ended its turn here
    scored: tuple[Scored, ...] = ()  # the tokens, where log-probabilities were asked for
    top: tuple[tuple[Scored, ...], ...] = ()  # for each of them the likeliest ones
    cached: int = 0  # tokens of the prompt that were not read again, said once


@dataclass(frozen=True)
class Capabilities:
    """What an engine can do. What it cannot is refused by name, never left out silently."""

    structure: bool = True  # grammars
    penalties: bool = True
    alternatives: int = 20  # most of them reported for a token
    score: bool = True
    embed: bool = True
    parallel: int = 1  # answers that it draws side by side
    tools: bool = True


class Engine(Protocol):
    """Draws, scores and embeds with one model."""

    capabilities: Capabilities
    context: int  # tokens, prompt and answer together
    vocabulary: int  # tokens that there are

    def stream(self, prompt: Sequence[int], drawing: Drawing) -> Generator[Token, None, None]:
        """One completion as it is drawn; the prompt fits. Closing the generator stops the model."""
        ...

    def score(self, prompt: Sequence[int], options: Sequence[Sequence[int]]) -> list[float]:
        """Log-probability of each option behind the prompt, the sum over its tokens."""
        ...

    def embed(self, prompts: Sequence[Sequence[int]]) -> list[list[float]]:
        """One vector of length 1 for each text."""
        ...

    def close(self) -> None:
        """Gives memory and threads back."""
        ...
