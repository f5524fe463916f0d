"""Published pretraining schedules as phases."""

from underdog.errors import UserError
from underdog.recipe.schema import Model, Phase, Pretrain, Rate

# Nanbeige4-3B, table of section 3: 0.1T / 12.4T / 6.5T / 4T of 23T tokens; the final rate is 1/300 of the peak.
FG_WSD_SHARES = {"warm-up": 0.0043, "diversity": 0.5391, "quality": 0.2826, "decay": 0.174}
FINAL_SHARE = 1 / 300
# "One pass" of 6T tokens of medium and 6.5T of high quality, then those 6.5T alone. We keep the latter in two tiers.
POOL = {"medium": 0.48, "high": 0.32, "top": 0.20}
GOOD = {"high": 0.61, "top": 0.39}


def expand_phases(settings: Pretrain, model: Model) -> list[Phase]:
    """The phases of a named preset. What the decay reads and its shape are ours: the paper names neither."""
    peak, last = settings.peak_lr, settings.peak_lr * FINAL_SHARE
    rise = Rate(**{"from": 0.0, "to": peak})
    fall = Rate(**{"from": peak, "to": last, "shape": "1-sqrt"})
    warm, diversity, quality, decay = FG_WSD_SHARES.values()
    match settings.preset:
        case "fg-wsd":
            return [
                Phase(name="warm-up", share=warm, lr=rise, mix=POOL),
                Phase(name="diversity", share=diversity, lr=peak, mix=POOL),
                Phase(name="quality", share=quality, lr=peak, mix=GOOD),
                Phase(name="decay", share=decay, lr=fall, mix={"high": 0.2, "top": 0.8}),
            ]
        case "wsd":  # the same tokens of each tier as fg-wsd, in one fixed mixture
            mix = _average(expand_phases(settings.model_copy(update={"preset": "fg-wsd"}), model))
            return [
                Phase(name="warm-up", share=warm, lr=rise, mix=mix),
                Phase(name="stable", share=diversity + quality, lr=peak, mix=mix),
                Phase(name="decay", share=decay, lr=fall, mix=mix),
            ]
        case "cosine":
            curve = Rate(**{"from": peak, "to": last, "shape": "cosine"})
            return [
                Phase(name="warm-up", share=warm, lr=rise, mix=POOL),
                Phase(name="cosine", share=1 - warm, lr=curve, mix=POOL),
            ]
    raise UserError(f'There is no pretraining preset "{settings.preset}".')


def _average(phases: list[Phase]) -> dict[str, float]:
    """The mixture of all phases together, weighted by their shares."""
    total: dict[str, float] = {}
    for phase in phases:
        for source, share in phase.mix.items():
            total[source] = total.get(source, 0.0) + phase.share * share
    whole = sum(total.values())
    return {source: share / whole for source, share in total.items()}
