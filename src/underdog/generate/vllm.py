"""Answers by a vLLM server: tokens in, tokens out, with the log-probabilities of the distribution they were drawn from.

The server holds a copy of a model that is being trained here. Where the weights have changed since it was last asked,
they are written to a folder that both see and loaded there, and what it remembers of prompts is forgotten.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from underdog.errors import UserError, extra
from underdog.generate.engine import Completion
from underdog.generate.interface import Ending, Sampling
from underdog.generate.vllm_server import started
from underdog.model.weights import untie
from underdog.seeds import derive
from underdog.tokens.tokenizer import Tokenizer
from underdog.world import ALONE, Place

if TYPE_CHECKING:
    import httpx

AT_ONCE = 256  # requests, each for all answers to a prompt
TIMEOUT = 600.0  # seconds that one may take
FOLDER = "UNDERDOG_VLLM_FOLDER"
"""Names the variable with the folder for weights that a server on another machine sees too."""


@dataclass(frozen=True)
class Policy:
    """The model in training, as far as its copy on the server must know it."""

    context: int
    version: Callable[[], int]  # another one whenever the weights have changed; the same in every process
    save: Callable[[Path], None]  # a checkpoint; every process that shares the model calls it, the first one writes
    tied: bool = False  # its head is its embedding


class Vllm:
    """The engine interface of rollouts. Several processes may share one server; the first of them updates it."""

    def __init__(self, url: str, policy: Policy, tokenizer: Tokenizer, folder: Path):
        """Raises UserError: the server does not answer, has not one model only, or cannot update its weights."""
        self._policy, self._tokenizer, self._folder = policy, tokenizer, folder
        self._url = url.rstrip("/").removesuffix("/v1")
        self._http = _client()
        self._published: int | None = None  # the version of the weights that the server has
        models = self._ask("GET", "/v1/models")["data"]
        if len(models) != 1:
            raise UserError(f"{url} serves {len(models)} models; rollouts need a server with the policy alone.")
        self._name, room = models[0]["id"], models[0].get("max_model_len")
        self.context = min(policy.context, room or policy.context)

    def answers(
        self, prompts: Sequence[Sequence[int]], sampling: Sampling, n: int = 1, place: Place = ALONE
    ) -> Iterator[tuple[int, Completion]]:
        """(index of the prompt, completion): all `n` to a prompt as soon as the last of them is finished."""
        self._publish(place)
        with ThreadPoolExecutor(AT_ONCE) as threads:
            asked = {
                threads.submit(self._complete, prompts[index], sampling, n, index): index
                for index in range(place.rank, len(prompts), place.processes)
            }
            try:
                for done in as_completed(asked):
                    for completion in done.result():
                        yield asked[done], completion
            finally:
                threads.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        self._http.close()

    def _complete(self, prompt: Sequence[int], sampling: Sampling, n: int, index: int) -> list[Completion]:
        room = self.context - len(prompt)
        if room < 1:
            raise UserError(f"The prompt has {len(prompt)} tokens; the server's context holds {self.context}.")
        asked = {
            "model": self._name,
            "prompt": list(prompt),
            "n": n,
            "max_tokens": min(sampling.max_new_tokens, room),
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            "min_p": sampling.min_p,
            "seed": derive(sampling.seed, "vllm", index),
            "ignore_eos": True,  # the turn's end alone ends an answer, as in training
            "stop_token_ids": [self._tokenizer.turn_end],
            "logprobs": 0,  # of the drawn tokens, and of no others
            "return_token_ids": True,
            "skip_special_tokens": False,
        }
        choices = self._ask("POST", "/v1/completions", json=asked)["choices"]
        return [self._read(choice) for choice in sorted(choices, key=lambda choice: choice["index"])]

    def _read(self, choice: dict[str, Any]) -> Completion:
        ids, logprobs = choice.get("token_ids"), (choice.get("logprobs") or {}).get("token_logprobs")
        if ids is None or logprobs is None or len(ids) != len(logprobs):
            raise UserError(f"{self._url} does not say which tokens it drew.", hint="Rollouts need vLLM 0.11 or newer.")
        return Completion(ids, logprobs, Ending.STOPPED if choice["finish_reason"] == "stop" else Ending.TRUNCATED)

    def _publish(self, place: Place) -> None:
        """Gives the server the policy's weights, unless it has them."""
        version = self._policy.version()
        if version == self._published:
            return
        folder = self._folder / f"weights-{version}"
        self._policy.save(folder)
        if place.rank == 0:
            self._ask(
                "POST", "/collective_rpc", json={"method": "reload_weights", "kwargs": {"weights_path": str(folder)}}
            )
            self._ask("POST", "/reset_prefix_cache")
            shutil.rmtree(folder)
        place.gathered(None)  # nobody asks before
        self._published = version

    def _ask(self, method: str, path: str, **what: Any) -> Any:
        import httpx

        try:
            response = self._http.request(method, self._url + path, **what)
            if response.status_code == 404 and path != "/v1/models":
                raise UserError(
                    f"{self._url} has no {path}: its weights cannot be updated.",
                    hint="Start it with VLLM_SERVER_DEV_MODE=1 (docs/reinforcement.md).",
                )
            if response.status_code != 200:
                raise UserError(f"{self._url}{path} answers {response.status_code}: {response.text[:300]}")
            return response.json()
        except (httpx.HTTPError, ValueError) as problem:
            raise UserError(
                f"The vLLM server at {self._url} does not answer: {problem or type(problem).__name__}.",
                hint="The same command goes on from the last state once it is there.",
            ) from None


@contextmanager
def open_vllm(where: str, policy: Policy, tokenizer: Tokenizer, place: Place = ALONE) -> Iterator[Vllm]:
    """The server at a URL; or, where that is "vllm", one that is started here, by the first process, and ended with
    the run."""
    with TemporaryDirectory(prefix="underdog-vllm-", dir=os.environ.get(FOLDER)) as made:
        folder = Path(made)
        if policy.tied:
            policy = _with_a_head(policy, place)
        if where != "vllm":
            yield from _connected(where, policy, tokenizer, folder)
            return
        policy.save(folder / "start")
        if place.rank:
            yield from _connected(place.gathered("")[0], policy, tokenizer, folder)
        else:
            with started(folder / "start", policy.context) as url:
                place.gathered(url)
                yield from _connected(url, policy, tokenizer, folder)


def _with_a_head(policy: Policy, place: Place) -> Policy:
    """Saved as the same model with a head of its own: vLLM 0.32 loses track of a tied one when weights change."""

    def save(folder: Path) -> None:
        policy.save(folder)
        if place.rank == 0:
            untie(folder)

    return replace(policy, save=save, tied=False)


def _connected(url: str, policy: Policy, tokenizer: Tokenizer, folder: Path) -> Iterator[Vllm]:
    vllm = Vllm(url, policy, tokenizer, folder)
    try:
        yield vllm
    finally:
        vllm.close()


def _client() -> "httpx.Client":
    with extra("http", "A server of vLLM"):
        import httpx
    limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
    return httpx.Client(timeout=httpx.Timeout(TIMEOUT, connect=10), limits=limits)
