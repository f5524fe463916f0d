import torch

from underdog.train.batch import collate
from underdog.train.neftune import Noisy
from underdog.train.objectives import next_token


def loss(objective, model, batch):
    return float(objective(model, batch).loss["cross_entropy"].detach())


def test_noise_is_as_large_as_it_says_and_only_while_training(model, examples):
    batch = collate(examples)
    quiet = loss(next_token, model, batch)
    noisy = Noisy(next_token, alpha=20.0, seed=1)
    assert loss(noisy, model, batch) != quiet
    assert loss(noisy, model, batch) == loss(noisy, model, batch)
    assert loss(next_token, model, batch) == quiet
    assert loss(Noisy(next_token, 20.0, seed=2), model, batch) != loss(noisy, model, batch)
    drawn = noisy._draw(batch, model.config.width)
    for span in batch.spans:
        here = drawn[span.start : span.start + span.length]
        bound = 20.0 / (span.length * model.config.width) ** 0.5
        assert here.abs().max() <= bound
        torch.testing.assert_close(here.std(), torch.tensor(bound / 3**0.5), rtol=0.35, atol=0.0)
