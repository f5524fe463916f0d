"""JSON Schemas as the grammar engine takes them: equal ones of which it serves more, and the name of what it cannot.

llguidance refuses a schema rather than serve it wrongly. Each rewriting here keeps the set of valid instances:

- siblings of `$ref` count from draft 2019-09 on; a schema that declares an older draft loses them;
- a `format` that the engine does not know is an annotation (draft 2020-12, section 7.2.3);
- `oneOf` equals `anyOf` where no instance can be valid against two of its branches;
- `dependencies` (and their later names) say that a property is absent or its dependants hold;
- `not: {required: …}` says that one of the properties is absent.
"""

from collections.abc import Iterator
from typing import Any

OLD_DRAFTS = ("draft-03", "draft-04", "draft-05", "draft-06", "draft-07")
FORMATS = {
    "date-time", "date", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri", "unknown",
}  # fmt: skip
TYPES = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})
MAPS = ("properties", "patternProperties", "definitions", "$defs", "dependentSchemas")  # name -> schema
LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
SINGLE = ("additionalProperties", "items", "additionalItems", "contains", "not", "if", "then", "else",
          "propertyNames", "unevaluatedProperties", "unevaluatedItems")  # fmt: skip
DEPTH = 12  # of references followed when branches are compared

Schema = dict[str, Any] | bool


def equal_schema(schema: Schema) -> Schema:
    """A schema with the same valid instances, of which llguidance serves more."""
    if isinstance(schema, bool):
        return schema
    old = any(draft in str(schema.get("$schema", "")) for draft in OLD_DRAFTS)
    return _Rewriter(schema, old).rewrite(schema)


def places(schema: Any, path: str = "$") -> Iterator[tuple[str, dict[str, Any]]]:
    """(JSON path, subschema) of a schema and all that it holds, leaving alone what only looks like a schema."""
    if not isinstance(schema, dict):
        return
    yield path, schema
    for key, value in schema.items():
        if key in MAPS and isinstance(value, dict):
            for name, sub in value.items():
                yield from places(sub, f"{path}.{key}.{name}")
        elif key in LISTS or (key == "items" and isinstance(value, list)):
            for index, sub in enumerate(value if isinstance(value, list) else ()):
                yield from places(sub, f"{path}.{key}[{index}]")
        elif key in SINGLE:
            yield from places(value, f"{path}.{key}")


