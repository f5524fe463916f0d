import json

import pytest

from underdog.errors import UserError
from underdog.tokens.conversation_files import read_conversations
from underdog.tokens.formats import conversation
from underdog.tokens.messages import Message, ToolCall

ASKED = [Message("user", "2 + 2?"), Message("assistant", "4", "two and two")]


ASK = {"role": "user", "content": "2 + 2?"}
THOUGHT = "<think>two and two</think>4"


def answered(**said):
    return {"role": "assistant", "content": "4", **said}


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [ASK, answered(reasoning_content="two and two")]},
        {"messages": [ASK, answered(content="<think>\ntwo and two\n</think>\n\n4")]},
        {"messages": [{**ASK, "content": [{"type": "text", "text": "2 + 2?"}]}, answered(content=THOUGHT)]},
        {"conversations": [{"from": "human", "value": "2 + 2?"}, {"from": "gpt", "value": THOUGHT}]},
        {"conversations": [ASK, answered(thinking="two and two")]},
        {"instruction": "2 + 2?", "input": "", "output": THOUGHT},
        {"prompt": "2 + 2?", "completion": THOUGHT},
        {"prompt": [ASK], "completion": [answered(reasoning="two and two")]},
    ],
)
def test_the_same_conversation_in_every_form(row):
    assert list(conversation(row).messages) == ASKED


def test_tools_and_weights():
    call = {"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    row = {
        "tools": [{"type": "function", "function": {"name": "add"}}],
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "1 + 1"},
            {"role": "assistant", "content": None, "tool_calls": [call], "weight": 0},
            {"role": "tool", "content": "2", "tool_call_id": "1"},
            {"role": "assistant", "content": "2"},
        ],
    }
    found = conversation(row, domain="maths")
    assert found.messages[2] == Message("assistant", "", None, (ToolCall("add", {"a": 1}, "1"),), trained=False)
    assert found.messages[3] == Message("tool", "2", tool_call_id="1")
    assert (found.domain, found.tools[0]["function"]["name"]) == ("maths", "add")
    shared = {
        "conversations": [
            {"from": "human", "value": "1 + 1"},
            {"from": "function_call", "value": '{"name": "add", "arguments": {"a": 1}}'},
            {"from": "observation", "value": "2"},
            {"from": "gpt", "value": "2"},
        ],
        "tools": json.dumps(row["tools"]),
    }
    assert conversation(shared).messages[1] == Message("assistant", "", None, (ToolCall("add", {"a": 1}),))
    assert conversation(shared).tools == found.tools


def test_alpaca_with_input_system_and_history():
    row = {"system": "s", "history": [["a", "b"]], "instruction": "c", "input": "d", "output": "e"}
    roles = [(one.role, one.content) for one in conversation(row).messages]
    assert roles == [("system", "s"), ("user", "a"), ("assistant", "b"), ("user", "c\n\nd"), ("assistant", "e")]


def test_the_call_of_openais_older_form():
    said = {"role": "assistant", "content": None, "function_call": {"name": "add", "arguments": '{"a": 1}'}}
    found = conversation({"messages": [ASK, said, {"role": "function", "name": "add", "content": ""}]})
    assert found.messages[1] == Message("assistant", "", tool_calls=(ToolCall("add", {"a": 1}),))


