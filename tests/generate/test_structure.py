import json

import pytest

from underdog.generate.structure import Checker, Structure, StructureError, accepts

CITY = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]}


def test_a_schema_tells_instances_apart():
    structure = Structure.json_schema(CITY)
    assert accepts(structure, '{"city": "Rome"}') and accepts(structure, '{"city": "Rome", "days": 3}')
    assert not accepts(structure, '{"days": 3}') and not accepts(structure, '{"city": 3}')


def test_any_object():
    structure = Structure.json_object()
    assert accepts(structure, '{"a": [1, {"b": null}]}') and not accepts(structure, "[1]")


@pytest.mark.parametrize(("pattern", "yes", "no"), [(r"\d{3}-\d{4}", "555-1234", "5551234"), (r"a/b|c", "a/b", "ab")])
def test_a_regular_expression_matches_the_whole(pattern, yes, no):
    structure = Structure.regex(pattern)
    assert accepts(structure, yes) and not accepts(structure, no) and not accepts(structure, yes + "!")


def test_a_choice_is_one_of_its_options_in_any_script():
    structure = Structure.choice(["да", 'say "no"', "a\\b"])
    assert all(accepts(structure, one) for one in ("да", 'say "no"', "a\\b")) and not accepts(structure, "нет")


def test_a_grammar_of_the_users():
    structure = Structure.grammar('start: item ("," item)*\nitem: /[a-z]+/')
    assert accepts(structure, "a,bc") and not accepts(structure, "a,")


@pytest.mark.parametrize(
    ("lark", "yes", "no"),
    [
        ('start: "start: " /[0-9]+/', "start: 5", "answer: 5"),
        ('start: answer\nanswer: "{" answer "}" | "x"', "{{x}}", "{x"),
        ('start: "(" start ")" | /[}]/  // }', "((}))", "((})"),
    ],
)
def test_a_users_grammar_is_left_as_it_is(lark, yes, no):
    structure = Structure.grammar(lark)
    assert accepts(structure, yes) and not accepts(structure, no)
    checker = Checker(structure.whole("may"))
    assert checker.take(f"<think>well</think>\n\n{yes}".encode()) and checker.complete


def test_a_thought_may_stand_before():
    structure = Structure.choice(["yes", "no"])
    may, opened = structure.whole("may"), structure.whole("open")
    for whole, text, fine in [
        (may, "yes", True),
        (may, "<think>well </thin\n</think>\n\nno", True),
        (may, "<think>yes", False),
        (may, "well</think>no", False),
        (opened, "well\n</think>\n\nno", True),
        (opened, "no", False),
    ]:
        checker = Checker(whole)
        assert (checker.take(text.encode()) and checker.complete) == fine, text


@pytest.mark.parametrize(
    ("schema", "field"),
    [
        ({"type": "object", "properties": {"a": {"type": "string", "not": {"const": "x"}}}}, "$.properties.a.not"),
        ({"type": "array", "items": {"oneOf": [{"minimum": 1}, {"maximum": 5}]}}, "$.items.oneOf"),
        ({"$defs": {"t": {"uniqueItems": True}}, "$ref": "#/$defs/t"}, "$.$defs.t.uniqueItems"),
        ({"type": "string", "pattern": "(?!x)y"}, "$.pattern"),
        ({"items": {"type": "array", "maxItems": 1e9}}, "$.items.maxItems"),
        ({"type": "object", "properties": {"not": {"type": "null", "if": {}}}}, "$.properties.not.if"),
        (7, "$"),
    ],
)
def test_what_cannot_be_served_is_named(schema, field):
    with pytest.raises(StructureError) as error:
        Structure.json_schema(schema)
    assert error.value.field == field and str(error.value).startswith(field if schema != 7 else "A JSON Schema")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Structure.regex("("), "regex parse error"),
        (lambda: Structure.regex(r"(a)\1"), "regex"),
        (lambda: Structure.grammar("item: /a/"), "no start rule found"),
        (lambda: Structure.grammar("start: missing"), "missing"),
        (lambda: Structure.choice([]), "at least one option"),
        (lambda: Structure.grammar('start: %json {"type": "array", "minItems": 1000000000}'), "at most 10,000"),
        (lambda: Structure.json_schema({"const": "x" * 2**21}), "at most 1,048,576 are served"),
    ],
)
def test_other_structures_that_cannot_be_served(make, words):
    with pytest.raises(StructureError, match=words):
        make()


def test_the_checker_notices_the_first_wrong_byte():
    checker = Checker(Structure.json_schema(CITY).whole())
    assert checker.take(b'{"city": ') and not checker.complete
    twin = checker.copy()
    assert not checker.take(b"3") and twin.take(json.dumps("Rome").encode() + b"}") and twin.complete
