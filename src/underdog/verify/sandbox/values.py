"""Values that cross the wall between the model's code and its tests: plain data by value, the rest by number.

Only built-in types come out of `decode`, whatever a process sent, so no object of the model's takes part in a
comparison. Standard library only.
"""

import builtins
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

DEEPEST = 100
LONGEST = 1_000_000  # items of an iterator

KINDS = {"tuple": tuple, "set": set, "frozenset": frozenset, "iterator": iter}


class Unknown(Exception):
    """No value: too deep, too long, or not of our making."""


def encode(value: Any, keep: Callable[[Any], int | str] | None = None, depth: int = 0) -> Any:
    """What JSON can carry. Objects of other classes go through `keep`, which numbers them; without it, Unknown."""
    if depth > DEEPEST:
        raise Unknown("a value nested more than 100 deep")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if -(1 << 53) < value < 1 << 53 else {"int": hex(value)}
    if isinstance(value, float):
        return {"float": float.hex(value)}
    if isinstance(value, complex):
        return {"complex": [value.real.hex(), value.imag.hex()]}
    if isinstance(value, str):
        return {"str": [ord(c) for c in value]} if any("\ud800" <= c <= "\udfff" for c in value) else str(value)
    if isinstance(value, bytes | bytearray):
        return {type(value).__name__ if type(value) in (bytes, bytearray) else "bytes": bytes(value).hex()}
    if isinstance(value, list):
        return [encode(item, keep, depth + 1) for item in list.__iter__(value)]
    if isinstance(value, dict):
        pairs = dict.items(value)
        return {"dict": [[encode(key, keep, depth + 1), encode(item, keep, depth + 1)] for key, item in pairs]}
    for name, kind in (("tuple", tuple), ("set", set), ("frozenset", frozenset)):
        if isinstance(value, kind):
            return {name: [encode(item, keep, depth + 1) for item in kind.__iter__(value)]}
    if isinstance(value, range):
        return {"range": [value.start, value.stop, value.step]}
    if isinstance(value, Iterator):
        items = list(islice(value, LONGEST + 1))
        if len(items) > LONGEST:
            raise Unknown("an iterator without end")
        return {"iterator": [encode(item, keep, depth + 1) for item in items]}
    if isinstance(value, type) and getattr(builtins, value.__name__, None) is value:
        return {"type": value.__name__}
    if keep is None:
        raise Unknown(f"an object of the class {type(value).__name__}")
    return {"object": keep(value)}


def decode(data: Any, find: Callable[[Any], Any] | None = None, depth: int = 0) -> Any:
    """The value again. Raises Unknown for anything that `encode` does not write."""
    if depth > DEEPEST:
        raise Unknown("a value nested more than 100 deep")
    if data is None or isinstance(data, bool | int | str):
        return data
    if isinstance(data, list):
        return [decode(item, find, depth + 1) for item in data]
    if not isinstance(data, dict) or len(data) != 1:
        raise Unknown("not a value")
    ((name, inner),) = data.items()
    try:
        if name in KINDS:
            return KINDS[name](decode(item, find, depth + 1) for item in inner)
        if name == "dict":
            return {decode(key, find, depth + 1): decode(item, find, depth + 1) for key, item in inner}
        if name == "object" and find is not None:
            return find(inner)
        return _SCALARS[name](inner)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
        raise Unknown("not a value") from error


_TYPES = {name: kind for name, kind in vars(builtins).items() if isinstance(kind, type)}
_SCALARS: dict[str, Callable[[Any], Any]] = {
    "int": lambda text: int(text, 16),
    "float": float.fromhex,
    "complex": lambda parts: complex(*map(float.fromhex, parts)),
    "str": lambda codes: "".join(map(chr, codes)),
    "bytes": bytes.fromhex,
    "bytearray": bytearray.fromhex,
    "range": lambda parts: range(*parts),
    "type": lambda name: _TYPES[name],
}
