"""Keeps a completion of the built-in engine within a grammar. Shapes: V vocabulary."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from underdog.errors import UserError
from underdog.generate.structure import library
from underdog.tokens.tokenizer import Tokenizer


class Guides:
    """Makes guides for one tokenizer; knowing the tokenizer is what takes time."""

    def __init__(self, tokenizer: Tokenizer, vocabulary: int, stops: Sequence[int]):
        """`vocabulary` is the model's, which may be padded beyond the tokenizer's."""
        self._stops = list(stops)
        self._tokenizer = library().LLTokenizer(tokenizer.core.to_str(), n_vocab=vocabulary, eos_token=self._stops)

    def guide(self, grammar: str) -> "Guide":
        lib = library()
        matcher = lib.LLMatcher(self._tokenizer, lib.LLMatcher.grammar_from_lark(grammar), log_level=0)
        return Guide(matcher, set(self._stops))


class Guide:
    """One completion under a grammar."""

    def __init__(self, matcher: Any, stops: set[int]):
        self._matcher = matcher
        self._stops = stops
        self._check()

    @property
    def done(self) -> bool:
        """Nothing more may come."""
        return self._matcher.is_stopped()

    def forced(self) -> list[int]:
        """Tokens that must come next, taken already."""
        ids = self._matcher.compute_ff_tokens()
        self._matcher.consume_tokens(ids)
        self._check()
        return ids

    def restrict(self, logits_V: Tensor) -> Tensor:
        """The scores with those of impossible tokens at minus infinity."""
        allowed_V = torch.from_numpy(np.frombuffer(self._matcher.compute_logit_bias(), np.uint8).copy()) > 0
        self._check()
        return logits_V.masked_fill(~allowed_V, -torch.inf)

    def take(self, token: int) -> None:
        self._matcher.consume_token(token)
        self._check()

    def _check(self) -> None:
        if self._matcher.is_error():
            words = self._matcher.get_error().strip().splitlines()[0]
            raise UserError(f"The grammar became too complex while the answer was drawn: {words}")
