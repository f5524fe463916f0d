"""Ten tasks: their difficulty, their prompts and their worked solutions (gym_types.py says what a task is).

Every docstring shows one worked solution. What differs from reasoning-gym's own wording is said there too.
"""

import re
from collections.abc import Iterable
from itertools import permutations
from random import Random
from typing import NamedTuple

from underdog.verify.gym_entries import Entry
from underdog.verify.gym_types import Cast, Task, task
from underdog.verify.problem import Worked

_WEEK = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _number(prompt: str, key: str, steps: list[str], answer: int) -> Cast:
    return Cast(prompt, "number", {"answer": str(answer)}, key, Worked("\n".join(steps), str(answer)))


def _partial_sums(total: int, terms: Iterable[tuple[str, int]]) -> tuple[list[str], int]:
    """58, [("+", 26), ("-", 9)] → ["58+26=84", "84-9=75"], 75."""
    steps = []
    for sign, number in terms:
        result = total + number if sign == "+" else total - number
        steps.append(f"{total}{sign}{number}={result}")
        total = result
    return steps, total


@task("chain_sum", min_terms=2, max_terms=4, min_digits=1, max_digits=2)
def chain_sum(entry: Entry) -> Cast:
    """Additions and subtractions from left to right: "58 + 26 - 9" → 58+26=84, 84-9=75."""
    first, *rest = entry["metadata"]["expression"].split()
    terms = [(sign, int(number)) for sign, number in zip(rest[::2], rest[1::2], strict=True)]
    key = " ".join(sorted(f"{sign}{number}" for sign, number in [("+", int(first)), *terms]))
    return _number(entry["question"], key, *_partial_sums(int(first), terms))


_EQUATION = re.compile(
    r"(?:(?P<a>\d+)\*)?[a-z] (?P<sign>[+-]) (?P<b>\d+) = (?P<c>-?\d+)"  # a*x + b = c, a*x - b = c
    r"|(?P<b2>\d+) - (?:(?P<a2>\d+)\*)?[a-z] = (?P<c2>-?\d+)"  # b - a*x = c
)


