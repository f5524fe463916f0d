"""Workers on a Ray cluster: the one that RAY_ADDRESS names, else one on this machine for as long as it takes.

Every machine of the cluster sees the sources and the folder of the runs under the same paths, and has Underdog
installed. A unit whose worker dies is done again elsewhere.
"""

import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from underdog.errors import UserError, extra

_SECONDS = 5.0  # that the cluster's head may take to answer
_RETRIES = 5  # of a unit, when its worker or its machine is lost


class RayWorkers:
    def __init__(self, count: int):
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nothing is reported to anyone
        with extra("ray", "Curation on Ray"):
            import ray
        self._ray = ray
        self._own = not ray.is_initialized()
        if self._own:
            _join(ray, os.environ.get("RAY_ADDRESS"), count)
        self._ahead = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._work = ray.remote(max_retries=_RETRIES, num_cpus=1)(_work)

    def run(self, work: Callable[..., None], context: Any, items: Sequence[Any]) -> Iterator[Any]:
        ray = self._ray
        known = ray.put(context)
        waiting = list(reversed(items))
        begun: dict[Any, Any] = {}
        while waiting or begun:
            while waiting and len(begun) < self._ahead:
                item = waiting.pop()
                begun[self._work.remote(known, work, item)] = item
            done, _ = ray.wait(list(begun))
            for reference in done:
                try:
                    ray.get(reference)
                except ray.exceptions.RayTaskError as problem:
                    raise problem.cause from None
                except ray.exceptions.RayError as problem:
                    raise UserError(
                        f"Ray lost a piece of curation {_RETRIES + 1} times: {_first_line(problem)}",
                        hint="Run the same command again: what is finished is kept.",
                    ) from None
                yield begun.pop(reference)

    def close(self) -> None:
        if self._own:
            self._ray.shutdown()


def _join(ray: Any, address: str | None, count: int) -> None:
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address:
        _check_answers(address)
    try:
        if address:
            ray.init(address, **quiet)
        else:
            ray.init(num_cpus=count, include_dashboard=False, **quiet)
    except Exception as problem:  # Ray raises a bare one where its own processes take too long to start
        if not address:
            raise UserError(
                f"Ray does not start on this machine: {_first_line(problem)}",
                hint="Try again when less else is running, or leave --on ray away: the result is the same.",
            ) from None
        raise _no_cluster(address, problem) from None


def _check_answers(address: str) -> None:
    """Ray itself would look for a minute and more for a cluster that is not there."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not port.isdecimal():
        return  # "auto"
    try:
        socket.create_connection((host, int(port)), timeout=_SECONDS).close()
    except (OSError, OverflowError) as problem:
        raise _no_cluster(address, problem) from None


def _no_cluster(address: str, problem: Exception) -> UserError:
    return UserError(
        f"There is no Ray cluster at RAY_ADDRESS={address}: {_first_line(problem)}",
        hint="Start one with `ray start --head`, or unset RAY_ADDRESS to run on this machine.",
    )


def _work(context: Any, work: Callable[..., None], item: Sequence[Any]) -> None:
    work(context, *item)


def _first_line(problem: Exception) -> str:
    return str(problem).strip().partition("\n")[0]
