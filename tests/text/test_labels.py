import json

import pytest

from underdog.errors import UserError
from underdog.text.labels import label, label_prompt, parse_scores, read_labels

SIGNALS = ("fluency", "literacy")
ANSWER = '{"fluency": 7, "literacy": 2}'


class Teacher:
    """Says the answers one after another, then the last one over again; an error is raised."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    def __call__(self, prompt, attempt):
        self.asked.append((prompt, attempt))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_labels_are_kept_and_not_asked_twice(tmp_path):
    path, teacher = tmp_path / "labels.jsonl", Teacher(ANSWER)
    first = label(["one", "two", "two"], teacher, path, signals=SIGNALS)
    again = label(["two", "three"], teacher, path, signals=SIGNALS)
    assert (first.labelled, again.labelled, again.known) == (2, 1, 2)
    assert [found.text for found in read_labels(path)] == ["one", "two", "three"]
    assert read_labels(path)[0].scores == {"fluency": 7, "literacy": 2}
    assert len(teacher.asked) == 3


def test_a_file_that_was_edited_by_hand_is_gone_on_with(tmp_path):
    """Without an end to its last line, and with what JSON allows inside one."""
    path = tmp_path / "mine" / "labels.jsonl"
    path.parent.mkdir()
    path.write_text('{"text": "one\u2028two", "scores": {"fluency": 7}}', encoding="utf-8")
    label(["three"], Teacher(ANSWER), path, signals=SIGNALS)
    assert [found.text for found in read_labels(path)] == ["one\u2028two", "three"]


def test_files_that_cannot_be_read_or_written(tmp_path):
    (tmp_path / "latin.jsonl").write_bytes(b'{"text": "\xe9"}')
    with pytest.raises(UserError, match="is not UTF-8"):
        read_labels(tmp_path / "latin.jsonl")
    with pytest.raises(UserError, match="cannot be written"):
        label(["one"], Teacher(ANSWER), tmp_path / "latin.jsonl" / "labels.jsonl", signals=SIGNALS)


def test_a_bad_answer_is_asked_again_and_then_counted(tmp_path):
    teacher = Teacher(
        "I would say seven.", "```json\n" + ANSWER + "\n```", "no", '{"fluency": 11, "literacy": 1}', "{}"
    )
    found = label(["one", "two"], teacher, tmp_path / "labels.jsonl", signals=SIGNALS)
    assert (found.labelled, found.failed) == (1, 1)
    assert [attempt for _, attempt in teacher.asked] == [0, 1, 0, 1, 2]


def test_a_server_in_trouble_is_tried_again_and_what_was_labelled_stays(tmp_path):
    path, down = tmp_path / "labels.jsonl", UserError("The server is away.")
    with pytest.raises(UserError, match="away"):
        label(["one", "two"], Teacher(down, ANSWER, down), path, signals=SIGNALS)
    assert [found.text for found in read_labels(path)] == ["one"]


def test_the_budget_ends_the_asking(tmp_path):
    cost = len(label_prompt("one", SIGNALS))
    found = label(["one", "two"], Teacher(ANSWER), tmp_path / "labels.jsonl", signals=SIGNALS, budget=cost + 10)
    assert (found.labelled, found.characters) == (1, cost)


def test_of_a_long_text_the_model_sees_three_pieces():
    prompt = label_prompt("a" * 5000 + "b" * 5000 + "c" * 5000, SIGNALS)
    assert all(letter * 2000 in prompt for letter in "abc")
    assert len(prompt) < 7500


@pytest.mark.parametrize("answer", ["", "{", "[7, 2]", '{"fluency": 7}', '{"fluency": true, "literacy": 1}', "7"])
def test_what_is_no_scores_is_none(answer):
    assert parse_scores(answer, SIGNALS) is None


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "line 2: not a label"),
        ('{"text": "a"}', "line 2: not a label"),
        ('{"text": "a", "scores": {"flueny": 1}}', 'line 2: unknown signal "flueny"'),
        ('{"text": "a", "scores": {"fluency": 10}}', "fluency is 10"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, says):
    path = tmp_path / "labels.jsonl"
    path.write_text(json.dumps({"text": "a", "scores": {"fluency": 1}}) + "\n" + line + "\n")
    with pytest.raises(UserError, match=says):
        read_labels(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"labels\.jsonl"):
        read_labels(tmp_path / "labels.jsonl")
