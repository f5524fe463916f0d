import json

import pytest

from underdog.generate.structure import Structure, accepts
from underdog.tasks.dialog import commands
from underdog.tasks.dialog.commands import Affirm, HandOver, Set, Start, as_json
from underdog.tasks.dialog.machine import Frame, State
from underdog.tasks.dialog.script import CONFIRM
from underdog.tasks.dialog.understand import Dialog, options

BEGUN = State((Frame("book", {"people": "4"}),), "date")


def test_only_what_makes_sense_is_offered(script):
    assert {*options(script, State())} == {"start", "set", "answer", "clarify", "hand_over"}
    offered = options(script, BEGUN)
    assert [one["slot"] for one in offered["set"]] == [{"enum": ["date"]}, {"enum": ["area"]}]
    assert [one["slot"] for one in offered["correct"]] == [{"enum": ["people"]}]
    assert "affirm" not in offered and "affirm" in options(script, State(BEGUN.stack, CONFIRM))
    doubtful = options(script, State(BEGUN.stack, "date", ("2027-04-03", "2027-03-04")))
    assert doubtful["set"][0]["value"]["anyOf"][0] == {"enum": ["2027-04-03", "2027-03-04"]}


@pytest.mark.parametrize(
    ("said", "fits"),
    [
        ([Set("date", "tomorrow"), Set("area", "garden")], True),
        ([Set("area", "roof")], False),
        ([Set("people", "5")], False),  # it is filled: only a correction changes it
        ([Affirm()], False),
        ([Start("book")], False),
        ([], False),
        ([HandOver()] * 4, False),
    ],
)
def test_the_grammar_lets_no_other_command_through(script, said, fits):
    structure = Structure.json_schema(commands.schema(options(script, BEGUN)))
    assert accepts(structure, json.dumps({"commands": [as_json(one) for one in said]})) == fits


def test_a_dialogue_with_what_a_model_says(script, place, says):
    said = [Start("book"), Set("people", "four"), Set("date", "tomorrow")]
    model = says(lambda prompt: json.dumps({"commands": [as_json(one) for one in said]}))
    reply = Dialog(script, model, place).reply(State(), "a table for four tomorrow")
    assert reply.said == tuple(said)
    assert reply.turn.say == ("A table for 4 on 2026-11-23. Is that right?",)


def test_a_real_model_emits_commands(script, place, real):
    dialog = Dialog(script, real, place)
    state = BEGUN
    for _ in range(2):
        reply = dialog.reply(state, "tomorrow")
        assert 1 <= len(reply.said) <= 3 and reply.turn.say
        state = reply.turn.state
