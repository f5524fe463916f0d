"""What the user said for a slot, as its value."""

from underdog.tasks.dialog.script import Slot
from underdog.tasks.normalize.normalizer import VALUES
from underdog.tasks.normalize.place import Place, library

WHOLE = {"date": 10}  # characters of a value that says all: a month is no day


def readings(slot: Slot, said: str, place: Place) -> tuple[str, ...]:
    """Values that it may mean; none where it is no such thing."""
    said = said.strip()
    if slot.kind == "text":
        return (said,) if said else ()
    if slot.kind == "choice":
        return (said,) if said in slot.choices else ()
    if slot.kind == "integer":
        return _integer(slot, said, place)
    return tuple(one for one in VALUES[slot.kind].read(said, place) if len(one) >= WHOLE.get(slot.kind, 0))


def _integer(slot: Slot, said: str, place: Place) -> tuple[str, ...]:
    words = said.removesuffix(".").lower()
    number = int(words) if words.isdecimal() else _words(words, place)
    least, most = slot.least, slot.most
    if number is None or (least is not None and number < least) or (most is not None and number > most):
        return ()
    return (str(number),)


def _words(said: str, place: Place) -> int | None:
    """A number in words, or the only one among other words ("4 people")."""
    parser = library("number_parser")
    found = {int(word) for word in parser.parse(said, language=place.language_of(said)).split() if word.isdecimal()}
    return found.pop() if len(found) == 1 else None
