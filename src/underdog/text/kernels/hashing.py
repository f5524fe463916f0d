"""Hashes of words and of runs of words, 64 bits, and the lexicon as a table of them."""

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from underdog.text import lexicons
from underdog.text.kernels.compiled import compiled, inlined

FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, so that multiplying by it loses nothing modulo 2^64
_SHIFT = np.uint64(29)
_TURN, _TURN_BACK = np.uint64(5), np.uint64(59)


class Lexicon(NamedTuple):
    """An open-addressing table; empty places have mask 0."""

    keys: NDArray[np.uint64]
    masks: NDArray[np.uint32]


@compiled
def follow(hash_, part):
    """The hash of a run that goes on with `part`: a character of a word, or a word of a phrase. Turned first, so that
    "a b" and "b a" differ."""
    mixed = ((hash_ << _TURN | hash_ >> _TURN_BACK) ^ np.uint64(part)) * FACTOR
    return mixed ^ (mixed >> _SHIFT)


@inlined
def look_up(keys, masks, hash_):
    """The mask of a word or phrase, 0 if it is in no list."""
    last = len(keys) - 1
    place = np.int64(hash_ >> np.uint64(32)) & last
    while (masks[place] != 0) & (keys[place] != hash_):  # "&": one jump, that is rarely taken
        place = (place + 1) & last
    return masks[place]


class Table(NamedTuple):
    """A set of hashes that is emptied in no time: what an older generation left counts as nothing."""

    keys: NDArray[np.uint64]
    generations: NDArray[np.int32]
    counts: NDArray[np.int32]
    firsts: NDArray[np.int32]


@inlined
def place_of(keys, generations, generation, last, hash_):
    """Where a hash is, or is to be written, in the first `last` + 1 (a power of two) places of a table."""
    place = np.int64(hash_ ^ (hash_ >> np.uint64(32))) & last
    while generations[place] == generation and keys[place] != hash_:
        place = (place + 1) & last
    return place


def hash_word(word: str) -> int:
    """What the kernels compute for a word, in plain Python."""
    value = 0
    for char in word:
        value = _follow(value, ord(char))
    return value


@functools.cache
def lexicon() -> Lexicon:
    """The word lists, ready for the kernels."""
    entries = lexicons.entries()
    size = 1 << (4 * len(entries)).bit_length()
    table = Lexicon(np.zeros(size, np.uint64), np.zeros(size, np.uint32))
    for words, mask in entries.items():
        hashed = functools.reduce(_follow, map(hash_word, words[1:]), hash_word(words[0]))
        place = (hashed >> 32) & (size - 1)
        while table.masks[place]:
            place = (place + 1) & (size - 1)
        table.keys[place], table.masks[place] = hashed, mask
    return table


def _follow(value: int, part: int) -> int:
    turned = (value << int(_TURN) | value >> int(_TURN_BACK)) & (2**64 - 1)
    mixed = ((turned ^ part) * int(FACTOR)) & (2**64 - 1)
    return mixed ^ (mixed >> int(_SHIFT))
