"""Sequences whose tokens several processes hold: each reads what it would read in one."""

import pytest
import torch

from underdog.model import divided
from underdog.model.attention import Packed, Span, end_to_end
from underdog.model.config import Scoring
from underdog.model.divided import Divided, Shares

H, K, E = 4, 2, 8
LENGTHS = (1, 37, 2, 90, 30, 8)  # 168 tokens


def heads(count, seed):
    return torch.randn(sum(LENGTHS), count, E, generator=torch.Generator().manual_seed(seed)).requires_grad_()


@pytest.mark.parametrize("scoring", [Scoring(), Scoring(window=11), Scoring(cap=2.0, scale=0.3)])
@pytest.mark.parametrize("processes", [1, 2, 3, 7])
@pytest.mark.parametrize("piece", [1024, 5])
def test_the_shares_together_are_the_whole(processes, scoring, piece, monkeypatch):
    monkeypatch.setattr(divided, "PIECE", piece)
    q, k, v = heads(H, 1), heads(K, 2), heads(K, 3)
    expected = Packed(end_to_end(LENGTHS))(0, q, k, v, scoring)
    shares = [Shares(len(q), processes, process) for process in range(processes)]
    in_turn = torch.cat([share.own_M for share in shares])  # as a gathering lays them
    found = torch.empty_like(expected)
    for share in shares:
        attend = Divided(end_to_end(LENGTHS), share, lambda own: torch.stack([k, v], dim=1)[in_turn])
        mine = (x[share.own_M] for x in (q, k, v))
        found = found.index_copy(0, share.own_M, attend(0, *mine, scoring))
        whole = Packed(end_to_end(LENGTHS))
        assert torch.equal(attend.positions, whole.positions[share.own_M])
        assert torch.equal(attend.lengths, whole.lengths[share.own_M])
    assert torch.allclose(found, expected, atol=1e-5)
    slopes, theirs = (torch.autograd.grad(out.square().sum(), (q, k, v)) for out in (found, expected))
    assert all(torch.allclose(mine, other, atol=1e-4) for mine, other in zip(slopes, theirs, strict=True))


@pytest.mark.parametrize("processes", [2, 4, 8])
def test_the_work_is_shared_evenly(processes):
    """Pairs of a query and a key in one long sequence."""
    length = 16 * processes
    pairs = [(Shares(length, processes, process).own_M + 1).sum() for process in range(processes)]
    assert min(pairs) == max(pairs)


def test_masks_stay_small_however_long_the_sequence():
    shares = Shares(2**16, 2, 1)
    groups = Divided([Span(0, 2**16)], shares, lambda own: own)._groups
    assert max(len(group) * max(span.work for span in group) for group in groups) <= 2**26
