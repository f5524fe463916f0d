"""What machine.py promises, whatever the commands are."""

import functools
import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from underdog.errors import UserError
from underdog.tasks.dialog.commands import (
    Affirm,
    Answer,
    Cancel,
    Clarify,
    Correct,
    Deny,
    HandOver,
    Set,
    Start,
    as_json,
    read,
)  # fmt: skip
from underdog.tasks.dialog.machine import DEEP, State, begin, filled, state_from_json, state_to_json, step
from underdog.tasks.dialog.script import CONFIRM
from underdog.tasks.dialog.values import readings

TEXT = "for 4, no, 5, four people on 12 March 2027, or 03/04/2027; call 020 7946 0958, garden; it was cold, 99"
FLOWS = ["book", "complain", "call", "news", "nothing"]
SLOTS = ["people", "date", "area", "what", "phone", "who", "nothing"]
VALUES = [
    "4",
    "5",
    "four",
    "99",
    "12 March 2027",
    "03/04/2027",
    "garden",
    "020 7946 0958",
    "it was cold",
    "invented",
    "7",
]
LIKELY = [
    ("people", "4"),
    ("people", "5"),
    ("people", "7"),
    ("date", "03/04/2027"),
    ("area", "garden"),
    ("what", "invented"),
]
FILLS = st.one_of(
    st.sampled_from(LIKELY), st.sampled_from(LIKELY), st.tuples(st.sampled_from(SLOTS), st.sampled_from(VALUES))
)
COMMANDS = st.one_of(
    st.sampled_from([Affirm(), Deny(), Cancel()]),
    st.sampled_from(FLOWS).map(Start),
    FILLS.map(lambda fill: Set(*fill)),
    FILLS.map(lambda fill: Correct(*fill)),
    st.sampled_from(["hours", "nothing"]).map(Answer),
    st.lists(st.sampled_from(FLOWS), max_size=3).map(lambda flows: Clarify(tuple(flows))),
)
FORM = [[Start("book"), Set("people", "four")], [Set("date", "12 March 2027")]]  # so that much else can be said
TURNS = st.builds(
    lambda begun, turns: [*begun, *turns],
    st.sampled_from([[], FORM, FORM, [[Start("call"), Set("phone", "020 7946 0958")]]]),
    st.lists(st.lists(COMMANDS, max_size=3), max_size=8),
)


@pytest.fixture(scope="session")
def read_as(script, place):
    """What a slot makes of a text."""
    return functools.cache(lambda flow, slot, said: readings(script.flows[flow].slots[slot], said, place))


def values(state):
    return {(frame.flow, slot): value for frame in state.stack for slot, value in frame.values.items()}


def completes(flow, frame):
    return all(slot.optional or name in frame.values for name, slot in flow.slots.items())


@settings(max_examples=100)
@example(turns=[*FORM, [Deny(), Affirm()]])
@given(turns=TURNS)
def test_what_holds_whatever_is_said(script, place, read_as, turns):
    turn = begin(script)
    for said in turns:
        before, shown = turn.state, turn.say
        turn = step(script, before, said, TEXT, place)
        assert turn == step(script, before, said, TEXT, place)  # a function of state and commands
        assert state_from_json(json.loads(json.dumps(state_to_json(turn.state))), script) == turn.state
        assert len(turn.state.stack) <= DEEP and len(turn.refused) <= len(said)
        taken = [*said]
        for command, _ in turn.refused:
            taken.remove(command)

        # A filled slot changes by a correction of its own, and goes with its flow only.
        still_open = {frame.flow for frame in turn.state.stack} & {frame.flow for frame in before.stack}
        for (flow, slot), value in values(before).items():
            if flow in still_open and not any(isinstance(one, Cancel | Affirm) for one in taken):
                new = values(turn.state)[flow, slot]
                assert new == value or any(isinstance(one, Correct) and one.slot == slot for one in taken)
        if not turn.state.over and not any(isinstance(one, Cancel) for one in taken):
            gone = {frame.flow for frame in before.stack} - {frame.flow for frame in turn.state.stack}
            assert gone <= {frame.flow for frame in turn.done}

        # Every value was said, and reads as itself.
        for (flow, slot), value in [*values(turn.state).items(), *values(State(turn.done)).items()]:
            form = script.flows[flow].slots[slot]
            assert read_as(flow, slot, value) == (value,)
            assert form.kind == "choice" or any(value in read_as(flow, slot, one) for one in VALUES if one in TEXT)

        # A flow is done with all that it asks for, and after the user agreed to just these values.
        for frame in turn.done:
            flow = script.flows[frame.flow]
            assert completes(flow, frame)
            if flow.confirm:
                assert Deny() not in taken
                assert before.stack[-1] == frame and Affirm() in taken
                assert before.expects != CONFIRM or shown[-1] == filled(flow, flow.confirm, frame)

        # Every turn ends with a question, until a person takes over.
        assert before.over or (turn.say and turn.say[-1])
        assert turn.state.misses < script.misses or turn.state.over
        assert not before.over or (turn.state == before and not turn.say)