class _Rewriter:
    def __init__(self, root: dict[str, Any], old: bool):
        self._root = root
        self._old = old

    def rewrite(self, schema: Any) -> Any:
        if not isinstance(schema, dict):
            return schema
        if self._old and isinstance(schema.get("$ref"), str):
            schema = {key: schema[key] for key in ("$ref", *MAPS[2:4]) if key in schema}
        new = {key: self._value(key, value) for key, value in schema.items()}
        if isinstance(new.get("format"), str) and new["format"] not in FORMATS:
            del new["format"]
        if isinstance(new.get("oneOf"), list) and "anyOf" not in new and self._exclusive(schema["oneOf"]):
            new["anyOf"] = new.pop("oneOf")
        extra = [*self._dependencies(new), *self._absences(new)]
        return {**new, "allOf": [*new.get("allOf", []), *extra]} if extra else new

    def _value(self, key: str, value: Any) -> Any:
        if key in MAPS and isinstance(value, dict):
            return {name: self.rewrite(sub) for name, sub in value.items()}
        if (key in LISTS or key == "items") and isinstance(value, list):
            return [self.rewrite(sub) for sub in value]
        return self.rewrite(value) if key in SINGLE else value

    def _dependencies(self, schema: dict[str, Any]) -> Iterator[Schema]:
        """Takes the dependencies out of a schema and gives what they say."""
        for key in ("dependencies", "dependentRequired", "dependentSchemas"):
            said = schema.get(key)
            if not isinstance(said, dict) or (key == "dependencies" and not self._old and "$schema" in self._root):
                continue
            del schema[key]
            for name, needed in said.items():
                names = [needed] if isinstance(needed, str) else needed
                then = {"required": names} if isinstance(names, list) else self.rewrite(needed)
                yield {"anyOf": [{"properties": {name: False}}, then]}

    def _absences(self, schema: dict[str, Any]) -> Iterator[Schema]:
        """Takes `not: {required: […]}` out of an object's schema and gives what it says."""
        unwanted = schema.get("not")
        if isinstance(unwanted, dict) and unwanted.keys() == {"required"} and schema.get("type") == "object":
            del schema["not"]
            yield {"anyOf": [{"properties": {name: False}} for name in unwanted["required"]]}

    def _exclusive(self, branches: list[Any]) -> bool:
        """True where no instance can be valid against two of the branches."""
        return all(self._disjoint(a, b, DEPTH) for i, a in enumerate(branches) for b in branches[:i])

    def _disjoint(self, a: Any, b: Any, depth: int) -> bool:
        """True where it is certain that no instance is valid against both. Unsure is False."""
        if a is False or b is False:
            return True
        if depth == 0 or not isinstance(a, dict) or not isinstance(b, dict):
            return False
        for one, other in ((a, b), (b, a)):
            if "$ref" in one:
                if self._disjoint(self._target(one["$ref"]), other, depth - 1):
                    return True
                if self._old:
                    return False  # what stands beside it does not count
            if any(self._disjoint(part, other, depth - 1) for part in one.get("allOf", ())):
                return True
            for key in ("anyOf", "oneOf"):
                if one.get(key) and all(self._disjoint(part, other, depth - 1) for part in one[key]):
                    return True
        return self._apart(a, b, depth)

    def _apart(self, a: dict[str, Any], b: dict[str, Any], depth: int) -> bool:
        """Whether types, values or a property that one of them requires tell the instances apart."""
        values = [_values(schema) for schema in (a, b)]
        if values[0] is not None and values[1] is not None:
            return not any(_same(x, y) for x in values[0] for y in values[1])
        shared = _types(a) & _types(b)
        if not shared:
            return True
        if shared != {"object"}:
            return False
        required = {*a.get("required", ()), *b.get("required", ())}
        return any(self._disjoint(_property(a, name), _property(b, name), depth - 1) for name in required)

    def _target(self, reference: str) -> Any:
        """What a reference within the schema names; True (anything) where it is not found."""
        if not reference.startswith("#"):
            return True
        found: Any = self._root
        for step in reference[1:].split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and step in found:
                found = found[step]
            elif isinstance(found, list) and step.isdigit() and int(step) < len(found):
                found = found[int(step)]
            else:
                return True
        return found


def _values(schema: dict[str, Any]) -> list[Any] | None:
    """The finitely many instances that a schema may allow at most; None: not listed."""
    if "const" in schema:
        return [schema["const"]]
    return schema["enum"] if isinstance(schema.get("enum"), list) else None


def _same(a: Any, b: Any) -> bool:
    """Equal as JSON values: 1 is 1.0, true is not 1."""
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def _types(schema: dict[str, Any]) -> frozenset[str]:
    """Types of the instances that may be valid; a number that is no integer counts as "number"."""
    if (values := _values(schema)) is not None:
        return frozenset().union(*(_types_of(value) for value in values))
    said = schema.get("type", TYPES)
    types = frozenset([said] if isinstance(said, str) else said)
    return types | {"integer"} if "number" in types else types


def _types_of(value: Any) -> frozenset[str]:
    names = {type(None): "null", bool: "boolean", str: "string", list: "array", dict: "object"}
    name = names.get(type(value))
    return frozenset([name]) if name else frozenset({"integer", "number"})


def _property(schema: dict[str, Any], name: str) -> Any:
    """What a schema says of a property of its objects; True: anything."""
    if name in (said := schema.get("properties") or {}):
        return said[name]
    return schema.get("additionalProperties", True) if not schema.get("patternProperties") else True
