from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from underdog.lanes import cut
from underdog.model.attention import Packed, Span
from underdog.train.batch import Answer, Batch, Example, Group, collate, collate_groups
from underdog.train.objectives import policy_logprobs
from underdog.train.policy import PolicyGradient


def test_each_token_predicts_the_next():
    batch = collate([Example([1, 2, 3], [False, True, False]), Example([4, 5], [False, True])])
    assert batch.ids_N.tolist() == [1, 2, 4]
    assert batch.targets_N.tolist() == [2, 3, 5]
    assert batch.weights_N.tolist() == [1.0, 0.0, 1.0]
    assert batch.spans == [Span(0, 2), Span(2, 1)]
    assert batch.tokens == 3
    assert (batch.ids_N.dtype, batch.weights_N.dtype) == (torch.int64, torch.float32)


def test_a_group_holds_its_prompt_once():
    group = Group([1, 2, 3], [Answer([4, 5], {"a": [0.4, 0.5]}), Answer([6], {"a": [0.6]})])
    batch = collate_groups([group])
    assert batch.ids_N.tolist() == [1, 2, 3, 4, 3]
    assert batch.targets_N.tolist() == [2, 3, 4, 5, 6]
    assert batch.weights_N.tolist() == [0, 0, 1, 1, 1]
    assert batch.extra["a"].tolist() == pytest.approx([0, 0, 0.4, 0.5, 0.6])
    assert batch.spans == [Span(0, 2), Span(2, 2, 0, 2), Span(4, 1, 0, 2)]
    assert group.tokens == 6


def test_positions_go_on_from_the_prompt(groups):
    batch = collate_groups(groups)
    positions = Packed(batch.spans).positions
    places = iter(zip(batch.ids_N.tolist(), batch.targets_N.tolist(), positions.tolist(), strict=True))
    for group in groups:
        for position, token in enumerate(group.prompt[:-1]):
            assert next(places) == (token, group.prompt[position + 1], position)
        for answer in group.answers:
            whole = [*group.prompt, *answer.ids]
            for position in range(len(group.prompt) - 1, len(whole) - 1):
                assert next(places) == (whole[position], whole[position + 1], position)
    assert next(places, None) is None


def separately(groups):
    """The same answers, each with a copy of its prompt."""
    for group in groups:
        for answer in group.answers:
            ids = [*group.prompt, *answer.ids]
            batch = collate([Example(ids, [False] * len(group.prompt) + [True] * len(answer.ids))])
            before = [0.0] * (len(group.prompt) - 1)
            extra = {name: torch.tensor(before + list(values)) for name, values in answer.extra.items()}
            yield Batch(batch.ids_N, batch.targets_N, batch.weights_N, batch.spans, extra)


@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_groups_equal_separate_sequences(tiny, family, groups, gradients, same):
    model = tiny(family, vocabulary=40, width=32, heads=4, kv_heads=2, head_width=8, ffn=48)
    together, _, taught = policy_logprobs(model, collate_groups(groups), 0.7)
    apart = torch.cat([policy_logprobs(model, batch, 0.7)[0] for batch in separately(groups)])
    assert len(taught) == sum(len(answer.ids) for group in groups for answer in group.answers)
    torch.testing.assert_close(together, apart, atol=1e-4, rtol=1e-4)

    objective = PolicyGradient(0.2, 0.28, kl=0.0)
    whole = gradients(model, objective(model, collate_groups(groups)).loss["policy"])
    parts = gradients(model, sum(objective(model, batch).loss["policy"] for batch in separately(groups)))
    same(whole, parts, atol=1e-3)


@given(st.lists(st.integers(1, 12)), st.integers(1, 20))
def test_cut_keeps_all_in_order_and_every_run_short(sizes, most):
    runs = list(cut(sizes, lambda size: size, most))
    assert [size for run in runs for size in run] == sizes
    assert all(run and (sum(run) <= most or len(run) == 1) for run in runs)
    for one, following in pairwise(runs):  # no run could have taken one more
        assert sum(one) + following[0] > most