@settings(max_examples=30)
@given(TURNS)
def test_a_question_in_between_leaves_the_form_where_it_was(script, place, turns):
    turn = begin(script)
    for said in turns:
        turn = step(script, turn.state, said, TEXT, place)
    if not turn.state.over:
        after = step(script, turn.state, [Answer("hours")], "", place)
        assert after.say == ("From noon to eleven.", turn.say[-1])
        assert state_to_json(after.state) == {**state_to_json(turn.state), "misses": 0}


@settings(max_examples=50)
@given(COMMANDS)
def test_commands_go_through_json(command):
    assert read(json.loads(json.dumps(as_json(command)))) == command


def play(script, place, *turns):
    turn = begin(script)
    for text, *said in turns:
        turn = step(script, turn.state, said, text, place)
    return turn


BOOKED = [("a table for four", Start("book"), Set("people", "four")), ("12 March 2027", Set("date", "12 March 2027"))]


def test_a_table_is_booked(script, place):
    turn = play(script, place, *BOOKED)
    assert turn.say == ("A table for 4 on 2027-03-12. Is that right?",) and turn.state.expects == CONFIRM
    turn = play(script, place, *BOOKED, ("yes", Affirm()))
    assert turn.say == ("Booked for 2027-03-12, —.", "What can I do for you?")
    assert turn.done[0].values == {"people": "4", "date": "2027-03-12"}


def test_a_correction_is_told_and_must_be_agreed_to_again(script, place):
    turn = play(script, place, *BOOKED, ("yes, but 5", Correct("people", "5"), Affirm()))
    assert turn.say == ("people: 4 becomes 5.", "A table for 5 on 2027-03-12. Is that right?") and not turn.done
    assert turn.refused == ((Affirm(), "there is nothing to agree to"),)
    turn = play(script, place, *BOOKED, ("no", Deny()), ("the garden", Set("area", "garden")))
    assert turn.state.expects == CONFIRM and turn.state.stack[-1].values["area"] == "garden"


def test_an_unclear_date_is_asked_back(script, place):
    american = place.__class__(("en",), None, place.now, "future")
    turn = play(script, american, ("book", Start("book")), ("03/04/2027", Set("date", "03/04/2027")))
    assert turn.say == ("Do you mean 2027-04-03 / 2027-03-04?",) and turn.state.expects == "date"
    turn = step(script, turn.state, [Set("date", "2027-03-04")], "the second", american)
    assert turn.state.stack[-1].values == {"date": "2027-03-04"} and turn.say == ("For how many people?",)


def test_what_the_user_did_not_say_or_cannot_be_is_not_taken(script, place):
    turn = play(script, place, ("book", Start("book")), ("many", Set("people", "12")))
    assert turn.refused == ((Set("people", "12"), "the user did not say it"),) and not turn.state.stack[-1].values
    turn = play(script, place, ("book", Start("book")), ("for 99", Set("people", "99")))
    assert turn.say == ("I cannot take 99 for people.", "For how many people?")


def test_a_form_inside_a_form_gives_way_to_the_one_outside(script, place):
    turn = play(
        script, place, *BOOKED[:1], ("first, it was cold", Start("complain"), Set("what", "it was cold"))
    )  # fmt: skip
    assert turn.say == ("Thank you.", "For which day?") and turn.state.stack[-1].values == {"people": "4"}


def test_a_person_takes_over(script, place):
    assert play(script, place, ("help", HandOver())).say == ("I put you through to a person.",)
    turn = play(script, place, ("x",), ("y",), ("z",))
    assert turn.state.over and turn.say == ("I put you through to a person.",)
    assert play(script, place, ("x",), ("y",), ("z",), ("again", Start("book"))).say == ()


@pytest.mark.parametrize(
    "said",
    [None, {}, {"stack": [{"flow": "no", "values": {}}], "expects": "flow", "doubt": [], "misses": 0},
     {"stack": [{"flow": "book", "values": {"x": "1"}}], "expects": "flow", "doubt": [], "misses": 0},
     {"stack": [], "expects": "people", "doubt": [], "misses": 0}],
)  # fmt: skip
def test_a_state_that_is_not_this_scripts_is_refused(script, said):
    with pytest.raises(UserError, match="none of this script's"):
        state_from_json(said, script)
