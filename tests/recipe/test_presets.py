from itertools import pairwise

import pytest

from underdog.errors import UserError
from underdog.recipe.presets import FG_WSD_SHARES, expand_phases
from underdog.recipe.schema import Model, Pretrain, Rate
from underdog.tokens.phases import Schedule, learning_rate

PRESETS = ("fg-wsd", "wsd", "cosine")


def phases(preset, **settings):
    return expand_phases(Pretrain(preset=preset, **settings), Model())


def tokens_by_source(found):
    total = {}
    for phase in found:
        for source, share in phase.mix.items():
            total[source] = total.get(source, 0.0) + phase.share * share
    return total


@pytest.mark.parametrize("preset", PRESETS)
def test_shares_and_mixtures_add_up(preset):
    found = phases(preset)
    assert sum(phase.share for phase in found) == pytest.approx(1, abs=1e-12)
    assert all(sum(phase.mix.values()) == pytest.approx(1, abs=1e-12) for phase in found)


def test_fg_wsd_has_the_published_shares():
    """Nanbeige4-3B: 0.1T, 12.4T, 6.5T and 4T of 23T tokens."""
    for share, tokens in zip(FG_WSD_SHARES.values(), (0.1, 12.4, 6.5, 4.0), strict=True):
        assert share == pytest.approx(tokens / 23, abs=1e-4)
    assert [(phase.name, phase.share) for phase in phases("fg-wsd")] == list(FG_WSD_SHARES.items())


def test_fg_wsd_moves_to_better_text():
    best = [phase.mix.get("top", 0.0) for phase in phases("fg-wsd")]
    assert best == sorted(best)
    assert best[0] < best[2] < best[3]
    assert "medium" not in phases("fg-wsd")[2].mix


def test_wsd_reads_the_same_tokens_of_each_tier():
    fine, plain = phases("fg-wsd"), phases("wsd")
    assert tokens_by_source(plain) == pytest.approx(tokens_by_source(fine), abs=1e-12)
    assert all(phase.mix == plain[0].mix for phase in plain)


def test_wsd_reads_the_same_tokens_of_each_tier_when_it_is_laid_out():
    used = {}
    for preset in ("fg-wsd", "wsd"):
        settings = Pretrain(preset=preset, phase=phases(preset), tokens=3_000_000, batch_tokens=4096)
        schedule = Schedule(settings, context=512, rope_base=10_000.0)
        used[preset] = schedule.used
        assert sum(schedule.used.values()) == schedule.tokens
    for source, tokens in used["fg-wsd"].items():
        assert used["wsd"][source] == pytest.approx(tokens, abs=4 * 4096)  # whole rows, whole steps


def test_wsd_and_fg_wsd_have_the_same_rates():
    def rates(preset):
        schedule = Schedule(Pretrain(phase=phases(preset), tokens=3_000_000), context=512, rope_base=10_000.0)
        return [schedule.at(step).lr for step in range(schedule.steps)]

    assert rates("wsd") == pytest.approx(rates("fg-wsd"))


@pytest.mark.parametrize("preset", PRESETS)
def test_rates_rise_from_nothing_to_the_peak_and_end_at_a_300th(preset):
    found = phases(preset, peak_lr=0.3)
    assert found[0].lr == Rate(**{"from": 0.0, "to": 0.3})
    for before, after in pairwise(found):  # no jumps
        assert learning_rate(before.lr, 1.0) == pytest.approx(learning_rate(after.lr, 0.0))
    assert learning_rate(found[-1].lr, 1.0) == pytest.approx(0.001)
    assert max(learning_rate(phase.lr, part) for phase in found for part in (0, 0.3, 1)) == pytest.approx(0.3)


def test_an_unknown_preset():
    with pytest.raises(UserError, match='no pretraining preset "own"'):
        phases("own")
