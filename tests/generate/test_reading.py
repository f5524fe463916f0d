from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from underdog.generate.reading import Reading, Scanner
from underdog.tokens.chat import split_reasoning

shared_fixture = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
PLAIN = st.text(alphabet="ab <>/\n\t.2é你🙂", max_size=30)


def read(tokenizer, ids, stop=()):
    """(reasoning, content, the reading) of a whole answer."""
    reading = Reading(stop)
    pieces = [reading.add(tokenizer.pieces[token]) for token in ids] + [reading.end()]
    return "".join(r for r, _ in pieces), "".join(c for _, c in pieces), reading


def one_token_a_byte(tokenizer, text):
    """The clumsiest spelling of a text: every character in pieces, every mark in plain letters."""
    letters = tokenizer.core.pre_tokenizer
    return [tokenizer.core.token_to_id(letter) for piece, _ in letters.pre_tokenize_str(text) for letter in piece]


@shared_fixture
@given(reasoning=st.none() | PLAIN, content=PLAIN)
@pytest.mark.parametrize("spell", [lambda t, text: t.encode(text), one_token_a_byte], ids=["merged", "bytes"])
def test_a_stream_reads_as_the_whole_text_does(tokenizer, spell, reasoning, content):
    text = content if reasoning is None else f"<think>{reasoning}</think>{content}"
    thought, said = split_reasoning(text)
    assert read(tokenizer, spell(tokenizer, text))[:2] == (thought or "", said)


@shared_fixture
@given(st.lists(st.integers(0, 499), max_size=40))
def test_any_ids_give_the_text_that_the_tokenizer_gives_and_no_marks(tokenizer, ids):
    reasoning, content, _ = read(tokenizer, ids)
    assert "<think>" not in content and "</think>" not in content
    assert "<think>" not in reasoning and "</think>" not in reasoning
    plain = [token for token in ids if token not in (tokenizer.think, tokenizer.end_think)]
    assert read(tokenizer, plain)[1] == tokenizer.decode(plain).strip()


def test_a_character_split_over_tokens_comes_whole(tokenizer):
    reading = Reading()
    pieces = [reading.add(tokenizer.pieces[token])[1] for token in one_token_a_byte(tokenizer, "é🙂")]
    assert pieces == ["", "é", "", "", "", "🙂"]


def test_a_broken_character_does_not_hold_up_what_follows(tokenizer):
    half = one_token_a_byte(tokenizer, "🙂")[:2]
    assert read(tokenizer, half + tokenizer.encode("ok"))[1] == "�ok"
    assert read(tokenizer, half)[1] == "�"


def test_text_comes_as_soon_as_it_is_certain(tokenizer):
    reading = Reading()
    pieces = [reading.add(tokenizer.pieces[token]) for token in one_token_a_byte(tokenizer, "<think>a <b</think> c ")]
    assert [p for p in pieces if any(p)] == [("a", ""), (" ", ""), ("<b", ""), ("", "c")]


def test_what_only_looks_like_a_mark_is_text(tokenizer):
    assert read(tokenizer, tokenizer.encode("1 <thin 2 </thinker <"))[1] == "1 <thin 2 </thinker <"


def test_reasoning_opened_twice_is_set_apart(tokenizer):
    text = "<think>a</think>b<think>c</think>d</think>e"
    assert read(tokenizer, tokenizer.encode(text))[:2] == ("a\n\nc", "b\n\nd\n\ne")


@pytest.mark.parametrize(
    ("text", "stop", "content"),
    [
        ("one END two", ["END"], "one"),
        ("one EN two", ["END"], "one EN two"),
        ("one EN", ["END"], "one EN"),
        ("EENDx", ["END"], "E"),
        ("a\n\nb", ["\n\n"], "a"),
        ("\n\na", ["\n"], "a"),  # white space before the answer is not the answer
        ("<think>END</think>fine", ["END"], "fine"),
        ("xyz", ["yzz", "y"], "x"),
        ("a</think", ["</"], "a"),
    ],
)
def test_stop_strings(tokenizer, text, stop, content):
    for spell in (lambda t: tokenizer.encode(t), lambda t: one_token_a_byte(tokenizer, t)):
        _, said, reading = read(tokenizer, spell(text), stop)
        assert said == content
        assert reading.stopped == (text not in ("one EN two", "one EN", "\n\na", "<think>END</think>fine"))


@given(st.text("abc", max_size=20), st.lists(st.text("abc", min_size=1, max_size=4), max_size=3), st.data())
def test_a_scanner_does_not_see_how_the_text_is_cut(text, wanted, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    bounds = [0, *cuts, len(text)]
    scanner = Scanner(wanted)
    parts = [part for a, b in pairwise(bounds) for part in scanner.feed(text[a:b])]
    parts += scanner.feed("", last=True)
    assert _joined(parts) == _joined(Scanner(wanted).feed(text, last=True))
    assert "".join(part + (mark or "") for part, mark in parts) == text


def _joined(parts):
    """Parts with those that no mark ended merged into the next."""
    joined, open_part = [], ""
    for part, mark in parts:
        open_part += part
        if mark:
            joined.append((open_part, mark))
            open_part = ""
    return [*joined, open_part]
