import dataclasses

import pytest
import torch

from underdog.model.attention import Packed, end_to_end
from underdog.model.decoder import Decoder
from underdog.model.extend import Extend, History

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
    hidden = model(torch.tensor(ids), Extend(history, branches or [len(ids)]))
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
