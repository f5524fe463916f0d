import copy
from collections import defaultdict
from types import SimpleNamespace

import pytest
import torch

from underdog.model.attention import Packed
from underdog.stages.distill import as_pairs
from underdog.train.batch import Batch, Group, collate_groups
from underdog.train.divergence import name_likeliest
from underdog.train.lessons import _signed
from underdog.train.objectives import policy_logprobs, taught_hidden
from underdog.train.preference import Distil, Dpd, dpo
from underdog.train.strategy import Local, count
from underdog.train.teacher import Teacher, with_teacher

ON, OFF = {"preference": 1.0, "positive": 1.0, "negative": 1.0}, {"preference": 0.0, "positive": 0.0, "negative": 0.0}


def dpd(**weights):
    return Dpd(**{**OFF, **weights}, dpo_beta=0.3, beta=0.5)


@pytest.fixture
def teacher(tiny, model):
    return Teacher(tiny(seed=9, vocabulary=40, width=32, heads=2, kv_heads=1, ffn=48), top_k=0)


@pytest.fixture
def batch(model, teacher, tiny):
    """Three pairs of answers, with a reference policy and a teacher."""
    prompts = ([3, 1, 4], [1, 5, 9, 2, 6], [7])
    answers = (([5, 3], [5, 8, 9]), ([7, 9, 3, 2], [3, 8]), ([4], [6, 2, 6, 4, 3]))
    groups = [
        Group(prompt, [_signed(good, 1.0), _signed(bad, -1.0)])
        for prompt, (good, bad) in zip(prompts, answers, strict=True)
    ]
    reference = tiny(seed=5, vocabulary=40, width=32, heads=2, kv_heads=1, ffn=48)
    pairs = as_pairs(collate_groups(groups), list(enumerate(groups)), reference)
    return with_teacher(pairs, teacher.name(pairs))


def trl_dpo(logps, reference, mask, beta):
    """TRL's loss of log-probabilities [2 P, T] by token, better answers first."""
    trainer = pytest.importorskip("trl").DPOTrainer

    def says(values):
        watched = {"entropy": values, "mean_logits": values, "is_top1": values > 0}
        return lambda **_: SimpleNamespace(log_probs=values, loss=None, **watched)

    accelerator = SimpleNamespace(device="cpu", gather_for_metrics=lambda x: x, gather=lambda x: x)
    stub = SimpleNamespace(
        model=SimpleNamespace(training=True, is_gradient_checkpointing=False),
        accelerator=accelerator,
        ref_model=says(reference),
        aux_loss_enabled=False,
        ld_alpha=None,
        precompute_ref_logps=True,
        f_divergence_type="reverse_kl",
        loss_types=["sigmoid"],
        loss_weights=[1.0],
        beta=beta,
        label_smoothing=0.0,
        _total_train_tokens=0,
        _tp_size=1,
        state=SimpleNamespace(num_input_tokens_seen=0),
        use_weighting=False,
        args=SimpleNamespace(gradient_checkpointing_kwargs=None),
        _metrics=defaultdict(lambda: defaultdict(list)),
    )
    chosen, rejected = (reference * mask).sum(1).chunk(2)
    ids = torch.zeros(mask.shape[0], mask.shape[1] + 1, dtype=torch.int64)
    completion = torch.cat([torch.zeros(len(mask), 1), mask], 1).long()
    inputs = {"input_ids": ids, "attention_mask": ids + 1, "completion_mask": completion}
    inputs |= {"ref_chosen_logps": chosen, "ref_rejected_logps": rejected}
    return trainer._compute_loss(stub, says(logps * mask), inputs, False)