@task(
    "simple_equations",
    min_terms=2,
    max_terms=2,
    min_value=1,
    max_value=12,
    operators_weights=[0.5, 0.5, 0.0],  # "*" must stay allowed: without it the unknown loses its coefficient
)
def simple_equations(entry: Entry) -> Cast:
    """One unknown: "8*t - 9 = 23" → 8*t=23+9=32, t=32/8=4."""
    unknown, equation = entry["metadata"]["variable"], entry["metadata"]["equation"]
    found = _EQUATION.fullmatch(equation)
    if found is None:
        raise ValueError(f"simple_equations does not know the form of {equation!r}")
    if found["b2"]:
        a, b, c = int(found["a2"] or 1), int(found["b2"]), int(found["c2"])
        move, value = (f"{b}-{c}" if c >= 0 else f"{b}+{-c}"), b - c
    else:
        a, b, c = int(found["a"] or 1), int(found["b"]), int(found["c"])
        if found["sign"] == "+":
            move, value = f"{c}-{b}", c - b
        else:
            move, value = (f"{c}+{b}" if c >= 0 else f"{b}-{-c}"), c + b
    if a == 1:
        steps = [f"{unknown}={move}={value}"]
    else:
        steps = [f"{a}*{unknown}={move}={value}", f"{unknown}={value}/{a}={value // a}"]
    return _number(entry["question"], equation.replace(unknown, "x"), steps, value // a)


@task("countdown", min_numbers=3, max_numbers=3, min_value=1, max_value=15, min_target=1, max_target=60)
def countdown(entry: Entry) -> Cast:
    """Reach the target with all three numbers: "8, 5, 6" and 43 → 8*6=48,48-5=43, answer 8*6-5.

    One of the chains that hit, drawn by a generator seeded with the problem. Which numbers to join first is a guess
    that a small model makes at a glance, and the thing that reinforcement sharpens; demonstrations with wrong tries
    before the hit taught it less (docs/notebook.md). The prompt ends before "Final answer format instructions".
    """
    numbers, target = entry["metadata"]["numbers"], entry["metadata"]["target"]
    key = f"{sorted(numbers)} {target}"
    hit = Random(key).choice([chain for chain in _chains(numbers) if chain.value == target])
    prompt = entry["question"].split("\n\nFinal answer format instructions")[0]
    data = {"numbers": numbers, "target": target}
    return Cast(prompt, "expression", data, key, Worked(hit.working, hit.expression))


class _Chain(NamedTuple):
    """Two numbers combined, then the third: (a first b) second c."""

    a: int
    first: str
    b: int
    inner: int
    second: str
    c: int
    value: int

    @property
    def working(self) -> str:
        """9+7=16,16/2=8"""
        return f"{self.a}{self.first}{self.b}={self.inner},{self.inner}{self.second}{self.c}={self.value}"

    @property
    def expression(self) -> str:
        """(9+7)/2"""
        pair = f"{self.a}{self.first}{self.b}"
        return f"{f'({pair})' if self.first in '+-' and self.second in '*/' else pair}{self.second}{self.c}"


def _chains(numbers: list[int]) -> list[_Chain]:
    """All chains over whole numbers from 0 on, in a fixed order.

    They reach every target: reasoning-gym makes its targets by such chains, and one that goes below zero can
    be reordered into one that does not.
    """
    return [
        _Chain(a, first, b, inner, second, c, value)
        for a, b, c in sorted(set(permutations(numbers)))
        for first, inner in _combine(a, b)
        if not (first in "+*" and a < b)  # the same as b, a
        for second, value in _combine(inner, c)
    ]


def _combine(a: int, b: int) -> list[tuple[str, int]]:
    results = [("+", a + b), ("*", a * b)]
    if a >= b:
        results.append(("-", a - b))
    if b and a % b == 0:
        results.append(("/", a // b))
    return results


@task("number_sorting", min_numbers=4, max_numbers=5, max_decimals=0, min_value=1, max_value=99)
def number_sorting(entry: Entry) -> Cast:
    """Insertion sort: "74, 83, 65, 12" → 74,83 / 65,74,83 / 12,65,74,83, answer [12,65,74,83].

    The format block is cut, and whole numbers are written as such (reasoning-gym writes 74.0).
    """
    numbers = [int(float(number)) for number in entry["metadata"]["original_numbers"]]
    direction = entry["metadata"]["direction"]
    steps = []
    for count in range(2, len(numbers) + 1):
        done = sorted(numbers[:count], reverse=direction == "descending")
        steps.append(",".join(map(str, done)))
    answer = f"[{steps[-1]}]"
    prompt = f"Sort these numbers in {direction} order: {', '.join(map(str, numbers))}"
    key = f"{direction} {sorted(numbers)}"
    return Cast(prompt, "list", {"answer": answer}, key, Worked("\n".join(steps), answer))


@task("number_filtering", min_numbers=4, max_numbers=5, max_decimals=0, min_value=1, max_value=99)
def number_filtering(entry: Entry) -> Cast:
    """One comparison per number: "Keep all larger than 52: 74, 12" → 74>52 yes / 12<52 no, answer ['74'].

    "yes" means that the number stays. The prompt ends before "Return the new list in the same format."
    """
    meta = entry["metadata"]
    limit = int(meta["filter_value"])
    stays = set(meta["result"])
    steps = []
    for number in meta["original_numbers"]:
        relation = "<=>"[(int(number) > limit) - (int(number) < limit) + 1]
        steps.append(f"{number}{relation}{limit} {'yes' if number in stays else 'no'}")
    prompt = entry["question"].split("\nReturn the new list")[0]
    key = f"{meta['operation']} {limit} {meta['original_numbers']}"
    return Cast(prompt, "list", {"answer": entry["answer"]}, key, Worked("\n".join(steps), entry["answer"]))


@task("products", min_digits=1, max_digits=2)
def products(entry: Entry) -> Cast:
    """Two numbers of one digit, or two of two digits by parts.

    "47 * 36" → 4*3=12, 4*6=24, 7*3=21, 24+21=45, 7*6=42, 1200+450=1650, 1650+42=1692.
    reasoning-gym gives both numbers the same number of digits. "Give only the result …" is cut.
    """
    left, right = map(int, entry["metadata"]["expression"].split(" * "))
    key = str(sorted([left, right]))
    prompt = entry["question"].removesuffix(" Give only the result as your final answer.")
    if left < 10:
        return _number(prompt, key, [f"{left}*{right}={left * right}"], left * right)
    (p, q), (r, s) = divmod(left, 10), divmod(right, 10)
    tens = p * s + q * r
    steps = [
        f"{p}*{r}={p * r}",
        f"{p}*{s}={p * s}",
        f"{q}*{r}={q * r}",
        f"{p * s}+{q * r}={tens}",
        f"{q}*{s}={q * s}",
    ]
    sums, result = _partial_sums(100 * p * r, [("+", 10 * tens), ("+", q * s)])
    return _number(prompt, key, steps + sums, result)


@task("gcd", max_value=80)
def gcd(entry: Entry) -> Cast:
    """Euclid: "54, 30" → 54=1*30+24, 30=1*24+6, 24=4*6+0, answer 6. "Give only the GCD …" is cut."""
    numbers = entry["metadata"]["numbers"]
    big, small = max(numbers), min(numbers)
    steps, rest = [], small
    while rest:
        divisor, rest = rest, big % rest
        steps.append(f"{big}={big // divisor}*{divisor}+{rest}")
        big = divisor
    prompt = entry["question"].removesuffix(" Give only the GCD as your final answer.")
    return _number(prompt, str(sorted(numbers)), steps, big)


@task("leg_counting", min_animals=2, max_animals=3, max_instances=9)
def leg_counting(entry: Entry) -> Cast:
    """Legs kind by kind, then the sum: "3 dogs, 2 crabs" → 3 dogs=3*4=12, 2 crabs=2*10=20, 12+20=32.

    The prompt starts at the question proper and keeps reasoning-gym's plurals ("butterflys").
    """
    from reasoning_gym.arithmetic.leg_counting import ANIMALS

    animals = entry["metadata"]["animals"]
    steps, legs = [], []
    for animal, count in animals.items():
        legs.append(count * ANIMALS[animal])
        steps.append(f"{count} {animal}{'s' if count > 1 else ''}={count}*{ANIMALS[animal]}={legs[-1]}")
    prompt = "H" + entry["question"].split("\n\nNow, h")[1].strip()
    sums, total = _partial_sums(legs[0], [("+", more) for more in legs[1:]])
    return _number(prompt, str(sorted(animals.items())), steps + sums, total)


@task("count_bits", max_n=2047)
def count_bits(entry: Entry) -> Cast:
    """Halve until 1 and count the odd numbers: 37 → 37:1, 18:1, 9:2, 4:2, 2:2, 1:3, answer 3."""
    number = left = entry["metadata"]["number"]
    steps, ones = [], 0
    while left:
        ones += left % 2
        steps.append(f"{left}:{ones}")
        left //= 2
    return _number(entry["question"], str(number), steps, ones)


@task("calendar_arithmetic", tasks=["weekday_offset"], offset_upper_bound=150)
def calendar_arithmetic(entry: Entry) -> Cast:
    """The weekday some days later or earlier: whole weeks first, then day by day.

    "Thursday, 24 days ago" → 24=3*7+3, 0 Thursday, 1 Wednesday, 2 Tuesday, 3 Monday. The prompt ends with the
    question; the sentence about how to answer is cut. The date changes nothing and is not in the key.
    """
    offset, target = entry["metadata"]["offset_days"], entry["answer"]
    weeks, days = divmod(abs(offset), 7)
    direction = 1 if offset > 0 else -1
    start = (_WEEK.index(target) - offset) % 7
    steps = [f"{abs(offset)}={weeks}*7+{days}"]
    steps += [f"{day} {_WEEK[(start + direction * day) % 7]}" for day in range(days + 1)]
    prompt = entry["question"].split("? ")[0] + "?"
    return Cast(prompt, "text", {"answer": target}, f"{_WEEK[start]} {offset}", Worked("\n".join(steps), target))


TASKS = {one.name: one for one in [*globals().values()] if isinstance(one, Task)}
"""By name."""
