"""Completions side by side: who comes while others are drawn joins them (continuous batching: Orca, Yu et al. 2022).

A pass of the model reads some tokens of every completion: the last one of what is being drawn, and a piece of a prompt
that has just come, so that a long prompt does not hold the others up (Sarathi, Agrawal et al. 2023). There is no
thread of its own: whoever waits for a token runs the next pass for all.
"""

import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from underdog.generate.interface import Token
from underdog.generate.prefixes import Prefixes
from underdog.generate.request import Request
from underdog.model.decoder import Decoder
from underdog.model.extend import Extend, Part
from underdog.model.history import History

CHUNK = 512  # tokens read in one pass: bounds the memory of their scores
PAIRS = 2**25  # of such a token and one before it: bounds the memory of who sees whom, four bytes for each
BESIDE = 128  # the same while somebody waits for the next token of an answer


def chunk(held: int) -> int:
    """How many tokens of a sequence to read in one pass behind those that are held."""
    return max(1, min(CHUNK, PAIRS // max(held, 1)))


class Batch:
    """The completions of one model."""

    def __init__(self, model: Decoder, parallel: int, int8: bool = False):
        """`parallel`: how many are drawn at once; the others wait, first come, first served."""
        self._model = model
        self._parallel = parallel
        self._prefixes = Prefixes(model.config, parallel, int8)
        self._coming: deque[Request] = deque()
        self._drawn: list[Request] = []
        self._turn = threading.Condition()
        self._passing = False
        self.read_tokens = 0  # that went through the model so far

    def complete(self, request: Request) -> Generator[Token, None, None]:
        """Its tokens as they are drawn. While a prompt is read, tokens of nothing come: whoever asked may have left."""
        self._coming.append(request)
        try:
            while True:
                while request.out:
                    item = request.out.popleft()
                    if isinstance(item, Exception):
                        raise item
                    yield replace(item, cached=request.cached) if request.cached else item
                    request.cached = 0
                if request.done:
                    return
                self._advance(request)
        finally:
            request.done = True

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No pass of others runs meanwhile."""
        with self._turn:
            self._turn.wait_for(lambda: not self._passing)
            self._passing = True
        try:
            yield
        finally:
            self._pass_on()

    @contextmanager
    def history(self, ids: Sequence[int]) -> Iterator[History]:
        """What has been read of these ids, without the last one. For those who are alone."""
        self._settle()
        history = self._prefixes.take(list(ids), len(ids) - 1)
        try:
            yield history
        finally:
            self._prefixes.give(history)

    def read(self, parts: Sequence[Part], ids: Sequence[int]) -> Tensor:
        """Hidden states [N, D] of the parts' tokens, which their histories hold from now on."""
        hidden_ND = self._model(torch.tensor(ids), Extend(parts))
        start = 0
        for part in parts:
            stop = start + sum(part.branches)
            part.history.ids += ids[start:stop]
            start = stop
        self.read_tokens += len(ids)
        return hidden_ND

    def _advance(self, request: Request) -> None:
        """Waits for something of this request, or makes it come."""
        with self._turn:
            self._turn.wait_for(lambda: request.out or not self._passing)
            if request.out:
                return
            self._passing = True
        try:
            self._settle()
            self._pass()
        except Exception as problem:
            for one in self._drawn:
                one.fail(problem)
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        with self._turn:
            self._passing = False
            self._turn.notify_all()

    def _settle(self) -> None:
        """Lets those go that are done, and those in that wait."""
        for request in self._drawn:
            if request.done:
                self._prefixes.give(request.history)
        self._drawn = [request for request in self._drawn if not request.done]
        while self._coming and len(self._drawn) < self._parallel:
            request = self._coming.popleft()
            if not request.done:
                request.history = self._prefixes.take(request.ids, len(request.ids) - request.wanted)
                request.cached = len(request.history.ids)
                self._drawn.append(request)

    @torch.inference_mode()
    def _pass(self) -> None:
        """Reads on in every completion, those first that need little."""
        order = sorted(self._drawn, key=lambda request: request.waiting)
        room = CHUNK if order[0].waiting > BESIDE or len(order) == 1 else BESIDE
        going, parts, ids = [], [], []
        for request in order:
            held = len(request.history.ids)
            count = min(request.waiting, room, chunk(held))
            if count:
                going.append(request)
                parts.append(Part(request.history, [count]))
                ids += request.ids[held : held + count]
                room -= count
        hidden_ND = self.read(parts, ids)
        wanted = [min(part.branches[0], max(0, r.wanted - r.waiting)) for r, part in zip(going, parts, strict=True)]
        ends = torch.tensor([part.branches[0] for part in parts]).cumsum(0).tolist()
        rows = [row for end, last in zip(ends, wanted, strict=True) for row in range(end - last, end)]
        logits_NV = self._model.logits(hidden_ND[rows])
        for request, logits in zip(going, logits_NV.split(wanted), strict=True):
            if request.waiting:
                request.out.append(Token(count=0))
            request.take(logits)
