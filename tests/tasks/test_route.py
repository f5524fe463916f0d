import random

import pytest

from underdog.errors import UserError
from underdog.tasks.route import fit_threshold, risk_coverage_area, upper_bound


def items(count, seed):
    """Confidences that are what they say."""
    draw = random.Random(seed)
    confidences = [draw.uniform(0.5, 1) for _ in range(count)]
    return confidences, [draw.random() < confidence for confidence in confidences]


def test_the_bound_is_clopper_and_pearsons():
    # 1 - doubt^(1/n) for none wrong; 5 of 100 at 95 %, one-sided: 10.2253 % (tables)
    assert upper_bound(0, 50, 0.05) == pytest.approx(1 - 0.05 ** (1 / 50), abs=1e-6)
    assert upper_bound(5, 100, 0.05) == pytest.approx(0.102253, abs=1e-4)
    assert upper_bound(10, 10, 0.05) == pytest.approx(1, abs=1e-6)


def test_the_stated_error_holds_on_other_items_as_often_as_stated():
    broken = 0
    for seed in range(40):
        threshold = fit_threshold(*items(600, seed), error=0.1)
        confidences, correct = items(6000, 1000 + seed)
        kept = [right for confidence, right in zip(confidences, correct, strict=True) if confidence >= threshold.value]
        broken += bool(kept) and kept.count(False) / len(kept) > 0.1
    assert broken <= 7  # 5 % of 40 is 2


def test_it_keeps_all_that_is_right_and_nothing_that_cannot_be_told():
    sure = fit_threshold([0.9] * 200, [True] * 200, error=0.02)
    assert (sure.kept, sure.wrong) == (1.0, 0.0) and sure.bound <= 0.02
    assert fit_threshold([0.9] * 20, [True] * 20, error=0.02).kept == 0  # too few to say so
    assert fit_threshold([0.9] * 200, [False] * 200, error=0.02).value == float("inf")


def test_what_is_no_share_is_refused():
    with pytest.raises(UserError, match="between 0 and 1"):
        fit_threshold([0.5], [True], error=2)
    with pytest.raises(UserError, match="held-out"):
        fit_threshold([], [], error=0.1)


def test_risk_over_coverage():
    assert risk_coverage_area([0.9, 0.8, 0.7, 0.6], [True, True, False, False]) == pytest.approx(
        (0 + 0 + 1 / 3 + 1 / 2) / 4
    )
