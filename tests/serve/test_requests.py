"""What is refused, and how."""

import httpx
import pytest

from underdog.serve.bodies import BODY_LIMIT
from underdog.serve.requests import ChatRequest

NEUTRAL = ChatRequest.neutral

USER = {"role": "user", "content": "hi"}
SMALL = {"model": "tiny", "messages": [USER], "max_tokens": 1}


@pytest.fixture(scope="module")
def post(api):
    with httpx.Client(base_url=api, timeout=60) as client:

        def send(body=None, content=None, kind="application/json"):
            headers = {"Content-Type": kind} if body is None else None
            return client.post("/v1/chat/completions", json=body, content=content, headers=headers)

        yield send


def called(arguments):
    return {"id": "a", "type": "function", "function": {"name": "f", "arguments": arguments}}


def refusal(response, status=400):
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    return error


WANTED = {
    "tools": [{"type": "function", "function": {"name": "f"}}],
    "tool_choice": "auto",
    "response_format": {"type": "json_object"},
    "logprobs": True,
    "top_logprobs": 2,
    "logit_bias": {"5": 1},
    "frequency_penalty": 0.5,
    "presence_penalty": 1,
    "store": True,
    "modalities": ["audio"],
    "min_p": 0.1,
    "repetition_penalty": 1.1,
    "functions": [{"name": "f"}],
    "function_call": "auto",
}


@pytest.mark.parametrize("name", sorted(NEUTRAL))
def test_what_is_not_served_is_refused_by_name(post, name):
    error = refusal(post({**SMALL, name: WANTED.get(name, "low")}))
    assert error["message"] == f"{name} is not supported by this server."
    assert (error["param"], error["code"]) == (name, "unsupported_parameter")


def test_what_asks_for_nothing_is_accepted(post):
    said = {name: value for name, value in NEUTRAL.items() if value is not None}
    nothing = dict.fromkeys(["tools", "temperature", "stop", "seed", "audio"])
    assert post({**SMALL, **said, **nothing}).status_code == 200


@pytest.mark.parametrize(
    ("change", "message", "param"),
    [
        ({"temprature": 1}, "Unknown parameter temprature. Did you mean temperature?", "temprature"),
        ({"zzz": 1}, "Unknown parameter zzz.", "zzz"),
        (
            {"reasoning_effort": "none", "chat_template_kwargs": {"enable_thinking": True}},
            "reasoning_effort none and enable_thinking contradict.",
            "reasoning_effort",
        ),
        (
            {"messages": [{**USER, "reasoning_content": "hm"}]},
            "messages[0].reasoning_content: only the assistant has reasoning_content.",
            "messages[0].reasoning_content",
        ),
        ({"temperature": 3}, "temperature must be 0", "temperature"),
        ({"temperature": "hot"}, "temperature: Input should be a valid number", "temperature"),
        ({"top_p": -1}, "top_p must be", "top_p"),
        ({"max_tokens": 0}, "max_tokens: ", "max_tokens"),
        ({"max_tokens": True}, "max_tokens: ", "max_tokens"),
        ({"max_tokens": 1, "max_completion_tokens": 2}, "max_tokens and max_completion_tokens differ", "max_tokens"),
        ({"n": 2}, "n: Input should be 1", "n"),
        ({"seed": 2**64}, "seed", "seed"),
        ({"stop": ["a", ""]}, "stop must be", "stop"),
        ({"stop": 5}, "stop: ", "stop"),
        ({"stream": "yes"}, "stream: ", "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options needs stream", "stream_options"),
        ({"stream": True, "stream_options": {"x": 1}}, "Unknown parameter stream_options.x", "stream_options.x"),
        ({"messages": []}, "messages: ", "messages"),
        ({"messages": "hi"}, "messages: ", "messages"),
        ({"messages": [{"role": "user"}]}, "messages[0].content is missing.", "messages[0].content"),
        ({"messages": [{**USER, "nam": "x"}]}, "Unknown parameter messages[0].nam.", "messages[0].nam"),
        (
            {"structured_outputs": {"json": {}, "regex": "a"}},
            "structured_outputs takes one of",
            "structured_outputs",
        ),
        (
            {"response_format": {"type": "text", "json_schema": {"name": "a", "schema": {}}}},
            "response_format text has no json_schema.",
            "response_format.json_schema",
        ),
        *(
            (
                {"messages": [USER, {"role": "assistant", "tool_calls": [called(said)]}]},
                "The arguments of f",
                "messages",
            )
            for said in ("[" * 5000, '{"a": "\\ud800"}', '{"a": NaN}', "5")
        ),
        ({"messages": [USER, {"role": "critic", "content": "x"}]}, "messages[1].role: ", "messages[1].role"),
        ({"messages": [USER, {"role": "assistant", "content": "x"}]}, "The last message must be", "messages"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            "messages[0].content: Value error, a part is 'image_url'; only text parts are served.",
            "messages[0].content",
        ),
    ],
)
def test_what_is_wrong_is_named(post, change, message, param):
    error = refusal(post({**SMALL, **change}))
    assert error["message"].startswith(message)
    assert error["param"] == param


def test_all_that_is_wrong_is_named_at_once(post):
    message = refusal(post({"tools": [1], "typo": 1}))["message"]
    assert all(name in message for name in ("model", "messages", "tools", "typo"))


def test_text_parts_and_developers_are_understood(post):
    parts = [{"type": "text", "text": "h"}, {"type": "text", "text": "i"}]
    whole = post({**SMALL, "messages": [{"role": "system", "content": "Be kind."}, USER]}).json()
    split = post(
        {**SMALL, "messages": [{"role": "developer", "content": "Be kind."}, {"role": "user", "content": parts}]},
    ).json()
    assert whole["usage"]["prompt_tokens"] == split["usage"]["prompt_tokens"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b'"x"', b"\xff{}", b'{"model": NaN}', b'{"model": "\\ud800"}', b"[" * 5000]
)
def test_a_body_that_is_not_a_json_object(post, content):
    assert "JSON" in refusal(post(content=content))["message"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_other_content_types_are_refused(post, kind):
    """A page of another site can post only these without the browser's asking first."""
    refusal(post(content=b"{}", kind=kind), 415)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large(post, chunked):
    body = b"x" * (BODY_LIMIT + 1)
    pieces = (body[at : at + 65536] for at in range(0, len(body), 65536))
    assert f"{BODY_LIMIT:,}" in refusal(post(content=pieces if chunked else body), 413)["message"]
    assert post(SMALL).status_code == 200
