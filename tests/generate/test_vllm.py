"""Rollouts by vLLM, over its interface: a server of the same words with the built-in engine behind it, and vLLM itself
where it is installed."""

from pathlib import Path

import pytest
import torch
from tests.stub_vllm import served

from underdog.errors import UserError
from underdog.generate.interface import Ending, Sampling
from underdog.generate.vllm import Policy, Vllm, open_vllm
from underdog.generate.vllm_server import program
from underdog.model.weights import save_pretrained
from underdog.train.batch import Answer, Group, collate_groups
from underdog.train.objectives import policy_logprobs

PROMPTS = [[11, 12, 13], [40, 41], [99, 98, 97, 96]]


def shaped(tiny, tokenizer, tied):
    """A model that closes its turn now and then, of a shape that vLLM's CPU kernels take."""
    model = tiny(tied=tied, vocabulary=tokenizer.vocabulary, width=64, heads=2, kv_heads=1, head_width=32, context=96)
    with torch.no_grad():
        model.lm_head.weight[tokenizer.turn_end] *= 4
    return model


def following(model, tokenizer):
    """The model as the server is to follow it; its version is PyTorch's count of changes in place."""
    return Policy(
        model.config.context,
        lambda: sum(weight._version for weight in model.parameters()),
        lambda folder: save_pretrained(model, tokenizer, folder),
        model.config.tied,
    )


@pytest.fixture(params=[False, True], ids=["a head of its own", "tied"])
def model(request, tiny, tokenizer):
    return shaped(tiny, tokenizer, request.param)


@pytest.fixture
def policy(model, tokenizer):
    return following(model, tokenizer)


@pytest.fixture
def server(tiny, tokenizer):
    """Serves a model of other weights, until it is given the policy's."""
    other = tiny(tied=False, vocabulary=tokenizer.vocabulary, width=64, heads=2, kv_heads=1, head_width=32, context=96)
    with served(other, tokenizer.turn_end, 32) as server:
        yield server


def drawn(engine, n=4, temperature=1.3, seed=1):
    found = {index: [] for index in range(len(PROMPTS))}
    for index, one in engine.answers(PROMPTS, Sampling(temperature, max_new_tokens=12, seed=seed), n):
        found[index].append(one)
    return found


def assert_from(model, found, temperature, tolerance):
    """Every answer's log-probabilities are those that the trainer computes for its tokens."""
    answers = [[Answer(one.ids, {"sampled": one.logprobs}) for one in found[index]] for index in found]
    batch = collate_groups([Group(PROMPTS[index], answers[index]) for index in found])
    logprobs, _, taught = policy_logprobs(model, batch, temperature)
    torch.testing.assert_close(batch.extra["sampled"][taught], logprobs.detach(), atol=tolerance, rtol=0)


def test_tokens_in_and_tokens_out(server, model, policy, tokenizer):
    with open_vllm(server.url + "/v1/", policy, tokenizer) as vllm:
        found = drawn(vllm)
        assert [len(answers) for answers in found.values()] == [4, 4, 4]
        assert_from(model, found, 1.3, 1e-4)
        assert drawn(vllm) == found != drawn(vllm, seed=2)
        assert {one.ending for answers in found.values() for one in answers} == {Ending.STOPPED, Ending.TRUNCATED}
    for path, asked in server.asked:
        if path == "/v1/completions":
            assert asked["prompt"] in PROMPTS
            assert asked["max_tokens"] == 12 and asked["stop_token_ids"] == [tokenizer.turn_end]
            assert (asked["top_p"], asked["top_k"], asked["min_p"], asked["ignore_eos"]) == (1.0, 0, 0.0, True)


def test_it_is_given_the_weights_when_they_have_changed_and_only_then(server, model, policy, tokenizer):
    def updates():
        return sum(path == "/collective_rpc" for path, _ in server.asked)

    with open_vllm(server.url, policy, tokenizer) as vllm:
        before = drawn(vllm)
        drawn(vllm)
        assert updates() == 1
        optimizer = torch.optim.AdamW(model.parameters(), 0.05)
        model.logits(torch.ones(1, 64)).sum().backward()
        optimizer.step()
        after = drawn(vllm)
        assert updates() == 2 and after != before
        assert_from(model, after, 1.3, 1e-4)
        paths = [path for path, _ in server.asked]
        assert all(paths[i + 1] == "/reset_prefix_cache" for i, path in enumerate(paths) if path == "/collective_rpc")
        folders = [Path(asked["kwargs"]["weights_path"]) for path, asked in server.asked if path == "/collective_rpc"]
    assert not any(folder.exists() or folder.parent.exists() for folder in folders)


def test_the_servers_context_is_a_limit_too(server, policy, tokenizer, tmp_path):
    vllm = Vllm(server.url, policy, tokenizer, tmp_path)
    ((_, one),) = vllm.answers([[9] * 30], Sampling(max_new_tokens=20))
    assert len(one.ids) <= 2
    with pytest.raises(UserError, match="The prompt has 32 tokens; the server's context holds 32"):
        list(vllm.answers([[9] * 32], Sampling()))


def test_what_a_server_lacks_is_said(server, policy, tokenizer, tmp_path):
    server.missing.add("/collective_rpc")
    with pytest.raises(UserError, match="has no /collective_rpc: its weights cannot be updated") as told:
        list(Vllm(server.url, policy, tokenizer, tmp_path).answers(PROMPTS, Sampling()))
    assert "VLLM_SERVER_DEV_MODE=1" in told.value.hint
    server.models = ["policy", "another"]
    with pytest.raises(UserError, match="serves 2 models"):
        Vllm(server.url, policy, tokenizer, tmp_path)


def test_no_server(policy, tokenizer, tmp_path):
    with pytest.raises(UserError, match=r"The vLLM server at http://127\.0\.0\.1:9 does not answer"):
        Vllm("http://127.0.0.1:9", policy, tokenizer, tmp_path)


def test_no_vllm(policy, tokenizer, monkeypatch):
    monkeypatch.setattr("underdog.generate.vllm_server.shutil.which", lambda name: None)
    with (
        pytest.raises(UserError, match=r"there is no vLLM: neither .*vllm nor on the PATH") as told,
        open_vllm("vllm", policy, tokenizer),
    ):
        pass
    assert "make vllm" in told.value.hint


@pytest.mark.slow
@pytest.mark.skipif(program() is None, reason="vLLM is not installed: make vllm")
@pytest.mark.parametrize("tied", [False, True])
def test_vllm_itself(tied, tiny, tokenizer):
    """Started, asked, given other weights, asked again: the trainer's log-probabilities each time."""
    model = shaped(tiny, tokenizer, tied)
    with open_vllm("vllm", following(model, tokenizer), tokenizer) as vllm:
        for temperature in (1.3, 0.7):
            found = drawn(vllm, temperature=temperature)
            assert_from(model, found, temperature, 1e-4)
            with torch.no_grad():
                for weight in model.parameters():
                    weight *= 1.2
