"""Exact and near-duplicates. The first of a set of equals stays: the order of the sources decides which."""

import hashlib
from collections.abc import Sequence

import numpy as np

from underdog.errors import UserError
from underdog.text.ngrams import Hashes, WordHashes, ngram_hashes, split_words

_SHINGLE = 5  # words
_PERMUTATIONS = 128
_SEED = 1
_RECALL = 0.99  # of pairs exactly at the threshold


def exact_duplicates(texts: Sequence[str]) -> list[int | None]:
    """For each text the index of the first that is equal but for case and white space; None for the first
    itself."""
    first: dict[bytes, int] = {}
    found: list[int | None] = []
    for index, text in enumerate(texts):
        key = hashlib.blake2b(" ".join(text.casefold().split()).encode(), digest_size=16).digest()
        kept = first.setdefault(key, index)
        found.append(None if kept == index else kept)
    return found


def near_duplicates(texts: Sequence[str], threshold: float) -> list[int | None]:
    """For each text the index of an earlier, kept text that it resembles; None for one that is kept itself.

    Two texts resemble each other when the Jaccard similarity of their sets of word 5-grams is at least
    `threshold` (0..1). MinHash LSH (Broder 1997) proposes pairs, the sets themselves decide. Every text
    that goes resembles one that stays: likeness is not passed on along chains, which would empty a corpus
    of variations.
    """
    RMinHash, RMinHashLSH = _library()
    word_hashes = WordHashes()
    shingles = [_shingles(word_hashes.of(split_words(text))) for text in texts]
    sketches = RMinHash.from_token_sets([s.view("V8").tolist() for s in shingles], _PERMUTATIONS, _SEED)
    index = RMinHashLSH(threshold, _PERMUTATIONS, _bands(threshold))
    found: list[int | None] = []
    for number, sketch in enumerate(sketches):
        candidates = sorted(index.query(sketch)) if len(shingles[number]) else []
        like = (kept for kept in candidates if _jaccard(shingles[number], shingles[kept]) >= threshold)
        found.append(next(like, None))
        if found[-1] is None:
            index.insert(number, sketch)
    return found


def _library():
    try:
        from rensa import RMinHash, RMinHashLSH
    except ImportError:
        raise UserError(
            "The search for near-duplicates needs the package rensa.",
            hint='Install "underdog[curate]", or set curate.near_duplicates = 0.',
        ) from None
    return RMinHash, RMinHashLSH


def _shingles(hashes: Hashes) -> Hashes:
    """The set of 5-grams, sorted; of a shorter text, the text itself."""
    return np.unique(ngram_hashes(hashes, min(_SHINGLE, max(1, len(hashes)))))


def _jaccard(a: Hashes, b: Hashes) -> float:
    common = len(np.intersect1d(a, b, assume_unique=True))
    return common / (len(a) + len(b) - common)


def _bands(threshold: float) -> int:
    """Fewest bands, hence fewest candidates, that still find a pair at the threshold with the wanted
    recall."""
    bands = 1
    while bands < _PERMUTATIONS and 1 - (1 - threshold ** (_PERMUTATIONS // bands)) ** bands < _RECALL:
        bands *= 2
    return bands
