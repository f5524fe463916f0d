import pytest

from underdog.train.schedules import warmup_cosine


def test_it_rises_in_a_line_and_falls_along_a_cosine():
    assert warmup_cosine(0.0, 0.1) == pytest.approx(0, abs=1e-6)
    assert warmup_cosine(0.05, 0.1) == pytest.approx(0.5)
    assert warmup_cosine(0.1, 0.1) == pytest.approx(1.0)
    assert warmup_cosine(0.55, 0.1, floor=0.2) == pytest.approx(0.6)
    assert warmup_cosine(1.0, 0.1) == pytest.approx(0.05)
    parts = [part / 100 for part in range(101)]
    falling = [warmup_cosine(part, 0.1) for part in parts if part >= 0.1]
    assert falling == sorted(falling, reverse=True)


@pytest.mark.parametrize("warmup", [0.0, 0.3, 0.99, 1.0])
def test_any_warmup_is_fine(warmup):
    for step in range(100):
        assert 0 <= warmup_cosine(step / 100, warmup) <= 1 + 1e-6
