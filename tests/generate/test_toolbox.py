import json
from typing import Literal

import pytest

from underdog.errors import UserError
from underdog.generate.chat import TemplateChat
from underdog.generate.interface import Capabilities, Token
from underdog.generate.session import Served
from underdog.generate.structure import Checker, whole_grammar
from underdog.generate.toolbox import Toolbox, converse
from underdog.generate.tools import Offer
from underdog.tokens.messages import Message, ToolCall


def weather(city: Literal["Rome", "Oslo"], days: int = 1) -> dict:
    """The weather of a city."""
    return {"city": city, "degrees": 10 + days}


def broken(text: str) -> str:
    raise RuntimeError("no connection")


class Turns:
    """An engine that says one text after another."""

    context = 4096
    capabilities = Capabilities()

    def __init__(self, tokenizer, *texts):
        self.tokenizer, self.texts, self.prompts = tokenizer, list(texts), []

    def stream(self, prompt, drawing):
        self.prompts.append(self.tokenizer.decode(prompt))
        for token in self.tokenizer.encode(self.texts.pop(0)):
            yield Token(self.tokenizer.pieces[token])
        yield Token(closes=True)


def asks(name, **arguments):
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


def model(tokenizer, *texts):
    return Served("turns", Turns(tokenizer, *texts), TemplateChat(tokenizer))


def test_the_schema_comes_from_the_signature():
    (tool,) = Toolbox([weather]).tools()
    assert tool["function"]["description"] == "The weather of a city."
    checker = Checker(whole_grammar(Offer((tool,), "weather").rules(), "no"))
    assert checker.take(asks("weather", city="Rome", days=3).encode()) and checker.complete
    assert not Checker(whole_grammar(Offer((tool,), "weather").rules(), "no")).take(asks("weather", city="X").encode())


def test_calls_are_made_until_there_is_an_answer(tokenizer):
    served = model(tokenizer, f"{asks('weather', city='Rome')}\n{asks('weather', city='Oslo', days=2)}", "Warm.")
    call, rome, oslo, answer = converse(served, [Message("user", "Where is it warmer?")], Toolbox([weather]))
    assert [json.loads(turn.content)["degrees"] for turn in (rome, oslo)] == [11, 12]
    assert [turn.tool_call_id for turn in (rome, oslo)] == [made.id for made in call.tool_calls]
    assert answer.content == "Warm." and '"degrees": 12' in served.engine.prompts[1]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (ToolCall("weather", {"city": "Paris"}), "error: city: Input should be 'Rome' or 'Oslo'"),
        (ToolCall("wether", {}), 'error: there is no function wether. Did you mean "weather"?'),
        (ToolCall("broken", {"text": "x"}), "error: RuntimeError: no connection"),
    ],
)
def test_a_mistake_is_told_to_the_model(call, words):
    assert Toolbox([weather, broken]).call(call).content == words


def test_it_does_not_go_on_for_ever(tokenizer):
    served = model(tokenizer, *[asks("weather", city="Rome")] * 3)
    with pytest.raises(UserError, match="no answer after 3 rounds"):
        converse(served, [Message("user", "?")], Toolbox([weather]), most=3)


def test_functions_that_cannot_be_offered_are_named():
    with pytest.raises(UserError, match="<lambda>: x has no type"):
        Toolbox([lambda x: x])
    with pytest.raises(UserError, match="cannot be given by name"):
        Toolbox([print])
    with pytest.raises(UserError, match="same name"):
        Toolbox([weather, weather])
