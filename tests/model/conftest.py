"""Models, sequences, and what a model makes of one sequence alone: what every layout of tokens is held to."""

import pytest
import torch

from underdog.model.attention import Packed, end_to_end


@pytest.fixture(scope="session")
def models(tiny):
    """Family -> a small decoder."""
    return {family: tiny(family) for family in ("llama", "qwen3")}


@pytest.fixture(scope="session")
def draw():
    """seed, shape -> token ids"""
    return lambda seed, *shape: torch.randint(500, shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="session")
def alone():
    """model, ids [T] -> hidden states of one sequence [T, width]"""
    return lambda model, ids: model(torch.as_tensor(ids), Packed(end_to_end([len(ids)])))


@pytest.fixture(scope="session")
def close():
    """found, expected: equal but for the order of the sums"""
    return lambda found, expected: torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)
