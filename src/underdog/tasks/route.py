"""What is answered here, and what goes to a larger model: a threshold with a bound on the errors that stay.

The threshold is the lowest one under which, with the stated confidence, at most the stated share of what is kept is
wrong: the exact binomial bound of Clopper and Pearson for the kept items of a held-out set. Thresholds are tried from
strict to lax and the search stops at the first that fails, so that trying many costs no confidence ("fixed sequence
testing with multi-start", Angelopoulos et al. 2021, Learn then Test, section 4). It begins at several places, which
share the doubt: at the strictest alone one early mistake would end it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from underdog.errors import UserError

STARTS = ((0.0, 0.4), *((share, 0.12) for share in (0.3, 0.45, 0.6, 0.7, 0.8)))  # share kept -> its part of the doubt


@dataclass(frozen=True)
class Threshold:
    """Items of at least this confidence are kept."""

    value: float  # infinite: nothing can be kept
    kept: float  # share of the held-out items
    wrong: float  # share of those kept
    bound: float  # what that share stays below, with the stated confidence


def fit_threshold(
    confidences: Sequence[float], correct: Sequence[bool], error: float, confidence: float = 0.95, steps: int = 100
) -> Threshold:
    """The threshold that keeps most.

    Args:
        confidences: of held-out items.
        correct: whether the local answer was right.
        error: most of the kept ones that may be wrong, as a share.

    Raises:
        UserError: a share is not between 0 and 1, or there are no items.
    """
    if not 0 < error < 1 or not 0 < confidence < 1:
        raise UserError("An error and a confidence are shares between 0 and 1.")
    if not confidences or len(confidences) != len(correct):
        raise UserError("A threshold needs held-out items, each with its confidence and whether it was right.")
    ranked = sorted(zip(confidences, correct, strict=True), reverse=True)
    found = [_search(ranked, begin, error, (1 - confidence) * part, steps) for begin, part in STARTS]
    return max(found, key=lambda threshold: threshold.kept)


def _search(ranked: Sequence[tuple[float, bool]], begin: float, error: float, doubt: float, steps: int) -> Threshold:
    """From the strictest threshold that keeps the share `begin` on, the last before one fails."""
    best = None
    fewest = max(begin * len(ranked), math.log(doubt) / math.log1p(-error))
    for step in range(1, steps + 1):
        count = round(step * len(ranked) / steps)
        if count < fewest:
            continue
        while count < len(ranked) and ranked[count][0] == ranked[count - 1][0]:
            count += 1  # equal confidences are kept or sent together
        wrong = sum(not right for _, right in ranked[:count])
        if _at_most(wrong, count, error) > doubt:  # the bound lies above the error
            break
        best = (ranked[count - 1][0], wrong, count)
    if best is None:
        return Threshold(math.inf, 0.0, 0.0, 1.0)
    value, wrong, count = best
    return Threshold(value, count / len(ranked), wrong / count, upper_bound(wrong, count, doubt))


def upper_bound(wrong: int, count: int, doubt: float) -> float:
    """The largest error rate under which so few wrong ones of `count` have at least the probability `doubt`."""
    low, high = wrong / count, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(wrong, count, middle) > doubt else (low, middle)
    return high


def _at_most(wrong: int, count: int, rate: float) -> float:
    """Probability of at most `wrong` successes of `count` (binomial)."""
    if rate <= 0 or rate >= 1:
        return float(rate <= 0 or wrong >= count)
    log_choose = [math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1) for k in range(wrong + 1)]
    return sum(math.exp(c + k * math.log(rate) + (count - k) * math.log1p(-rate)) for k, c in enumerate(log_choose))


def risk_coverage_area(confidences: Sequence[float], correct: Sequence[bool]) -> float:
    """AURC: the error among the most confident items, averaged over all shares that may be kept (Geifman 2019)."""
    order = sorted(range(len(correct)), key=lambda i: -confidences[i])
    wrong, total = 0, 0.0
    for count, index in enumerate(order, start=1):
        wrong += not correct[index]
        total += wrong / count
    return total / len(order)
