import dataclasses

import pytest
import torch

from underdog.model.attention import Packed, end_to_end
from underdog.model.decoder import Decoder
from underdog.model.extend import Extend, Part
from underdog.model.history import History

IDS = [3 + i * 7 % 400 for i in range(40)]


@pytest.fixture(scope="module", params=["everywhere", "windows"])
def model(request, tiny):
    plain = tiny()
    if request.param == "everywhere":
        return plain
    windowed = Decoder(dataclasses.replace(plain.config, window=6, windowed=(True, False)))
    windowed.load_state_dict(plain.state_dict())
    return windowed


@torch.inference_mode()
def whole(model, ids):
    return model(torch.tensor(ids), Packed(end_to_end([len(ids)])))


@torch.inference_mode()
def extend(model, history, ids, branches=None):
    hidden = model(torch.tensor(ids), Extend([Part(history, branches or [len(ids)])]))
    history.ids += ids
    return hidden


@pytest.mark.parametrize("cuts", [[40], [1, 39], [7, 7, 7, 19], [39, 1]])
def test_in_pieces_as_at_once(model, cuts):
    history, parts, at = History(model.config), [], 0
    for count in cuts:
        parts.append(extend(model, history, IDS[at : at + count]))
        at += count
    assert torch.allclose(torch.cat(parts), whole(model, IDS), atol=1e-4)


def test_going_back_leaves_no_trace(model):
    history = History(model.config)
    extend(model, history, IDS[:20])
    extend(model, history, [1] * 15)
    history.keep(20)
    assert torch.allclose(extend(model, history, IDS[20:]), whole(model, IDS)[20:], atol=1e-4)


def test_branches_do_not_see_each_other(model):
    history = History(model.config)
    extend(model, history, IDS[:20])
    branches = [[7], [8, 9, 10], [11, 12]]
    found = extend(
        model, history, [token for branch in branches for token in branch], [len(branch) for branch in branches]
    )
    expected = torch.cat([whole(model, IDS[:20] + branch)[20:] for branch in branches])
    assert torch.allclose(found, expected, atol=1e-4)


def test_several_sequences_in_one_pass(model):
    """Each goes on from what was read of it, by as many tokens as it likes."""
    held, counts = [5, 0, 12], [1, 9, 3]
    histories = [History(model.config) for _ in held]
    sequences = [IDS[i : i + h + c] for i, (h, c) in enumerate(zip(held, counts, strict=True))]
    for history, ids, length in zip(histories, sequences, held, strict=True):
        if length:
            extend(model, history, ids[:length])
    parts = [Part(history, [count]) for history, count in zip(histories, counts, strict=True)]
    new = [token for ids, length in zip(sequences, held, strict=True) for token in ids[length:]]
    with torch.inference_mode():
        found = model(torch.tensor(new), Extend(parts))
    expected = [whole(model, ids)[length:] for ids, length in zip(sequences, held, strict=True)]
    assert torch.allclose(found, torch.cat(expected), atol=1e-4)


def test_a_copy_goes_on_as_the_original(model):
    history, other = History(model.config), History(model.config)
    extend(model, history, IDS[:30])
    other.copy(history, 20)
    assert other.ids == IDS[:20] and history.shared([*IDS[:12], 1]) == 12
    assert torch.allclose(extend(model, other, IDS[20:]), whole(model, IDS)[20:], atol=1e-4)


def test_in_eight_bits(model):
    """A quarter of the memory and a scale a block; hidden states move by less than a hundredth of their size."""
    history, plain = History(model.config, int8=True), History(model.config)
    parts = [extend(model, history, IDS[:25]), extend(model, history, IDS[25:])]
    extend(model, plain, IDS)
    expected = whole(model, IDS)
    error = (torch.cat(parts) - expected).norm() / expected.norm()
    assert 0 < error < 0.03
    sizes = [one.nbytes / one.room for one in (history, plain)]
    assert sizes == [History.bytes_per_token(model.config, int8) for int8 in (True, False)]
    assert sizes[0] < 0.3 * sizes[1]
