import pytest

from underdog.errors import UserError
from underdog.tasks.dialog.script import load_script, read_script

GOOD = """\
flows:
  book:
    about: book a table
    slots:
      people: {kind: integer, ask: "How many?", least: 1}
    confirm: For {people}?
    done: Booked.
"""


@pytest.fixture
def written(tmp_path):
    def write(text):
        (tmp_path / "s.yaml").write_text(text)
        return tmp_path / "s.yaml"

    return write


def test_a_script_is_read(written):
    script = load_script(written(GOOD))
    assert script.flows["book"].slots["people"].least == 1 and script.misses == 3


@pytest.mark.parametrize(
    ("old", "new", "words", "hint"),
    [
        ("about: book a table", "abut: book a table", "line 3: flows.book.abut", '"about"'),
        ("kind: integer", "kind: number", "line 5: flows.book.slots.people.kind", None),
        ("For {people}?", "For {peple}?", "line 2: flows.book: .*{peple} is no slot. Did you mean", None),
        ("For {people}?", "For {people", "line 2: flows.book: ", None),
        ("For {people}?", "For {people:>999999999}?", "is no slot", None),
        ("done: Booked.", "done: [", "line 8", None),
        ("book:", "confirm:", '"confirm" is no name', None),
        ("least: 1", "least: 1, choices: {a: b}", "choices belong to the kind choice", None),
        ("least: 1", "optional: true", "all slots are optional", None),
        ("flows:", "region: XX\nflows:", "no region", None),
        ("flows:", "doubt: what {x}\nflows:", "doubt: its braces", None),
        ("flows:", "doubt: what {value}\nflows:", "doubt: its braces name none of {readings}", None),
        ("flows:", "refused: no {value.foo}\nflows:", "refused: its braces name none of {value}, {slot}", None),
        ("flows:", "refused: no {value:>999999999}\nflows:", "refused: its braces", None),
        ("flows:", "refused: no {value\nflows:", "refused: its braces", None),
        ("For {people}?", "For {people!x}?", "{people!x} is no slot", None),
        ("For {people}?", "For {}?", "{} is no slot", None),
        ("flows:", "region: AQ\nflows:", "no region", None),
    ],
)
def test_a_mistake_is_named_with_its_line(written, old, new, words, hint):
    assert old in GOOD
    with pytest.raises(UserError, match=words) as caught:
        load_script(written(GOOD.replace(old, new)))
    assert hint is None or hint in caught.value.hint


def test_what_is_no_script(written, tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        load_script(tmp_path / "no.yaml")
    with pytest.raises(UserError, match=r"s\.yaml holds no script"):
        load_script(written("- a\n"))
    with pytest.raises(UserError, match=r"script\.flows: Field required"):
        read_script({})
