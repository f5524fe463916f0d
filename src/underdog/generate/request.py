"""One completion in the making: what was drawn, and how the next token is. Shapes: N tokens, V vocabulary."""

from collections import Counter, deque
from collections.abc import Sequence

import torch
from torch import Tensor

from underdog.generate.guide import Guide
from underdog.generate.interface import Drawing, Scored, Token
from underdog.generate.sampling import choose
from underdog.model.history import History
from underdog.seeds import derive
from underdog.tokens.tokenizer import Tokenizer


class Request:
    """A prompt, and what is drawn behind it.

    `ids` are both; the model reads them into `history`, and whoever reads hands the scores to `take`. Tokens to be
    given out gather in `out`; an error takes their place.
    """

    def __init__(self, prompt: Sequence[int], drawing: Drawing, guide: Guide | None, tokenizer: Tokenizer):
        self.ids = list(prompt)
        self.history: History | None = None  # once it is its turn
        self.cached = 0  # tokens of the prompt that were in it from the start
        self.out: deque[Token | Exception] = deque()
        self._prompt, self._drawing, self._guide = len(self.ids), drawing, guide
        self._bytes, self._stops = tokenizer.pieces, tokenizer.stops
        self._random = torch.Generator().manual_seed(derive(drawing.sampling.seed, "lane", 0))
        self._unscored: list[int] = []  # forced by the grammar, and given out with their scores once these are there
        self._rows: list[Tensor] = []
        self._force()
        self.done = self._full

    @property
    def waiting(self) -> int:
        """Tokens that are to be read."""
        return len(self.ids) - len(self.history.ids)

    @property
    def wanted(self) -> int:
        """How many of the last tokens' scores are wanted."""
        return len(self._unscored) + 1

    def take(self, logits_NV: Tensor) -> None:
        """Scores behind the tokens that were just read, of those that are wanted; draws once all are there."""
        self._rows.append(logits_NV)
        if self.waiting:
            return
        scores_NV, self._rows = torch.cat(self._rows), []
        try:
            for token, logits_V in zip(self._unscored, scores_NV, strict=False):
                self._give(token, logits_V)
            self._unscored = []
            self._draw(scores_NV[-1])
        except Exception as problem:  # this completion's alone
            self.fail(problem)

    def fail(self, problem: Exception) -> None:
        self.done = True
        self.out.append(problem)

    @property
    def _full(self) -> bool:
        return self._left <= 0 and not self._unscored

    @property
    def _left(self) -> int:
        return self._drawing.sampling.max_new_tokens - (len(self.ids) - self._prompt)

    def _draw(self, logits_V: Tensor) -> None:
        if self._left > 0:
            token = self._choose(logits_V)
            if token is None or token in self._stops:
                self.done = True
                self.out.append(Token(closes=True))
                return
            self._give(token, logits_V)
            self.ids.append(token)
            if self._guide:
                self._guide.take(token)
                self._force()
        self.done = self._full

    def _force(self) -> None:
        """Adds what the grammar lets come next, where that is one thing only: it costs no pass of its own."""
        forced = self._guide.forced()[: self._left] if self._guide else []
        self.ids += forced
        if self._drawing.alternatives is None:
            self.out += [Token(self._bytes[token]) for token in forced]
        else:
            self._unscored = forced

    def _choose(self, logits_V: Tensor) -> int | None:
        """The next token, or None where the grammar lets nothing more come."""
        if self._guide and self._guide.done:
            return None
        logits_V = _penalised(logits_V, self.ids, self.ids[self._prompt :], self._drawing)
        if self._guide:
            logits_V = self._guide.restrict(logits_V)
        return int(choose(logits_V[None], self._drawing.sampling, self._random)[0])

    def _give(self, token: int, logits_V: Tensor) -> None:
        if self._drawing.alternatives is None:
            self.out.append(Token(self._bytes[token]))
            return
        logprobs_V = logits_V.log_softmax(-1)
        best = logprobs_V.topk(self._drawing.alternatives).indices.tolist()
        scored, *top = (Scored(self._bytes[one], float(logprobs_V[one]), one) for one in [token, *best])
        self.out.append(Token(self._bytes[token], scored=(scored,), top=(tuple(top),)))


def _penalised(logits_V: Tensor, ids: Sequence[int], drawn: Sequence[int], drawing: Drawing) -> Tensor:
    """Scores after penalties and bias."""
    if drawing.repetition_penalty != 1:
        seen = torch.tensor(sorted({*ids}))
        scores = logits_V[seen]
        away = torch.where(scores > 0, scores / drawing.repetition_penalty, scores * drawing.repetition_penalty)
        logits_V = logits_V.index_copy(0, seen, away)
    if drawn and (drawing.presence_penalty or drawing.frequency_penalty):
        counts = Counter(drawn)
        less = [drawing.presence_penalty + drawing.frequency_penalty * count for count in counts.values()]
        logits_V = logits_V.index_add(0, torch.tensor(list(counts)), -torch.tensor(less, dtype=logits_V.dtype))
    if drawing.bias:
        ids, values = list(drawing.bias), list(drawing.bias.values())
        logits_V = logits_V.index_add(0, torch.tensor(ids), torch.tensor(values, dtype=logits_V.dtype))
    return logits_V
