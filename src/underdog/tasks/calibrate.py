"""Confidences that mean what they say: one temperature for all scores (Guo et al. 2017, section 4.2), and how far off
they are."""

from collections.abc import Sequence

import numpy as np

TEMPERATURES = tuple(0.02 * 1.15**step for step in range(60))  # 0.02 to 76


def softmax(scores: Sequence[float]) -> list[float]:
    scores_L = np.asarray(scores, np.float64)
    shares_L = np.exp(scores_L - scores_L.max())
    return (shares_L / shares_L.sum()).tolist()


def fit_temperature(scores: Sequence[Sequence[float]], right: Sequence[int]) -> float:
    """The temperature under which the right labels are likeliest.

    Args:
        scores: of each text, one a label.
        right: which label each text has; where there is none, the scores stay as they are.
    """
    if not right:
        return 1.0
    scores_BL = np.asarray(scores, np.float64)
    rows = np.arange(len(right))

    def surprise(temperature: float) -> float:
        scaled_BL = scores_BL / temperature
        top_B = scaled_BL.max(1)
        return float((np.log(np.exp(scaled_BL - top_B[:, None]).sum(1)) + top_B - scaled_BL[rows, right]).sum())

    return min(TEMPERATURES, key=surprise)


def calibration_error(confidences: Sequence[float], right: Sequence[bool], bins: int = 10) -> float:
    """ECE: how far confidence is from accuracy, over bins of equal width, weighted by their items."""
    total = 0.0
    for low in range(bins):
        inside = [i for i, confidence in enumerate(confidences) if min(int(confidence * bins), bins - 1) == low]
        total += abs(sum(confidences[i] for i in inside) - sum(right[i] for i in inside))
    return total / len(confidences)
