"""The built-in decoder as an engine for conversations: answers side by side, nothing read twice.

Batches for training, in which all rows are drawn alike, are `engine.Engine`'s.
Shapes: N tokens, V vocabulary, D width.
"""

from collections.abc import Generator, Sequence

import torch
from torch import Tensor

from underdog.errors import UserError
from underdog.generate.batch import Batch, chunk
from underdog.generate.guide import Guide, Guides
from underdog.generate.interface import CacheKind, Capabilities, Drawing, Token
from underdog.generate.request import Request
from underdog.model.decoder import Decoder
from underdog.model.extend import Part
from underdog.model.history import History
from underdog.tokens.tokenizer import Tokenizer

PARALLEL = 8  # answers drawn side by side


class TorchEngine:
    """See `interface.Engine`."""

    def __init__(
        self,
        model: Decoder,
        tokenizer: Tokenizer,
        context: int | None = None,
        parallel: int = PARALLEL,
        cache: CacheKind = "full",
    ):
        """`context`: tokens that a conversation may have; by default the model's own. `cache`: how keys and values are
        kept; in 8 bits they take a quarter of the memory.

        Raises:
            UserError: the model has less context.
        """
        if context and context > model.config.context:
            raise UserError(f"The model has {model.config.context:,} tokens of context, not {context:,}.")
        self.model = model
        self.context = context or model.config.context
        self.vocabulary = model.config.vocabulary
        self.capabilities = Capabilities(parallel=parallel)
        self._tokenizer = tokenizer
        self._guides: Guides | None = None
        self._int8 = cache == "int8"
        self._batch = Batch(model, parallel, self._int8)

    @property
    def read_tokens(self) -> int:
        """Tokens that went through the model so far."""
        return self._batch.read_tokens

    def stream(self, prompt: Sequence[int], drawing: Drawing) -> Generator[Token, None, None]:
        yield from self._batch.complete(Request(prompt, drawing, self._guide(drawing), self._tokenizer))

    @torch.inference_mode()
    def score(self, prompt: Sequence[int], options: Sequence[Sequence[int]]) -> list[float]:
        with self._batch.alone(), self._batch.history(prompt) as history:
            first_V = self.model.logits(self._read(history, prompt)[-1]).log_softmax(-1)
            held = len(history.ids)
            ids = [token for option in options for token in option]
            hidden_ND = self._batch.read([Part(history, [len(option) for option in options])], ids)
            history.keep(held)
        logprobs_NV = self.model.logits(hidden_ND).log_softmax(-1)
        sums, start = [], 0
        for option in options:
            before_NV = torch.cat([first_V[None], logprobs_NV[start : start + len(option) - 1]])
            sums.append(float(before_NV.gather(1, torch.tensor(option)[:, None]).sum()))
            start += len(option)
        return sums

    @torch.inference_mode()
    def embed(self, prompts: Sequence[Sequence[int]]) -> list[list[float]]:
        """The mean of the last hidden states."""
        vectors = []
        for prompt in prompts:
            with self._batch.alone():
                mean_D = self._read(History(self.model.config), prompt).mean(0)  # of all states: no prefix is reused
            vectors.append((mean_D / mean_D.norm()).tolist())
        return vectors

    def close(self) -> None:
        self._batch = Batch(self.model, self.capabilities.parallel, self._int8)

    def _guide(self, drawing: Drawing) -> Guide | None:
        if drawing.grammar is None:
            return None
        if self._guides is None:
            self._guides = Guides(self._tokenizer, self.model.config.vocabulary, self._tokenizer.stops)
        return self._guides.guide(drawing.grammar)

    def _read(self, history: History, ids: Sequence[int]) -> Tensor:
        """Hidden states [N, D] of those of the ids that the history does not hold yet."""
        parts, ids = [], list(ids)
        while (held := len(history.ids)) < len(ids):
            piece = ids[held : held + chunk(held)]
            parts.append(self._batch.read([Part(history, [len(piece)])], piece))
        return torch.cat(parts)
