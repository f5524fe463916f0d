"""Names and other things of given types in a text, each with its place.

The model lists them under a grammar, window by window; what it lists is looked up in the text, so every span is
checked: `text[start:end]` is the entity. What does not stand there was invented, and is left out and counted.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from underdog.errors import UserError
from underdog.generate.session import Model
from underdog.generate.structure import Structure
from underdog.tasks.ask import ask, described, object_of
from underdog.tasks.extract import find


@dataclass(frozen=True, order=True)
class Entity:
    """Characters `start` to `end` (exclusive)."""

    start: int
    end: int
    type: str
    text: str


@dataclass(frozen=True)
class Found:
    """Entities in the order of the text; they may lie in one another."""

    entities: tuple[Entity, ...]
    invented: int  # that the model listed and that do not stand in the text


@dataclass(frozen=True)
class EntityFinder:
    """Finds entities.

    Args:
        types: name -> description or examples, which may be empty.
        window: characters that are read at once; longer texts are read in windows that overlap.
        overlap: characters that a window shares with the next.
    """

    model: Model
    types: Mapping[str, str]
    window: int = 2000
    overlap: int = 200
    most: int = 50  # entities a window

    def __post_init__(self):
        if not self.types or not all(self.types):
            raise UserError("Entities need at least one type, none of them empty.")
        if not 0 <= self.overlap < self.window:
            raise UserError(f"Windows of {self.window} characters cannot overlap by {self.overlap}.")

    def __call__(self, text: str) -> Found:
        whole: set[Entity] = set()
        cut: set[Entity] = set()
        invented = 0
        for start, end in windows(text, self.window, self.overlap):
            listed = self._listed(text[start:end])
            placed = list(place(listed, text[start:end], start))
            invented += len(listed) - len(placed)
            edges = {start, end} - {0, len(text)}
            for one in placed:
                (cut if {one.start, one.end} & edges else whole).add(one)
        return Found(merged(whole, cut), invented)

    def _listed(self, text: str) -> list[tuple[str, str]]:
        """(text, type) of what the model sees, in its order."""
        types = described(self.types)
        asked = [
            "List the entities of these types, each exactly as it stands in the text:",
            *types,
            "",
            f"Text: {text}",
        ]
        item = object_of(text={"type": "string", "minLength": 1}, type={"enum": list(self.types)})
        structure = Structure.json_schema({"type": "array", "items": item, "maxItems": self.most})
        return [(one["text"], one["type"]) for one in ask(self.model, "\n".join(asked), structure)]


def place(listed: Sequence[tuple[str, str]], text: str, offset: int = 0) -> Iterator[Entity]:
    """Entities where they stand. One that is listed again is its next occurrence, as far as there are more."""
    behind: dict[tuple[str, str], int] = {}
    for wanted, kind in listed:
        span = find(wanted, text, behind.get((wanted, kind), 0))
        if span:
            behind[wanted, kind] = span[1]
            start, end = span
            yield Entity(offset + start, offset + end, kind, text[start:end])


def merged(whole: Set[Entity], cut: Set[Entity]) -> tuple[Entity, ...]:
    """In the order of the text. What touches the edge of its window (`cut`) may be part of something longer, and gives
    way where another window saw that."""

    def covered(one: Entity) -> bool:
        return any(w.type == one.type and w.start <= one.start and one.end <= w.end for w in whole)

    return tuple(sorted({*whole, *(one for one in cut if not covered(one))}))


def windows(text: str, size: int, overlap: int) -> Iterator[tuple[int, int]]:
    """Spans of at most `size` characters that cover the text and share `overlap`; cut at white space."""
    start = 0
    while True:
        end = min(start + size, len(text))
        if end < len(text):
            cut = max(text.rfind(" ", start + size // 2, end), text.rfind("\n", start + size // 2, end))
            end = cut if cut > start + overlap else end
        yield start, end
        if end >= len(text):
            return
        start = end - overlap
