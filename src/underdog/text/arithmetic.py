"""Tables of elementary arithmetic, as a source for pretraining.

Published recipes raise the share of mathematics toward the end of pretraining (Nanbeige4-3B, decay stage). A laptop
has no such corpus; these tables stand in for it: facts about small whole numbers, no problem and no reasoning.
"""

from collections.abc import Iterator
from random import Random

SUMS_TO = 60  # sums and differences of numbers up to this
PRODUCTS_TO = 15  # products and quotients of factors up to this
LINES = 24  # facts a document


def tables(seed: int) -> Iterator[str]:
    """Documents of facts in random order: "17+8=25", "6*7=42", "23<41"."""
    facts = list(_facts(Random(f"{seed}/order")))
    Random(f"{seed}/shuffle").shuffle(facts)
    for start in range(0, len(facts), LINES):
        yield "\n".join(facts[start : start + LINES])


def _facts(random: Random) -> Iterator[str]:
    for a in range(SUMS_TO + 1):
        for b in range(SUMS_TO + 1 - a):
            yield f"{a}+{b}={a + b}"
            yield f"{a + b}-{a}={b}"
    for a in range(PRODUCTS_TO + 1):
        for b in range(PRODUCTS_TO + 1):
            yield from [f"{a}*{b}={a * b}"] * 3  # fewer than the sums, and as often needed
            if b:
                yield from [f"{a * b}/{b}={a}"] * 3
    for _ in range(1500):
        low, high = sorted(random.sample(range(SUMS_TO + 1), 2))
        yield f"{low}<{high}"