def test_dpo_is_trls(model, batch):
    logps, _, taught = policy_logprobs(model, batch, 1.0)
    sign, answer, reference = (batch.extra[name][taught] for name in ("sign", "answer", "reference"))
    rows = torch.where(sign > 0, answer // 2, answer // 2 + 3).long()
    padded, theirs, mask = (torch.zeros(6, 5) for _ in range(3))
    for row in range(6):
        here = (rows == row).nonzero().squeeze(1)
        padded[row, : len(here)], theirs[row, : len(here)] = logps[here].detach(), reference[here]
        mask[row, : len(here)] = 1
    expected = trl_dpo(padded, theirs, mask, beta=0.3)
    sums = dpd(preference=1.0)(model, batch)
    assert sums.loss.keys() == {"preference"} and sums.per["preference"] == "pairs"
    torch.testing.assert_close(sums.loss["preference"].detach() / 3, expected, atol=1e-6, rtol=1e-6)


def test_without_preference_it_is_distillation_on_both_sides(model, batch, teacher):
    """Each side a mean over its own tokens, against the whole distributions."""
    sums = dpd(positive=1.0, negative=1.0)(model, batch)
    assert sums.loss.keys() == {"positive", "negative"}
    hidden, taught = taught_hidden(model, batch)
    theirs = teacher.model(batch.ids_N, Packed(batch.spans))[taught]
    p, q = (m.logits(h).log_softmax(-1).exp() for m, h in ((teacher.model, theirs), (model, hidden)))
    mix = (p + q) / 2
    apart = 0.5 * (p * (p / mix).log()).sum(-1) + 0.5 * (q * (q / mix).log()).sum(-1)
    for name, sign in (("positive", 1), ("negative", -1)):
        torch.testing.assert_close(
            sums.loss[name], apart[batch.extra["sign"][taught] == sign].sum(), atol=1e-4, rtol=1e-5
        )
    whole = Distil(beta=0.5)(model, batch).loss["distillation"]
    torch.testing.assert_close(whole, sum(sums.loss.values()), atol=1e-5, rtol=1e-6)


def test_all_terms_add_up_with_their_weights_and_counts(model, batch, gradients, same):
    weights = {"preference": 0.5, "positive": 2.0, "negative": 3.0}
    counts = count([batch])
    assert dict(counts) == {"tokens": 17, "pairs": 3, "positive": 7, "negative": 10}
    alone = [dpd(**{name: weight})(model, batch) for name, weight in weights.items()]
    expected = sum(value / counts[one.per[name]] for one in alone for name, value in one.loss.items())
    figures = Local().gradients(model, dpd(**weights), [batch])
    assert figures["loss"] == pytest.approx(expected.item(), rel=1e-5)
    found = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    same(found, gradients(model, expected))


def test_parts_of_a_step_give_the_same_gradient(model, batch, teacher, tiny, same):
    def of(parts):
        Local().gradients(model, dpd(**ON), parts)
        return {name: weight.grad.clone() for name, weight in model.named_parameters()}

    groups = [Group([3, 1], [_signed([n, 2, 5], 1.0), _signed([9, n], -1.0)]) for n in range(4)]
    reference = copy.deepcopy(teacher.model)

    def laid(some):
        pairs = as_pairs(collate_groups([group for _, group in some]), some, reference)
        return with_teacher(pairs, teacher.name(pairs))

    lessons = list(enumerate(groups))
    same(of([laid(lessons)]), of([laid(lessons[:1]), laid(lessons[1:])]))
    twice = [*lessons, lessons[0]]  # a step that crosses an epoch may hold a lesson twice
    same(of([laid(twice)]), of([laid(lessons), laid(lessons[:1])]))


def test_dpo_at_no_margin_is_the_log_of_two():
    assert dpo(torch.tensor([0.0]), 0.1).item() == pytest.approx(0.6931472)


def test_top_k_bounds_the_whole(model, batch, teacher):
    _, taught = taught_hidden(model, batch)
    theirs = teacher.model(batch.ids_N, Packed(batch.spans))[taught]
    whole, top = (
        float(Distil(1.0)(model, with_teacher(batch, name_likeliest(teacher.model, theirs, k))).loss["distillation"])
        for k in (0, 3)
    )
    assert 0 < top < whole


def test_the_empty_extra_of_a_batch_is_kept(batch):
    moved = Batch.to(batch, torch.device("meta"))
    assert moved.counts == batch.counts and moved.extra.keys() == batch.extra.keys()
