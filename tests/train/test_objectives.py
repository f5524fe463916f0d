import pytest
import torch

from underdog.model.weights import save_pretrained
from underdog.train.batch import collate
from underdog.train.objectives import NextToken, next_token, taught_hidden

LOW, HIGH = 0.2, 0.28


def test_next_token_is_the_loss_of_transformers(tiny, tokenizer, examples, tmp_path):
    transformers = pytest.importorskip("transformers")
    ours = tiny()
    save_pretrained(ours, tokenizer, tmp_path)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    longest = max(len(example.ids) for example in examples)
    ids, labels, seen = (torch.full((len(examples), longest), fill) for fill in (0, -100, 0))
    for row, example in enumerate(examples):
        here = slice(len(example.ids))
        ids[row, here], seen[row, here] = torch.tensor(example.ids), 1
        labels[row, here] = torch.tensor(example.ids).where(torch.tensor(example.mask), -100)
    expected = theirs(ids, attention_mask=seen, labels=labels).loss
    expected.backward()

    batch = collate(examples)
    found = next_token(ours, batch).loss["cross_entropy"] / batch.weights_N.sum()
    found.backward()
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    theirs_by_name = dict(theirs.named_parameters())
    for name, weight in ours.named_parameters():
        torch.testing.assert_close(weight.grad, theirs_by_name[name].grad, atol=2e-3, rtol=1e-3)


def test_tokens_without_weight_teach_nothing(model, examples, gradients):
    batch = collate(examples)
    batch.weights_N.zero_()
    loss = next_token(model, batch).loss["cross_entropy"]
    assert loss.item() == 0
    assert all(not grad.any() for grad in gradients(model, loss).values())


def test_a_z_loss_is_a_component_of_its_own(model, examples, gradients, same):
    batch = collate(examples)
    plain, both = next_token(model, batch).loss, NextToken(z_loss=0.01)(model, batch).loss
    assert set(plain) == {"cross_entropy"} and set(both) == {"cross_entropy", "z_loss"}
    assert both["cross_entropy"].item() == plain["cross_entropy"].item()
    hidden, taught = taught_hidden(model, batch)
    z = (0.01 * model.logits(hidden).logsumexp(-1).square() * batch.weights_N[taught]).sum()
    assert both["z_loss"].item() == pytest.approx(z.item(), rel=1e-5)
    expected = gradients(model, next_token(model, batch).loss["cross_entropy"] + z)
    same(gradients(model, sum(NextToken(z_loss=0.01)(model, batch).loss.values())), expected, atol=1e-3)
