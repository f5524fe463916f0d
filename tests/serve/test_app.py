"""The API, through a real server and the clients that people use."""

import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import pytest

from underdog.generate.options import Options
from underdog.generate.session import collect
from underdog.serve.guard import Limits
from underdog.tokens.messages import Message

ASKED = [{"role": "user", "content": "2 + 2?"}]


# One for all: making a client costs more than what most tests do with it.
CLIENT = openai.OpenAI(base_url="http://localhost/v1", api_key="none", max_retries=0, timeout=60)


def connect(url):
    return CLIENT.with_options(base_url=f"{url}/v1")


def post(url, body, **more):
    return httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60, **more)


def test_an_answer_of_the_real_model(api, tiny_served):
    answer = connect(api).chat.completions.create(model="tiny", messages=ASKED, seed=5, max_tokens=12, temperature=0.5)
    expected = collect(tiny_served.reply([Message("user", "2 + 2?")], Options(0.5, max_new_tokens=12, seed=5)))
    message = answer.choices[0].message
    assert message.content == expected.message.content
    assert getattr(message, "reasoning_content", None) == expected.message.reasoning
    assert message.content or message.reasoning_content
    assert answer.choices[0].finish_reason == expected.finish.ending.value
    assert answer.usage.prompt_tokens == expected.finish.prompt_tokens
    assert answer.usage.completion_tokens == expected.finish.new_tokens


def test_a_stream_adds_up_to_the_whole_answer(api):
    ask = {"model": "tiny", "messages": ASKED, "seed": 6, "max_tokens": 30}
    client = connect(api)
    whole = client.chat.completions.create(**ask)
    chunks = list(client.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == whole.choices[0].message.content
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 2) + [
        whole.choices[0].finish_reason
    ]
    assert (chunks[-1].choices, chunks[-1].usage) == ([], whole.usage)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert len({chunk.id for chunk in chunks}) == 1


def test_reasoning_is_apart(scripted, serving):
    with serving(scripted("<think>2 + 2</think>\n\n4")) as (url, _):
        client = connect(url)
        ask = {"model": "scripted", "messages": ASKED}
        message = client.chat.completions.create(**ask).choices[0].message
        assert (message.reasoning_content, message.content) == ("2 + 2", "4")
        deltas = [chunk.choices[0].delta for chunk in client.chat.completions.create(**ask, stream=True)]
        assert "".join(getattr(delta, "reasoning_content", "") for delta in deltas) == "2 + 2"
        assert "".join(delta.content or "" for delta in deltas) == "4"
        # What came back goes in again, as it is.
        more = client.chat.completions.create(model="scripted", messages=[*ASKED, message, *ASKED])
        assert more.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("stream", [False, True])
def test_reasoning_cut_off_is_not_a_silent_empty_answer(scripted, serving, stream):
    with serving(scripted("<think>2 + 2 + 2 + 2")) as (url, _):
        got = connect(url).chat.completions.create(model="scripted", messages=ASKED, max_tokens=4, stream=stream)
        last = list(got)[-1] if stream else got
        assert last.choices[0].finish_reason == "length"
        assert last.choices[0].notice.startswith("There is no answer: the limit of 4 new tokens")


def test_stop_strings_and_the_client_libraries_other_fields(scripted, serving):
    with serving(scripted("one two three")) as (url, _):
        answer = connect(url).chat.completions.create(
            model="scripted", messages=ASKED, stop="two", n=1, user="me", metadata={"a": "b"}, frequency_penalty=0,
            logprobs=False, extra_body={"top_k": 5, "tools": None},
        )  # fmt: skip
        assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("one", "stop")


def test_models(api):
    client = connect(api)
    assert [model.id for model in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").context_length == 256
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-9")
    assert httpx.get(f"{api}/health").json() == {"status": "ok", "model": "tiny"}


def test_an_unknown_model_is_404(api):
    with pytest.raises(openai.NotFoundError, match='no model "gpt-9" here; this is "tiny"') as error:
        connect(api).chat.completions.create(model="gpt-9", messages=ASKED)
    assert (error.value.param, error.value.code) == ("model", "model_not_found")


def test_a_conversation_that_does_not_fit_is_refused_with_the_numbers(api):
    client = connect(api)
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError, match=r"has \d{3,} tokens; the model's context holds 256") as error:
            client.chat.completions.create(
                model="tiny", messages=[{"role": "user", "content": "x " * 400}], stream=stream
            )
        assert (error.value.param, error.value.code) == ("messages", "context_length_exceeded")
    with pytest.raises(openai.BadRequestError, match="in all; the model's context holds 256") as error:
        client.chat.completions.create(model="tiny", messages=ASKED, max_completion_tokens=256)
    assert error.value.param == "max_completion_tokens"


def test_addresses_that_are_not_there(api):
    for response, status in ((httpx.get(f"{api}/v2"), 404), (httpx.get(f"{api}/v1/chat/completions"), 405)):
        assert response.status_code == status
        assert response.json()["error"]["type"] == "invalid_request_error"


