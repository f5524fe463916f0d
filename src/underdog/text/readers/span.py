"""What is to be read, cut into pieces of work whose number and order hang on the files alone."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

UNIT = 2 << 20
"""Bytes of input in a unit of work, about: enough to be worth a task, little enough to share out evenly."""

MOST_SPANS = 500


@dataclass(frozen=True)
class Span:
    """A file, or a part of one, for one reader."""

    source: str  # the entry of the recipe that brought it
    reader: str  # a name in formats.READERS
    path: str
    start: int = 0  # bytes; row groups of Parquet
    stop: int | None = None  # None: to the end
    line: int = 1  # the number of the line at `start`
    size: int = 0  # bytes, for sharing out and for progress
    field: str = "text"  # of records: where their text is
    origin: str = ""  # what people call it, where that is not the path


@dataclass(frozen=True)
class Unit:
    """The spans that one worker reads in one go."""

    number: int
    spans: tuple[Span, ...]

    @property
    def size(self) -> int:
        """Bytes of input."""
        return sum(span.size for span in self.spans)


def units(spans: Iterable[Span]) -> Iterator[Unit]:
    """Spans in their order, gathered into units."""
    gathered: list[Span] = []
    size = number = 0
    for span in spans:
        if gathered and (size + span.size > UNIT or len(gathered) == MOST_SPANS):
            yield Unit(number, tuple(gathered))
            gathered, size, number = [], 0, number + 1
        gathered.append(span)
        size += span.size
    if gathered:
        yield Unit(number, tuple(gathered))
