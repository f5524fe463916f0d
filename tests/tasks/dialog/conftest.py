from datetime import datetime

import pytest

pytest.importorskip("dateparser")

from underdog.tasks.dialog.script import read_script

BLUE_DOOR = {
    "greeting": "Hello, this is the Blue Door.",
    "region": "GB",
    "languages": ["en"],
    "answers": {"hours": {"about": "asks when we are open", "say": "From noon to eleven."}},
    "flows": {
        "book": {
            "about": "book a table",
            "slots": {
                "people": {"kind": "integer", "ask": "For how many people?", "least": 1, "most": 20},
                "date": {"kind": "date", "ask": "For which day?"},
                "area": {"kind": "choice", "ask": "Where?", "choices": {"inside": "", "garden": ""}, "optional": True},
            },
            "confirm": "A table for {people} on {date}. Is that right?",
            "done": "Booked for {date}, {area}.",
        },
        "complain": {
            "about": "complain about a visit",
            "slots": {"what": {"kind": "text", "ask": "What was wrong?"}},
            "done": "Thank you.",
        },
        "call": {
            "about": "be called back",
            "slots": {"phone": {"kind": "phone", "ask": "Under which number?"}},
            "confirm": "Shall we call {phone}?",
            "done": "We will call.",
        },
        "news": {
            "about": "get our letter",
            "slots": {"who": {"kind": "text", "ask": "Who are you?"}},
            "done": "You are on the list.",
        },
    },
}


@pytest.fixture(scope="session")
def script():
    return read_script(BLUE_DOOR)


@pytest.fixture(scope="session")
def place(script):
    return script.place(datetime(2026, 11, 22, 10, 0))
