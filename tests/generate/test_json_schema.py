"""The rewritings keep the set of valid instances: an independent validator judges both schemas alike."""

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from underdog.generate.json_schema import equal_schema, places

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([1.0, 0.5]) | st.sampled_from(["a", "b", "x1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
TYPES = st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])
LEAVES = st.one_of(
    st.just({}),
    st.booleans(),
    st.builds(lambda t: {"type": t}, TYPES),
    st.builds(lambda t: {"type": t}, st.lists(TYPES, min_size=1, max_size=2, unique=True)),
    st.builds(lambda v: {"const": v}, VALUES),
    st.builds(lambda v: {"enum": v}, st.lists(VALUES, min_size=1, max_size=3)),
    st.just({"type": "string", "format": "of-our-own"}),
    st.just({"$ref": "#/$defs/d", "type": "string"}),
)


def _grown(inner):
    names = st.lists(st.sampled_from("abc"), max_size=2, unique=True)
    objects = st.builds(
        lambda p, r, a: {"type": "object", "properties": p, "required": r, "additionalProperties": a},
        st.dictionaries(st.sampled_from("abc"), inner, max_size=2), names, st.booleans(),
    )  # fmt: skip
    return st.one_of(
        objects,
        st.builds(lambda s: {"oneOf": s}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda s: {"allOf": s}, st.lists(inner, min_size=1, max_size=2)),
        st.builds(lambda s: {"anyOf": s}, st.lists(inner, min_size=1, max_size=2)),
        st.builds(lambda d: {"dependencies": d}, st.dictionaries(st.sampled_from("ab"), names | inner, max_size=2)),
        st.builds(lambda n: {"type": "object", "not": {"required": n}}, names),
    )


SCHEMAS = st.recursive(LEAVES, _grown, max_leaves=5)


@given(SCHEMAS, st.lists(VALUES, min_size=1, max_size=8), st.sampled_from(["draft-07", "2020-12"]))
def test_an_equal_schema_judges_alike(schema, values, draft):
    validator = jsonschema.Draft7Validator if draft == "draft-07" else jsonschema.Draft202012Validator
    root = {"$schema": f"http://json-schema.org/{draft}/schema#", "$defs": {"d": {"enum": ["a", 1]}}, "allOf": [schema]}
    if draft != "draft-07":
        root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    served = equal_schema(root)
    for value in values:
        assert validator(root).is_valid(value) == validator(served).is_valid(value)


@pytest.mark.parametrize(
    ("branches", "apart"),
    [
        ([{"type": "string"}, {"type": "integer"}], True),
        ([{"type": "integer"}, {"type": "number"}], False),
        ([{"const": 1}, {"const": True}], True),
        ([{"const": 1}, {"enum": [2, 1.0]}], False),
        (
            [
                {"type": "object", "properties": {"kind": {"const": kind}}, "required": ["kind"]}
                for kind in ("circle", "square")
            ],
            True,
        ),
        ([{"type": "object", "properties": {"kind": {"const": kind}}} for kind in ("circle", "square")], False),
        ([{"properties": {"k": {"const": 1}}, "required": ["k"]}, {"type": "array"}], False),
        ([{"type": "object", "required": ["a"]}, {"type": "object", "additionalProperties": False}], True),
        ([{"$ref": "#/$defs/text"}, {"type": "null"}], True),
    ],
)
def test_one_of_becomes_any_of_where_no_instance_fits_two(branches, apart):
    served = equal_schema({"$defs": {"text": {"type": "string"}}, "oneOf": branches})
    assert ("anyOf" in served) == apart and ("oneOf" in served) != apart


def test_names_that_look_like_keywords_are_left_alone():
    schema = {"properties": {"format": {"enum": [{"oneOf": [1]}]}, "oneOf": {"type": "string"}}, "required": ["not"]}
    assert equal_schema(schema) == schema
    assert [path for path, _ in places(schema)] == ["$", "$.properties.format", "$.properties.oneOf"]
