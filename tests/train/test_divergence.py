import math

import pytest
import torch

from underdog.train.divergence import Named, divergence, likeliest, name_likeliest

M, D, V = 30, 16, 40
BETAS = (0.0, 0.1, 0.5, 0.9, 1.0)


@pytest.fixture
def setting():
    """Hidden states, the output matrix, and a teacher's scores."""
    generator = torch.Generator().manual_seed(1)
    hidden, weight, scores = (torch.randn(*shape, generator=generator) for shape in ((M, D), (V, D), (M, V)))
    return hidden.requires_grad_(), weight.requires_grad_(), 2 * scores


def says(scores, k=V, temperature=1.0):
    return Named(*likeliest(scores / temperature, k))


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_it_is_gkds_and_so_is_its_gradient(setting, beta, temperature):
    gkd = pytest.importorskip("trl.experimental.gkd.gkd_trainer").GKDTrainer
    hidden, weight, scores = setting
    expected = gkd.generalized_jsd_loss(hidden @ weight.T, scores, None, beta, temperature, "sum")
    slopes = torch.autograd.grad(expected, (hidden, weight))
    found = divergence(hidden, weight, says(scores, temperature=temperature), beta, temperature).sum()
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    for own, theirs in zip(torch.autograd.grad(found, (hidden, weight)), slopes, strict=True):
        torch.testing.assert_close(own, theirs, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("beta", BETAS)
def test_the_tail_is_one_outcome_more(setting, beta):
    """Against the same divergence over k + 1 outcomes, written out; it grows with k up to the whole one."""
    hidden, weight, scores = (tensor.detach().double() for tensor in setting)
    whole = divergence(hidden, weight, says(scores), beta)
    before = torch.zeros(M, dtype=torch.float64)
    for k in (1, 5, 20, V - 1):
        teacher = says(scores, k)
        p, q = scores.softmax(-1), (hidden @ weight.T).softmax(-1)
        p, q = (
            torch.cat([x.gather(-1, teacher.ids_Mk), 1 - x.gather(-1, teacher.ids_Mk).sum(-1, True)], -1)
            for x in (p, q)
        )
        mix = beta * p + (1 - beta) * q
        kl = lambda a, b: (a * (a.log() - b.log())).sum(-1)  # noqa: E731
        expected = kl(p, q) if beta == 0 else kl(q, p) if beta == 1 else beta * kl(p, mix) + (1 - beta) * kl(q, mix)
        found = divergence(hidden, weight, teacher, beta)
        torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-6)
        assert (found >= before - 1e-9).all() and (found <= whole + 1e-9).all()
        before = found


def test_a_teacher_that_is_the_student_pulls_nowhere(setting):
    hidden, weight, _ = setting
    for beta in BETAS:
        apart = divergence(hidden, weight, says((hidden @ weight.T).detach()), beta)
        assert apart.abs().max() < 1e-5
        assert torch.autograd.grad(apart.sum(), hidden)[0].abs().max() < 1e-5


def test_a_teacher_that_is_sure_stays_finite(setting):
    hidden, weight, scores = setting
    sure = scores.clone()
    sure[:, 3] = 1e4
    for beta in (0.0, 0.5):
        apart = divergence(hidden, weight, says(sure, k=2), beta)
        assert apart.isfinite().all()
        assert all(slope.isfinite().all() for slope in torch.autograd.grad(apart.sum(), (hidden, weight)))


def test_what_a_model_names(model):
    hidden = torch.randn(7, model.config.width)
    logprobs = model.logits(hidden).detach().log_softmax(-1)
    top = name_likeliest(model, hidden, k=5)
    torch.testing.assert_close(top.logprobs_Mk.sort(-1, descending=True).values, logprobs.topk(5).values)
    torch.testing.assert_close(logprobs.gather(-1, top.ids_Mk), top.logprobs_Mk)
    whole = name_likeliest(model, hidden, k=0, temperature=2.0)
    assert whole.ids_Mk.shape == (7, 40)
    assert whole.logprobs_Mk.logsumexp(-1).abs().max() < 1e-5
    assert math.isclose(float(top[2:3].logprobs_Mk.max()), float(logprobs[2].max()), abs_tol=1e-6)