def test_weights_of_sharegpt():
    said = [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b", "weight": 0}]
    call = {"from": "function_call", "value": '{"name": "add"}', "weight": 0}
    messages = conversation({"conversations": [*said, call, {"from": "gpt", "value": "c", "weight": 1}]}).messages
    assert [one.trained for one in messages] == [True, False, False, True]


def test_only_the_completion_is_taught():
    messages = conversation({"prompt": [ASK, answered(), ASK], "completion": [answered(), ASK, answered()]}).messages
    assert [one.trained for one in messages if one.role == "assistant"] == [False, True, True]


USER = {"role": "user", "content": "hi"}


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (3, "not an object"),
        ({"mesages": []}, 'none of messages.*is "messages" meant'),
        ({"messages": "hi"}, '"messages" is not a list'),
        ({"messages": [{"role": "usr", "content": "hi"}]}, 'unknown role "usr"; is "user" meant'),
        ({"messages": [USER]}, "no turn is the assistant's"),
        ({"messages": [USER, {"role": "assistant", "content": "<think>well"}]}, "turn 2 opens or closes <think>"),
        ({"messages": [USER, {"role": "tool", "content": "2"}]}, "turn 2 is a tool's result, and no call"),
        ({"messages": [USER, {"role": "system", "content": "2"}]}, "turn 2 is the system's"),
        ({"messages": [USER, {"role": "assistant", "content": 3}]}, "turn 2: content is not a text"),
        ({"messages": [USER, {"role": "assistant", "tool_calls": [{}]}]}, "turn 2: a tool call has no name"),
        ({"messages": [USER, {"role": "assistant", "value": "4"}]}, 'turn 2 has no "content"'),
        ({"messages": [USER, {"role": "assistant", "content": None, "refusal": "no"}]}, 'turn 2 has no "content"'),
        ({"messages": [USER, {"role": "assistant", "content": 0}]}, "turn 2: content is not a text"),
        ({"messages": [USER, {"role": "assistant", "content": " "}]}, "turn 2 is the assistant's and says nothing"),
        ({"messages": [USER, {"role": "\ud83d", "content": "hi"}]}, "half of a surrogate pair"),
        ({"instruction": "a", "output": ""}, "turn 2 is the assistant's and says nothing"),
        ({"conversations": [{"from": "human"}]}, '"value" is missing'),
        ({"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": ""}]}, "says nothing"),
        ({"instruction": "a"}, '"output" is missing'),
        ({"prompt": "a"}, '"completion" is missing'),
        ({"prompt": "a", "completion": "b", "tools": "{"}, '"tools"'),
    ],
)
def test_what_is_wrong_with_a_row(row, why):
    with pytest.raises(ValueError, match=why):
        conversation(row)


ROWS = [{"prompt": "a", "completion": "b", "domain": "x"}, {"prompt": "a"}, {"prompt": "c", "completion": "d"}]


def test_bad_rows_are_named_and_set_aside(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(map(json.dumps, ROWS)) + "\n{\n")
    good, aside = read_conversations(path)
    assert [(one.domain, one.where) for one in good] == [("x", f"{path} line 1"), ("mine", f"{path} line 3")]
    assert [one.where for one in aside] == [f"{path} line 2", f"{path} line 4"]
    assert aside[0].reason == '"completion" is missing'


def test_lists_and_parquet(tmp_path):
    import pyarrow
    import pyarrow.parquet

    (tmp_path / "mine.json").write_text(json.dumps(ROWS))
    messages = [[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], None]
    pyarrow.parquet.write_table(pyarrow.table({"messages": messages}), tmp_path / "mine.parquet")
    for name, row in (("mine.json", "row 2"), ("mine.parquet", "row 2")):
        good, aside = read_conversations(tmp_path / name)
        assert good[0].messages == (Message("user", "a"), Message("assistant", "b"))
        assert [one.where for one in aside] == [f"{tmp_path / name} {row}"]


def test_parquets_padding_is_not_in_calls_and_tools(tmp_path):
    import pyarrow
    import pyarrow.parquet

    def row(name, key):
        call = {"function": {"name": name, "arguments": {key: 1}}}
        schema = {"name": name, "parameters": {"properties": {key: {"type": "string"}}}}
        return {"messages": [ASK, {"role": "assistant", "tool_calls": [call]}], "tools": [schema]}

    rows = [row("add", "a"), row("say", "b")]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "mine.parquet")
    good, _ = read_conversations(tmp_path / "mine.parquet")
    assert [(one.messages, one.tools) for one in good] == [
        (found.messages, found.tools) for found in map(conversation, rows)
    ]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.jsonl", b"", "holds no conversations"),
        ("a.jsonl", b'{"prompt": 1}', "holds no conversations.*line 1"),
        ("a.jsonl", b"\xff", "not UTF-8"),
        ("a.json", b"[", "not valid JSON"),
        ("a.parquet", b"x", "not a Parquet file"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path, name, content, why):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=why):
        read_conversations(tmp_path / name)
    with pytest.raises(UserError, match="Check the name"):
        try:
            read_conversations(tmp_path / f"no-{name}")
        except UserError as problem:
            raise UserError(problem.hint or "") from None
