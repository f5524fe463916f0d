"""The built-in decoder as an engine for conversations: one answer at a time, nothing read twice.

What it has read stays: the next prompt that begins alike goes on from there (a second question about a document, the
answer after a thought, one item after another of a job). Batches for training are `engine.Engine`'s.
Shapes: N tokens, V vocabulary, D width.
"""

from collections import Counter
from collections.abc import Generator, Sequence

import torch
from torch import Tensor

from underdog.generate.guide import Guide, Guides
from underdog.generate.interface import Capabilities, Drawing, Scored, Token
from underdog.generate.sampling import choose
from underdog.lanes import check
from underdog.model.decoder import Decoder
from underdog.model.extend import Extend, History
from underdog.seeds import derive
from underdog.tokens.tokenizer import Tokenizer

CHUNK = 512  # tokens of a prompt read at once: bounds the memory of their scores


class TorchEngine:
    """See `interface.Engine`."""

    capabilities = Capabilities()

    def __init__(self, model: Decoder, tokenizer: Tokenizer):
        self.model = model
        self.context = model.config.context
        self.read_tokens = 0  # tokens that went through the model so far
        self._tokenizer = tokenizer
        self._bytes = tokenizer.pieces
        self._history = History(model.config)
        self._guides: Guides | None = None

    def stream(self, prompt: Sequence[int], drawing: Drawing) -> Generator[Token, None, None]:
        random = torch.Generator().manual_seed(derive(drawing.sampling.seed, "lane", 0))
        guide = self._guide(drawing)
        drawn: list[int] = []
        # Given out, and not read by the model yet.
        waiting = guide.forced()[: drawing.sampling.max_new_tokens] if guide else []
        with torch.inference_mode():
            logits_NV = self._read([*prompt, *waiting], len(waiting) + 1)
        yield from self._tokens(waiting, logits_NV, drawing)
        while True:
            drawn += waiting
            if len(drawn) >= drawing.sampling.max_new_tokens:
                return
            with torch.inference_mode():
                last_V = logits_NV[-1]
                token = self._draw(last_V, prompt, drawn, guide, drawing, random)
            if token is None or token in self._tokenizer.stops:
                yield Token(closes=True)
                return
            if guide:
                guide.take(token)
            waiting = [token, *(guide.forced() if guide else [])][: drawing.sampling.max_new_tokens - len(drawn)]
            if len(waiting) == 1 and drawing.alternatives is None:
                yield Token(self._bytes[token])
            with torch.inference_mode():
                read_NV = self._read([*prompt, *drawn, *waiting], len(waiting))
            if len(waiting) > 1 or drawing.alternatives is not None:
                yield from self._tokens(waiting, torch.cat([last_V[None], read_NV]), drawing)
            logits_NV = read_NV

    @torch.inference_mode()
    def score(self, prompt: Sequence[int], options: Sequence[Sequence[int]]) -> list[float]:
        first_V = self._read(prompt, 1)[0].log_softmax(-1)
        held = len(self._history.ids)
        ids_N = torch.tensor([token for option in options for token in option])
        logprobs_NV = self.model.logits(self._pass(ids_N, [len(option) for option in options])).log_softmax(-1)
        self._history.keep(held)
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
            self._history.keep(0)
            mean_D = self._hidden(prompt).mean(0)
            vectors.append((mean_D / mean_D.norm()).tolist())
        return vectors

    def close(self) -> None:
        self._history = History(self.model.config)

    def _guide(self, drawing: Drawing) -> Guide | None:
        if drawing.grammar is None:
            return None
        if self._guides is None:
            self._guides = Guides(self._tokenizer, self.model.config.vocabulary, self._tokenizer.stops)
        return self._guides.guide(drawing.grammar)

    def _draw(
        self,
        logits_V: Tensor,
        prompt: Sequence[int],
        drawn: Sequence[int],
        guide: Guide | None,
        drawing: Drawing,
        random: torch.Generator,
    ) -> int | None:
        """The next token, or None where the grammar lets nothing more come."""
        if guide and guide.done:
            return None
        logits_V = _penalised(logits_V, prompt, drawn, drawing)
        if guide:
            logits_V = guide.restrict(logits_V)
        return int(choose(logits_V[None], drawing.sampling, random)[0])

    def _read(self, ids: Sequence[int], last: int) -> Tensor:
        """Scores [last, V] behind each of the last ids, of which the part that was read before is not read again."""
        held = self._history.ids
        shared = next((i for i, (a, b) in enumerate(zip(held, ids, strict=False)) if a != b), min(len(held), len(ids)))
        shared = min(shared, len(ids) - last)
        self._history.keep(shared)
        return self.model.logits(self._hidden(ids[shared:])[-last:])

    def _hidden(self, ids: Sequence[int]) -> Tensor:
        parts = []
        for start in range(0, len(ids), CHUNK):
            check()
            part = torch.tensor(ids[start : start + CHUNK])
            parts.append(self._pass(part, [len(part)]))
        return torch.cat(parts)

    def _pass(self, ids_N: Tensor, branches: Sequence[int]) -> Tensor:
        hidden_ND = self.model(ids_N, Extend(self._history, branches))
        self._history.ids += ids_N.tolist()
        self.read_tokens += len(ids_N)
        return hidden_ND

    def _tokens(self, ids: Sequence[int], logits_NV: Tensor, drawing: Drawing) -> Generator[Token, None, None]:
        """The ids as they are given out; row i of the scores stands before id i."""
        for token, logits_V in zip(ids, logits_NV, strict=False):
            if drawing.alternatives is None:
                yield Token(self._bytes[token])
                continue
            logprobs_V = logits_V.log_softmax(-1)
            best = logprobs_V.topk(drawing.alternatives)
            top = tuple(self._scored(one, logprobs_V) for one in best.indices.tolist())
            yield Token(self._bytes[token], scored=(self._scored(token, logprobs_V),), top=(top,))

    def _scored(self, token: int, logprobs_V: Tensor) -> Scored:
        return Scored(self._bytes[token], float(logprobs_V[token]), token)


def _penalised(logits_V: Tensor, prompt: Sequence[int], drawn: Sequence[int], drawing: Drawing) -> Tensor:
    """Scores after penalties and bias."""
    if drawing.repetition_penalty != 1:
        seen = torch.tensor(sorted({*prompt, *drawn}))
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