def test_eight_at_once_get_their_own_answers(api, tiny_served):
    questions = [f"question {i}" for i in range(8)]

    def ask(i):
        messages = [{"role": "user", "content": questions[i]}]
        stream = connect(api).chat.completions.create(
            model="tiny", messages=messages, seed=i, max_tokens=24, stream=True
        )
        deltas = [chunk.choices[0].delta for chunk in stream]
        reasoning = "".join(getattr(delta, "reasoning_content", "") for delta in deltas)
        return Message("assistant", "".join(delta.content or "" for delta in deltas), reasoning or None)

    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(ask, range(8)))
    alone = [
        collect(tiny_served.reply([Message("user", question)], Options(max_new_tokens=24, seed=i))).message
        for i, question in enumerate(questions)
    ]
    assert answers == alone
    assert len(set(answers)) == 8


def hang_up(url, body, when, path="chat/completions"):
    """Asks, and leaves without having read anything as soon as `when()` holds."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"))
    connection.request("POST", f"/v1/{path}", json.dumps(body), {"Content-Type": "application/json"})
    wait_until(when)
    connection.close()


def wait_until(holds):
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_frees_the_model(scripted, serving, stream):
    served = scripted("on and on", pause=0.01)  # for 40 seconds
    with serving(served) as (url, _):
        body = {"model": "scripted", "messages": ASKED}
        hang_up(url, {**body, "stream": stream}, lambda: served.engine.prompts)
        assert served.engine.closed.acquire(timeout=10)
        assert post(url, {**body, "max_tokens": 3}).status_code == 200


@pytest.mark.parametrize("path", ["extract", "embeddings", "systemone"])
def test_a_client_that_leaves_ends_its_job(scripted, serving, path):
    served = scripted("on and on", pause=0.01)
    calls = served.engine.prompts

    def slowly(prompt, *more):
        calls.append(prompt)
        time.sleep(0.1)
        return [[1.0]] if path == "embeddings" else [0.0, 0.0]

    served.engine.embed = served.engine.score = slowly
    question = {"type": "noul", "instructions": "Is it?"}
    body = {
        "extract": {"input": "x", "form": {"a": "the city"}},
        "embeddings": {"input": ["x"] * 2000},
        "systemone": {"state": "x", "questions": {str(i): question for i in range(64)}},
    }[path]
    with serving(served) as (url, _):
        hang_up(url, {"model": "scripted", **body}, lambda: calls, path)
        assert post(url, {"model": "scripted", "messages": ASKED, "max_tokens": 1}).status_code == 200
        assert len(calls) < 60 and (path != "extract" or served.engine.closed.acquire(timeout=1))


def test_a_client_that_leaves_the_line_costs_nothing(scripted, serving):
    served = scripted("on and on", pause=0.01)
    with serving(served) as (url, server):
        body = {"model": "scripted", "messages": ASKED}
        with connect(url).chat.completions.create(**body, stream=True) as first:
            next(first)
            connections = server.server_state.connections
            before = len(connections)
            hang_up(url, body, lambda: len(connections) > before)
            wait_until(lambda: len(connections) == before)
            time.sleep(0.05)
        assert post(url, {**body, "max_tokens": 1}).status_code == 200
        assert len(served.engine.prompts) == 2


def test_a_bug_is_told_and_the_server_goes_on(scripted, serving, caplog):
    served = scripted("fine")
    served.engine.ids = [1, "not an id"]
    with serving(served) as (url, _):
        client = connect(url)
        with pytest.raises(openai.InternalServerError, match="The server failed"):
            client.chat.completions.create(model="scripted", messages=ASKED)
        with pytest.raises(openai.APIError, match="The server failed"):
            list(client.chat.completions.create(model="scripted", messages=ASKED, stream=True))
        assert caplog.text.count("drawing an answer failed") == 2
        served.engine.ids = []
        assert client.chat.completions.create(model="scripted", messages=ASKED).choices[0].finish_reason == "stop"


def test_stopping_the_server_ends_the_answer_in_progress(scripted, serving):
    with serving(scripted("on and on", pause=0.01), Limits(grace=0.2)) as (url, server):
        stream = connect(url).chat.completions.create(model="scripted", messages=ASKED, stream=True)
        next(stream)
        server.should_exit = True
        with pytest.raises(openai.APIError, match="shutting down"):
            list(stream)


def test_an_answer_that_is_nearly_done_is_finished_first(scripted, serving):
    served = scripted("on ", pause=0.01)
    with serving(served, Limits(grace=60)) as (url, server):
        ask = {"model": "scripted", "messages": ASKED}
        stream = connect(url).chat.completions.create(**ask, max_tokens=100, stream=True)
        next(stream)
        served.engine.pause = 1
        server.should_exit = True
        wait_until(lambda: server.config.app.state.line.stopping)
        with pytest.raises(openai.APIError, match="shutting down"):
            connect(url).chat.completions.create(**ask)
        served.engine.pause = 0
        assert list(stream)[-1].choices[0].finish_reason == "length"


def test_events_are_plain_ascii(scripted, serving):
    said = "é \u2028 \x85 🙂"
    with serving(scripted(said)) as (url, _):
        response = post(url, {"model": "scripted", "messages": ASKED, "stream": True})
        events = response.text.split("\n\n")
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.text.isascii() and events[-2:] == ["data: [DONE]", ""]
        chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
        assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == said
