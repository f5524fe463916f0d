"""Learning-rate shapes of the fine-tuning stages, as functions of the part done."""

import math


def warmup_cosine(part: float, warmup: float, floor: float = 0.05) -> float:
    """Rises linearly to 1 over the first `warmup` of the run, then falls along a cosine to `floor`."""
    if part < warmup:
        return (part + 1e-9) / warmup
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * (part - warmup) / (1 - warmup)))
