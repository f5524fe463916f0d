import torch

from underdog.train.average import Average


def moved(model, by):
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(by)


def test_first_the_plain_mean_then_a_moving_one(tiny):
    model = tiny(vocabulary=40, width=32, heads=2, kv_heads=1, ffn=48)
    start = model.model.norm.weight.detach().clone()
    average = Average(model, decay=0.75)
    expected = None
    for step, by in enumerate([1.0, 2.0, 4.0, -3.0, 5.0, 0.5]):
        moved(model, by)
        average.update(step)
        now = model.model.norm.weight.detach() - start
        share = max(1 / (step + 1), 0.25)
        expected = now if expected is None else expected + share * (now - expected)
    average.put()
    torch.testing.assert_close(model.model.norm.weight.detach() - start, expected)


def test_the_model_is_not_the_averages_own(tiny):
    model = tiny(vocabulary=40, width=32, heads=2, kv_heads=1, ffn=48)
    average = Average(model, 0.9)
    assert not {id(weight) for weight in average.parameters()} & {id(weight) for weight in model.parameters()}
    assert len(list(average.parameters())) == len(list(model.parameters()))
    assert not any(weight.requires_grad for weight in average.parameters())
    before = [weight.clone() for weight in average.parameters()]
    moved(model, 1.0)
    assert all(torch.equal(one, other) for one, other in zip(before, average.parameters(), strict=True))
