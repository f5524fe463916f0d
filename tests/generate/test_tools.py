import json

import pytest

from underdog.errors import UserError
from underdog.generate.chat import TemplateChat
from underdog.generate.interface import Ending
from underdog.generate.options import OptionError, Options
from underdog.generate.session import Served, collect
from underdog.generate.structure import Checker, Structure, StructureError, whole_grammar
from underdog.generate.tools import Offer, read_call
from underdog.generate.torch_engine import TorchEngine
from underdog.tokens.messages import Message


@pytest.fixture
def roomy(tiny, tokenizer):
    """A real model, if a senseless one, whose context holds descriptions of tools."""
    return Served(
        "roomy", TorchEngine(tiny(vocabulary=tokenizer.vocabulary, context=1024), tokenizer), TemplateChat(tokenizer)
    )


ASKED = [Message("user", "What is the weather in Rome?")]


def tool(name, **properties):
    parameters = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {"type": "function", "function": {"name": name, "description": "", "parameters": parameters}}


WEATHER, TIME = tool("weather", city={"enum": ["Rome", "Oslo"]}), tool("time", zone={"type": "integer"})


def call(name, **arguments):
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


@pytest.mark.parametrize(
    ("offer", "text", "fits"),
    [
        (Offer((WEATHER, TIME)), "Hello!", True),
        (Offer((WEATHER, TIME)), f"I will look. {call('weather', city='Rome')}", True),
        (Offer((WEATHER, TIME)), f"<think>hm</think>{call('weather', city='Rome')}\n{call('time', zone=1)}", True),
        (Offer((WEATHER, TIME)), call("weather", city="Paris"), False),
        (Offer((WEATHER, TIME)), call("wether", city="Rome"), False),
        (Offer((WEATHER, TIME), parallel=False), f"{call('time', zone=1)}\n{call('time', zone='x')}", False),
        (Offer((WEATHER, TIME), "required"), "Hello!", False),
        (Offer((WEATHER, TIME), "required"), f"{call('weather', city='Rome')}\n{call('time', zone=1)}", True),
        (Offer((WEATHER, TIME), "required", parallel=False), call("time", zone=1), True),
        (Offer((WEATHER, TIME), "required", parallel=False), f"{call('time', zone=1)}\n{call('time', zone=1)}", False),
        (Offer((WEATHER, TIME), "time"), call("time", zone=3), True),
        (Offer((WEATHER, TIME), "time"), call("weather", city="Rome"), False),
    ],
)
def test_the_grammar_of_an_offer(offer, text, fits):
    checker = Checker(whole_grammar(offer.rules(), "no"))
    assert (checker.take(text.encode()) and checker.complete) == fits


def test_a_broken_offer_is_named():
    with pytest.raises(UserError, match='Two tools are called "time"'):
        Offer((TIME, TIME))
    with pytest.raises(UserError, match='no tool "tme"') as error:
        Offer((TIME,), "tme")
    assert error.value.hint == 'Did you mean "time"?'
    with pytest.raises(UserError, match="there are no tools"):
        Offer((), "required")
    with pytest.raises(StructureError) as error:
        Offer((WEATHER, tool("bad", x={"not": {}})))
    assert error.value.field == "tools[1].function.parameters"


@pytest.mark.parametrize(
    "text", ["", "x", "[]", '{"name": "a"}', '{"name": 1, "arguments": {}}', '{"name": "a", "arguments": []}']
)
def test_what_is_no_call(text):
    assert read_call(text) is None


def test_calls_are_set_apart_from_what_is_said(scripted):
    served = scripted(f"<think>hm</think>I look. {call('weather', city='Rome')}\n{call('time', zone=1)}")
    deltas = list(served.reply(ASKED, Options(offer=Offer((WEATHER, TIME)))))
    assert sum(bool(delta.calls) for delta in deltas) == 2  # each as soon as it is whole
    answer = collect(deltas)
    assert (answer.message.reasoning, answer.message.content) == ("hm", "I look.")
    assert [(one.name, one.arguments) for one in answer.message.tool_calls] == [
        ("weather", {"city": "Rome"}),
        ("time", {"zone": 1}),
    ]
    assert len({one.id for one in answer.message.tool_calls}) == 2
    assert (answer.finish.ending, answer.finish.notice) == (Ending.CALLED, None)


def test_where_one_call_is_all_the_answer_ends_behind_it(scripted):
    one, other = call("weather", city="Rome"), call("time", zone=1)
    served = scripted(f"I look. {one} and {other} and more", ends=False)
    answer = collect(served.reply(ASKED, Options(offer=Offer((WEATHER, TIME), parallel=False))))
    assert [made.name for made in answer.message.tool_calls] == ["weather"] and answer.message.content == "I look."
    assert (answer.finish.ending, answer.finish.notice) == (Ending.CALLED, None)


def test_without_tools_a_call_is_text(scripted):
    said = call("weather", city="Rome")
    answer = collect(scripted(said).reply(ASKED, Options(offer=Offer((WEATHER,), "none"))))
    assert (answer.message.content, answer.message.tool_calls) == (said, ())


@pytest.mark.parametrize("choice", ["required", "time"])
def test_a_real_model_calls_when_it_must(roomy, choice):
    answer = collect(
        roomy.reply(ASKED, Options(offer=Offer((WEATHER, TIME), choice, parallel=False), thinking=False, seed=1))
    )
    if answer.finish.ending is Ending.TRUNCATED:  # a number may go on and on in a senseless model
        assert answer.finish.notice
        return
    (made,) = answer.message.tool_calls
    assert made.name in (("weather", "time") if choice == "required" else ("time",))


def test_a_structure_and_tools_exclude_each_other():
    with pytest.raises(OptionError, match="not both"):
        Options(structure=Structure.json_object(), offer=Offer((TIME,)))
