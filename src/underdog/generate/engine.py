"""The built-in engine: samples many answers at once from the decoder, with a cache and a full batch.

Shapes: R rows being generated, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from underdog.errors import UserError
from underdog.generate.interface import Ending, Sampling
from underdog.generate.sampling import choose
from underdog.lanes import as_they_come, check, lanes
from underdog.model.cache import Cache, Decode, Prefill
from underdog.model.decoder import Decoder
from underdog.seeds import derive
from underdog.world import ALONE, Place

CACHE_BYTES = 2**29  # what the keys and values of all batches together may take


@dataclass(frozen=True)
class Completion:
    """What the model produced: the ids themselves, never text that is tokenised again."""

    ids: list[int]  # the closing token included
    logprobs: list[float]  # of each id, under the distribution it was drawn from
    ending: Ending


@dataclass(frozen=True)
class _Request:
    """A prompt to complete."""

    index: int
    ids: Sequence[int]
    limit: int  # of new tokens


@dataclass(eq=False)
class _Row:
    """A completion in the making."""

    index: int  # of the request it belongs to
    limit: int
    ids: list[int]
    logprobs: list[float]


class Engine:
    """Generates with a decoder on the CPU.

    Finished rows leave the batch and waiting requests take their places, so that answers of mixed length do not
    wait for the longest. Each lane has a batch of its own.
    """

    def __init__(self, model: Decoder, stop: int, rows: int = 512):
        """`rows` is the most that a lane's batch may hold; the memory for caches may allow fewer."""
        self.model = model
        self.context = model.config.context
        self._stop = stop
        self._rows = rows

    def generate(self, prompts: Sequence[Sequence[int]], sampling: Sampling, n: int = 1) -> list[list[Completion]]:
        """`n` completions for each prompt; each prompt is read once."""
        completions: list[list[Completion]] = [[] for _ in prompts]
        for index, completion in self.answers(prompts, sampling, n):
            completions[index].append(completion)
        return completions

    def answers(
        self, prompts: Sequence[Sequence[int]], sampling: Sampling, n: int = 1, place: Place = ALONE
    ) -> Iterator[tuple[int, Completion]]:
        """(index of the prompt, completion) as they are finished; those to one prompt always in the same order.

        Of several processes each answers every so many prompts, by its `place`, and draws what a lane of one process
        would.
        """
        requests = [_Request(index, ids, self._limit(ids, sampling)) for index, ids in enumerate(prompts)]
        all_lanes = place.processes * lanes()
        most = self._most_rows(requests, n, CACHE_BYTES // all_lanes)
        for row in as_they_come(
            lambda lane: self._answer(requests[lane::all_lanes], sampling, n, lane, most),
            range(place.rank, min(all_lanes, len(requests)), place.processes),
        ):
            ending = Ending.STOPPED if row.ids[-1] == self._stop else Ending.TRUNCATED
            yield row.index, Completion(row.ids, row.logprobs, ending)

    @torch.inference_mode()
    def _answer(self, requests: Sequence[_Request], sampling: Sampling, n: int, lane: int, most: int) -> Iterator[_Row]:
        """The rows of one lane as they are finished."""
        random = torch.Generator().manual_seed(derive(sampling.seed, "lane", lane))
        waiting = list(requests)[::-1]
        batch = _RunningBatch(self.model)
        while waiting or batch.live:
            check()
            room = (most - batch.live) // n
            if waiting and (room * n >= most // 4 or not batch.live):
                batch.admit([waiting.pop() for _ in range(min(max(room, 1), len(waiting)))], n)
            batch.draw(sampling, random)
            yield from batch.retire(self._stop)
            batch.read()

    def _limit(self, prompt: Sequence[int], sampling: Sampling) -> int:
        room = self.context - len(prompt)
        if room < 1:
            raise UserError(f"The prompt has {len(prompt)} tokens; the model's context holds {self.context}.")
        return min(sampling.max_new_tokens, room)

    def _most_rows(self, requests: Sequence[_Request], n: int, cache_bytes: int) -> int:
        longest = max((len(request.ids) // n + request.limit for request in requests), default=1)
        a_row = Cache.bytes_per_token(self.model.config) * longest
        return min(self._rows, max(1, cache_bytes // a_row))


class _RunningBatch:
    """The rows that are being generated, their cache and the scores of their next tokens.

    Rows that are done stay in the tensors until enough of them have gathered: moving the cache costs more than
    computing a few dead rows.
    """

    def __init__(self, model: Decoder):
        self._model = model
        self._slots: list[_Row | None] = []  # one a tensor row; None where the row is done
        self._cache: Cache | None = None
        self._logits_RV = torch.empty(0)
        self._drawn_R = torch.empty(0)

    @property
    def live(self) -> int:
        return sum(row is not None for row in self._slots)

    def admit(self, requests: Sequence[_Request], n: int) -> None:
        """Reads the prompts and adds `n` rows for each."""
        lengths = [len(request.ids) for request in requests]
        cache = Cache(self._model.config, lengths, max(request.limit for request in requests), n)
        ids_N = torch.tensor([token for request in requests for token in request.ids])
        hidden_ND = self._model(ids_N, Prefill(cache))
        last = torch.tensor(lengths).cumsum(0) - 1
        logits_RV = self._model.logits(hidden_ND[last]).repeat_interleave(n, dim=0)
        self._drop_done(patience=0.0)
        if self._slots:
            self._cache.join(cache)
            logits_RV = torch.cat([self._logits_RV, logits_RV])
        else:
            self._cache = cache
        self._logits_RV = logits_RV
        self._slots += [_Row(request.index, request.limit, [], []) for request in requests for _ in range(n)]

    def draw(self, sampling: Sampling, random: torch.Generator) -> None:
        """Adds one token to every row that is not done."""
        self._drawn_R, logprobs_R = choose(self._logits_RV, sampling, random)
        for row, token, logprob in zip(self._slots, self._drawn_R.tolist(), logprobs_R.tolist(), strict=True):
            if row is not None:
                row.ids.append(token)
                row.logprobs.append(logprob)

    def retire(self, stop: int) -> list[_Row]:
        """Returns the rows that are done and takes them out of the batch."""
        done = []
        for slot, row in enumerate(self._slots):
            if row is not None and (row.ids[-1] == stop or len(row.ids) >= row.limit):
                done.append(row)
                self._slots[slot] = None
                self._cache.answers.lengths[slot] = 0  # it is computed on for a while, and must not outgrow the cache
        return done

    def read(self) -> None:
        """Runs the model on the drawn tokens."""
        self._drop_done(patience=0.125)
        if self._slots:
            self._logits_RV = self._model.logits(self._model(self._drawn_R, Decode(self._cache)))

    def _drop_done(self, patience: float) -> None:
        """Moves the live rows together once more than this share of the rows is done."""
        if self._slots and (len(self._slots) - self.live > patience * len(self._slots) or not self.live):
            kept = torch.tensor([i for i, row in enumerate(self._slots) if row is not None], dtype=torch.int64)
            self._slots = [row for row in self._slots if row is not None]
            self._cache.keep(kept)
            self._logits_RV = self._logits_RV[kept]
            self._drawn_R = self._drawn_R[kept]
