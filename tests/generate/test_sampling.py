import math

import pytest
import torch

from underdog.generate.interface import Sampling
from underdog.generate.sampling import choose

LOGITS = torch.tensor([1.5, 0.5, 0.0, -0.5, -1.5, -3.0])
DRAWS = 40_000
CHI_SQUARE = {
    1: 15.1,
    2: 18.4,
    3: 21.1,
    5: 25.7,
}  # one draw of a fixed seed in 10,000 lies beyond, by degrees of freedom


def draw(sampling, logits=LOGITS, rows=DRAWS, seed=1):
    ids, logprobs = choose(logits.expand(rows, -1), sampling, torch.Generator().manual_seed(seed))
    return ids, logprobs


def distance(ids, probabilities):
    """Chi-square of the draws against a distribution; what has no probability must not occur."""
    seen = torch.bincount(ids, minlength=len(probabilities)).double()
    expected = probabilities.double() * len(ids)
    assert not seen[expected == 0].any()
    possible = expected > 0
    return float(((seen - expected)[possible].square() / expected[possible]).sum()), int(possible.sum()) - 1


def masked(kept, temperature=1.0):
    scores = torch.full_like(LOGITS, -torch.inf)
    scores[:kept] = LOGITS[:kept] / temperature
    return scores.softmax(-1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_draws_follow_the_softmax(temperature):
    ids, logprobs = draw(Sampling(temperature))
    expected = (LOGITS / temperature).softmax(-1)
    chi, freedom = distance(ids, expected)
    assert chi < CHI_SQUARE[freedom]
    torch.testing.assert_close(logprobs, expected.log()[ids])


@pytest.mark.parametrize("top_k", [1, 2, 3, 4, 6, 1000])
def test_top_k_keeps_the_likeliest(top_k):
    ids, logprobs = draw(Sampling(top_k=top_k))
    expected = masked(min(top_k, 6))
    chi, freedom = distance(ids, expected)
    assert freedom == min(top_k, 6) - 1
    assert chi < CHI_SQUARE.get(freedom, 1e-9)
    torch.testing.assert_close(logprobs, expected.log()[ids], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("top_p", "kept"), [(0.0, 1), (0.3, 1), (0.58, 2), (0.75, 2), (0.85, 3), (0.9, 4), (1.0, 6)])
def test_top_p_keeps_the_fewest_that_reach_the_mass(top_p, kept):
    mass = LOGITS.softmax(-1).cumsum(-1)
    assert kept == 6 or (mass[kept - 1] >= top_p and (kept == 1 or mass[kept - 2] < top_p))
    ids, _ = draw(Sampling(top_p=top_p))
    chi, freedom = distance(ids, masked(kept))
    assert freedom == kept - 1
    assert chi < CHI_SQUARE.get(freedom, 1e-9)


def test_the_narrower_of_both_limits_holds():
    assert set(draw(Sampling(top_k=2, top_p=0.9))[0].tolist()) == {0, 1}
    assert set(draw(Sampling(top_k=4, top_p=0.58))[0].tolist()) == {0, 1}


def test_the_temperature_comes_before_the_limits():
    """At temperature 2 the mass is spread wider: more ids make up the same share."""
    assert set(draw(Sampling(0.5, top_p=0.8))[0].tolist()) == {0}
    assert len(set(draw(Sampling(2.0, top_p=0.8))[0].tolist())) == 4


def test_greedy_takes_the_likeliest_and_says_how_likely_it_is():
    logits = torch.stack([LOGITS, LOGITS.flip(0)])
    ids, logprobs = choose(logits, Sampling(temperature=0), torch.Generator())
    assert ids.tolist() == [0, 5]
    torch.testing.assert_close(logprobs, LOGITS.log_softmax(-1)[[0, 0]])


def test_rows_are_drawn_independently():
    logits = torch.stack([LOGITS, LOGITS.flip(0), torch.tensor([0.0, 50, 0, 0, 0, 0])]).repeat(DRAWS // 4, 1)
    ids, _ = choose(logits, Sampling(), torch.Generator().manual_seed(2))
    for row, expected in enumerate([LOGITS, LOGITS.flip(0)]):
        chi, freedom = distance(ids[row::3], expected.softmax(-1))
        assert chi < CHI_SQUARE[freedom]
    assert (ids[2::3] == 1).all()
    both = torch.bincount(ids[0::3] * 6 + (5 - ids[1::3]), minlength=36).view(6, 6).double()
    assert (both / both.sum() - torch.outer(*[LOGITS.softmax(-1).double()] * 2)).abs().max() < 0.02


def test_equal_seeds_give_equal_draws():
    assert torch.equal(draw(Sampling(), seed=3)[0], draw(Sampling(), seed=3)[0])
    assert not torch.equal(draw(Sampling(), seed=3)[0], draw(Sampling(), seed=4)[0])


def test_ruled_out_ids_never_come():
    logits = torch.full((DRAWS, 4), -math.inf)
    logits[:, 2] = -80.0
    ids, logprobs = choose(logits, Sampling(), torch.Generator().manual_seed(1))
    assert (ids == 2).all()
    assert not logprobs.any()
