"""What is asked of a sandbox, and what it reports."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal


@dataclass(frozen=True)
class Job:
    """Code, and one of: `inputs` for its standard input, `calls` of its functions, or `tests` that call them.

    It never holds what the code is expected to answer, but in `tests`, which run in another process.
    """

    code: str
    inputs: Sequence[str] = ()
    calls: Sequence[tuple[str, Sequence[Any]]] = ()  # (name, positional arguments as values.encode writes them)
    tests: str = ""
    prelude: str = ""  # code that the tests rely on
    entry: str | None = None  # the function that the tests' `check(candidate)` is to check
    names: Sequence[str] = ()  # what the tests find in the code, though Python has something of that name, too
    seconds: float = 5.0  # of CPU time for all of it together; of waiting time, three times as many
    memory: int = 512 << 20  # bytes of address space
    output: int = 1 << 20  # bytes that one run may write

    @property
    def patience(self) -> float:
        """Seconds of waiting time, after which it has timed out whatever it does."""
        return 3 * self.seconds

    def message(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def of(message: dict[str, Any]) -> "Job":
        """Raises TypeError for what is no job."""
        if not isinstance(message, dict) or set(message) - {field.name for field in fields(Job)}:
            raise TypeError("not a job")
        return Job(**message)


@dataclass(frozen=True)
class Report:
    """How a job ended, and what came out.

    cases: for every input {"output", "error"}; for every call {"value"} or {"error"}; for tests one
    {"passed", "total", "why"}. Empty unless the job finished.
    """

    ending: Literal["finished", "timed out", "crashed"]
    cases: list[dict[str, Any]]
