"""The official client, used as its documentation shows, against both local engines, and our own client against it."""

import json
import math
from typing import Literal

import httpx
import openai
import pytest
from pydantic import BaseModel

from underdog.generate.chat import TemplateChat
from underdog.generate.open import open_model
from underdog.generate.options import OptionError, Options
from underdog.generate.remote import Remote
from underdog.generate.session import Served, collect
from underdog.generate.structure import Structure
from underdog.generate.tools import Offer
from underdog.generate.torch_engine import TorchEngine
from underdog.serve.guard import Limits
from underdog.tokens.messages import Message

ASKED = [{"role": "user", "content": "2 + 2?"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["Rome", "Oslo"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}


@pytest.fixture(scope="module")
def roomy(tiny, tokenizer):
    model = tiny(vocabulary=tokenizer.vocabulary, context=900)
    return Served("tiny", TorchEngine(model, tokenizer), TemplateChat(tokenizer))


@pytest.fixture(scope="module", params=["torch", "llama.cpp"])
def address(request, serving, roomy, tmp_path_factory):
    served = roomy
    if request.param == "llama.cpp":
        pytest.importorskip("xllamacpp")
        from underdog.model.gguf import write_gguf

        path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
        write_gguf(roomy.engine.model, roomy.chat.tokenizer, path, "f32")
        served = open_model(path)
    with serving(served) as (url, _):
        yield url


@pytest.fixture(scope="module")
def client(address):
    return openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=120)


class City(BaseModel):
    name: Literal["Rome", "Oslo"]
    large: bool


def test_structured_output_with_pydantic(client):
    answer = client.chat.completions.parse(
        model="tiny", messages=ASKED, response_format=City, seed=1, reasoning_effort="none"
    )
    assert isinstance(answer.choices[0].message.parsed, City)


def test_a_streamed_structure(client):
    with client.chat.completions.stream(
        model="tiny", messages=ASKED, response_format=City, seed=2, reasoning_effort="none"
    ) as stream:
        for _ in stream:
            pass
        assert isinstance(stream.get_final_completion().choices[0].message.parsed, City)


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "weather"}}])
def test_a_call_that_must_be_made(client, choice):
    ask = {"model": "tiny", "messages": ASKED, "tools": [TOOL], "tool_choice": choice, "parallel_tool_calls": False}
    whole = client.chat.completions.create(**ask, seed=3, reasoning_effort="none").choices[0]
    (call,) = whole.message.tool_calls
    assert whole.finish_reason == "tool_calls" and whole.message.content is None
    assert call.function.name == "weather" and json.loads(call.function.arguments)["city"] in ("Rome", "Oslo")
    chunks = list(client.chat.completions.create(**ask, seed=3, stream=True, reasoning_effort="none"))
    streamed = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or ()]
    assert [one.function.arguments for one in streamed] == [call.function.arguments]
    result = {"role": "tool", "tool_call_id": call.id, "content": "12 degrees"}
    more = client.chat.completions.create(
        model="tiny", messages=[*ASKED, whole.message, result], max_tokens=3, tools=[TOOL]
    )
    assert more.choices[0].finish_reason


def test_log_probabilities(client):
    choice = client.chat.completions.create(
        model="tiny",
        messages=ASKED,
        logprobs=True,
        top_logprobs=3,
        max_tokens=4,
        temperature=0,
        reasoning_effort="none",
    ).choices[0]
    for token in choice.logprobs.content:
        assert len(token.top_logprobs) == 3 and token.logprob == pytest.approx(token.top_logprobs[0].logprob, abs=0.05)


