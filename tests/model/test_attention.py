"""Whatever way tokens are laid out, each sequence comes out as if it were alone."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from underdog.model.attention import Packed, Span, end_to_end

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=8)
SEEDS = st.integers(0, 1000)
FAMILIES = pytest.mark.parametrize("family", ["llama", "qwen3"])


def plain_attention(q_LHE, k_LKE, v_LKE):
    """softmax(q k / sqrt(E)) v over the past, written out head by head."""
    share = q_LHE.shape[1] // k_LKE.shape[1]
    out = torch.empty_like(q_LHE)
    for head in range(q_LHE.shape[1]):
        k, v = k_LKE[:, head // share], v_LKE[:, head // share]
        for step in range(len(q_LHE)):
            scores = k[: step + 1] @ q_LHE[step, head] / q_LHE.shape[-1] ** 0.5
            out[step, head] = scores.softmax(0) @ v[: step + 1]
    return out


@settings(max_examples=30, deadline=None)
@given(LENGTHS, SEEDS)
def test_packed_attention_is_the_plain_formula(close, lengths, seed):
    generator = torch.Generator().manual_seed(seed)
    q, k, v = (torch.randn(sum(lengths), heads, 8, generator=generator) for heads in (4, 2, 2))
    packed = Packed(end_to_end(lengths))
    assert packed.positions.tolist() == [place for length in lengths for place in range(length)]
    parts = zip(q.split(lengths), k.split(lengths), v.split(lengths), strict=True)
    close(packed(0, q, k, v), torch.cat([plain_attention(*part) for part in parts]))


@FAMILIES
@settings(max_examples=20, deadline=None)
@given(LENGTHS, SEEDS)
def test_packed_documents_are_as_if_alone(models, draw, alone, close, family, lengths, seed):
    model, ids = models[family], draw(seed, sum(lengths))
    with torch.no_grad():
        found = model.logits(model(ids, Packed(end_to_end(lengths))))
        expected = [model.logits(alone(model, document)) for document in ids.split(lengths)]
    close(found, torch.cat(expected))


@st.composite
def layouts(draw):
    """Prompts, each with answers that share it, laid out in any order; some sequences have no prefix."""
    groups = draw(
        st.lists(
            st.tuples(st.integers(0, 30), st.lists(st.integers(1, 20), min_size=1, max_size=4)), min_size=1, max_size=4
        )
    )
    pieces = [(group, None) for group, (prefix, _) in enumerate(groups) if prefix]
    pieces += [(group, answer) for group, (_, answers) in enumerate(groups) for answer in range(len(answers))]
    order = draw(st.permutations(pieces))
    lengths = [groups[group][0] if answer is None else groups[group][1][answer] for group, answer in order]
    starts = dict(zip(order, [span.start for span in end_to_end(lengths)], strict=True))
    spans, whole = [], []  # and for each span the tokens that a sequence of its own would hold
    for (group, answer), length in zip(order, lengths, strict=True):
        prefix = 0 if answer is None else groups[group][0]
        prefix_start = starts.get((group, None), 0)
        spans.append(Span(starts[group, answer], length, prefix_start, prefix))
        whole.append(
            [*range(prefix_start, prefix_start + prefix), *range(starts[group, answer], starts[group, answer] + length)]
        )
    return spans, whole


@FAMILIES
@settings(max_examples=20, deadline=None)
@given(layouts(), SEEDS)
def test_a_shared_prefix_is_as_a_prefix_of_ones_own(models, draw, alone, close, family, layout, seed):
    """Outputs and gradients, with the loss on every token of every span."""
    model, (spans, whole) = models[family], layout
    total = sum(span.length for span in spans)
    ids, slopes = draw(seed, total), torch.randn(total, 64, generator=torch.Generator().manual_seed(seed))
    found = model(ids, Packed(spans))
    gradients = torch.autograd.grad((found * slopes).sum(), list(model.parameters()))

    loss = 0.0
    for span, places in zip(spans, whole, strict=True):
        own = slice(span.start, span.start + span.length)
        expected = alone(model, ids[places])[span.prefix_length :]
        close(found[own], expected)
        loss = loss + (expected * slopes[own]).sum()
    expected_gradients = torch.autograd.grad(loss, list(model.parameters()))
    for (name, _), gradient, expected in zip(model.named_parameters(), gradients, expected_gradients, strict=True):
        scale = float(expected.abs().max())
        torch.testing.assert_close(gradient, expected, atol=1e-5 + 1e-4 * scale, rtol=0, msg=name)


@FAMILIES
def test_nothing_leaks_between_documents_or_from_the_future(models, draw, family):
    model, lengths = models[family], [7, 33, 1, 12]
    ids = draw(1, sum(lengths))
    changed = ids.clone()
    changed[7 + 20] = (ids[7 + 20] + 1) % 500
    with torch.no_grad():
        before, after = (model(one, Packed(end_to_end(lengths))) for one in (ids, changed))
    moved = (before != after).any(-1).nonzero().flatten().tolist()
    assert moved == list(range(7 + 20, 7 + 33))