def test_completions(client):
    answer = client.completions.create(model="tiny", prompt="one two", max_tokens=5, logprobs=2, seed=1)
    assert answer.object == "text_completion" and answer.usage.completion_tokens <= 5
    assert len(answer.choices[0].logprobs.tokens) == len(answer.choices[0].logprobs.top_logprobs)
    chunks = list(client.completions.create(model="tiny", prompt="one two", max_tokens=5, seed=1, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == answer.choices[0].text


def test_embeddings(client):
    answer = client.embeddings.create(model="tiny", input=["one", "two"])
    first, second = (one.embedding for one in answer.data)
    assert math.hypot(*first) == pytest.approx(1, abs=1e-3) and first != second
    plain = client.embeddings.create(model="tiny", input="one", encoding_format="float").data[0].embedding
    assert plain == pytest.approx(first, abs=1e-3)


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"not": {}}}}},
         "response_format.json_schema.schema.not"),
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": {"if": {}}}}]},
         "tools[0].function.parameters"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "wether"}}}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"extra_body": {"structured_outputs": {"regex": "("}}}, "structured_outputs"),
        ({"logit_bias": {"x": 1}}, "logit_bias"),
        ({"logit_bias": {"50256": -100}}, "logit_bias"),
        ({"logit_bias": {"-1": 1}}, "logit_bias"),
        ({"presence_penalty": 3}, "presence_penalty"),
        ({"n": 2}, "n"),
    ],
)  # fmt: skip
def test_what_cannot_be_had_is_a_400_that_names_it(client, more, param):
    with pytest.raises(openai.BadRequestError) as error:
        client.chat.completions.create(model="tiny", messages=ASKED, **more)
    assert error.value.param == param


def test_a_server_is_a_model_too(address):
    model = Remote(f"{address}/v1")
    assert model.name == "tiny"
    with pytest.raises(OptionError, match="context holds"):
        collect(model.reply([Message("user", "x " * 4000)]))
    options = Options(structure=Structure.json_schema(City.model_json_schema()), seed=1, alternatives=1, thinking=False)
    answer = collect(model.reply([Message("user", "?")], options))
    assert City.model_validate_json(answer.message.content) and answer.scored and answer.finish.prompt_tokens
    offer = Options(offer=Offer((TOOL,), "required", parallel=False), seed=1, thinking=False)
    (call,) = collect(model.reply([Message("user", "?")], offer)).message.tool_calls
    assert call.name == "weather" and call.arguments["city"] in ("Rome", "Oslo")
    assert collect(model.complete("one", Options(max_new_tokens=3))).finish.new_tokens <= 3
    assert len(model.embed(["a", "b"])[0]) == 2


def test_keys_and_origins(scripted, serving):
    with serving(scripted("fine"), Limits(keys=("good",), origins=("https://page.example",))) as (url, _):
        assert httpx.get(f"{url}/health").status_code == 200
        for said in ("", "Bearer bad", "good", "Bearer goo"):
            assert httpx.get(f"{url}/v1/models", headers={"Authorization": said}).status_code == 401
        with pytest.raises(openai.AuthenticationError, match="valid API key"):
            openai.OpenAI(base_url=f"{url}/v1", api_key="bad", max_retries=0).models.list()
        good = openai.OpenAI(base_url=f"{url}/v1", api_key="good", max_retries=0)
        assert good.chat.completions.create(model="scripted", messages=ASKED).choices[0].message.content == "fine"
        asked = {"Origin": "https://page.example", "Access-Control-Request-Method": "POST"}
        allowed = httpx.options(f"{url}/v1/models", headers={**asked, "Authorization": "Bearer good"})
        assert allowed.headers["access-control-allow-origin"] == "https://page.example"


def test_who_comes_when_it_is_full_is_told_to_come_again(scripted, serving):
    with serving(scripted("on and on", pause=0.01), Limits(inside=2)) as (url, _):
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
        ask = {"model": "scripted", "messages": ASKED, "stream": True}
        with client.chat.completions.create(**ask) as first, client.chat.completions.create(**ask):
            next(first)
            with pytest.raises(openai.RateLimitError, match="come again"):
                client.chat.completions.create(**ask)


def test_what_prometheus_reads(scripted, serving):
    with serving(scripted("fine")) as (url, _):
        connection = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
        used = connection.chat.completions.create(model="scripted", messages=ASKED).usage
        httpx.get(f"{url}/no/such/place")
        page = httpx.get(f"{url}/metrics").text
        assert f"underdog_new_tokens_total {float(used.completion_tokens)}" in page
        assert 'underdog_requests_total{path="/v1/chat/completions",status="200"} 1.0' in page
        assert 'path="elsewhere",status="404"' in page and "underdog_requests_inside 0.0" in page
        assert "underdog_first_token_seconds_count 1.0" in page
