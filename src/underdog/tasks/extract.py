"""Values out of a text into a form: every one with the place where it stands, or none.

The answer is drawn under the form's schema. A value that does not stand in the text was not extracted but concluded, or
invented: it has no span.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

from underdog.errors import UserError
from underdog.generate.json_schema import TYPES
from underdog.generate.session import Model
from underdog.generate.structure import Structure
from underdog.tasks.ask import NoAnswer, ask
from underdog.tasks.numbers import NUMBER, numbers

SCHEMAS = {"$ref", "anyOf", "oneOf", "allOf"}  # what makes an object a schema without a type
Span = tuple[int, int]  # characters of the text, end exclusive


@dataclass(frozen=True)
class Extracted:
    """`value`: JSON, or an instance where the form was a pydantic model. `spans`: JSON path of each string or number ->
    its place in the text, None where it does not stand there."""

    value: Any
    spans: Mapping[str, Span | None]


@dataclass(frozen=True)
class Extractor:
    """Fills a form.

    Args:
        form: a JSON Schema, a pydantic model, or a template: an object whose values say what is wanted
            ({"name": "the buyer's name", "total": 0}).

    Raises:
        StructureError: the schema cannot be served; `field` says where.
    """

    model: Model
    form: Any
    task: str = "Extract from the text what the form asks for. What the text does not say is null."

    def __post_init__(self):
        _ = self._structure  # its mistakes are told at once

    @cached_property
    def _structure(self) -> Structure:
        return Structure.json_schema(schema_of(self.form))

    def __call__(self, text: str) -> Extracted:
        """Raises NoAnswer: the answer was cut off before the form was filled, or the pydantic model refuses it."""
        form = json.dumps(self._structure.schema, ensure_ascii=False)
        value = ask(self.model, f"{self.task}\n\nForm (JSON Schema): {form}\n\nText: {text}", self._structure)
        spans = dict(_places(value, text, "$", {}))
        if not hasattr(self.form, "model_validate"):
            return Extracted(value, spans)
        try:
            return Extracted(self.form.model_validate(value), spans)
        except ValueError as problem:  # what a validator of its own says
            raise NoAnswer(f"The form does not take {json.dumps(value, ensure_ascii=False)}: {problem}") from None


def schema_of(form: Any) -> Any:
    """The JSON Schema of a form."""
    if hasattr(form, "model_json_schema"):
        return form.model_json_schema()
    if not isinstance(form, Mapping):
        raise UserError("A form is a JSON Schema, a pydantic model, or an object whose values say what is wanted.")
    said = form.get("type")
    types = [said] if isinstance(said, str) else said if isinstance(said, list) else []
    if (types and TYPES.issuperset(types)) or isinstance(form.get("properties"), Mapping) or SCHEMAS & form.keys():
        return dict(form)
    return _template(form)


def _template(value: Any) -> dict[str, Any]:
    """Each value shows its type, and may be null; a text says what is wanted."""
    if isinstance(value, Mapping):
        names = list(value)
        properties = {name: _template(value[name]) for name in names}
        return {"type": "object", "properties": properties, "required": names, "additionalProperties": False}
    if isinstance(value, list):
        return {"type": "array", "items": _template(value[0]) if value else {"type": ["string", "null"]}}
    kinds = {bool: "boolean", int: "integer", float: "number"}
    described = {"description": value} if isinstance(value, str) and value else {}
    return {"type": [kinds.get(type(value), "string"), "null"], **described}


def _places(value: Any, text: str, path: str, behind: dict[str, int]) -> Iterator[tuple[str, Span | None]]:
    """`behind`: value -> where its last place ended: one that comes again is its next occurrence, if there is one."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _places(inner, text, f"{path}.{name}", behind)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _places(inner, text, f"{path}[{index}]", behind)
    elif isinstance(value, str) or (isinstance(value, int | float) and not isinstance(value, bool)):
        place = find if isinstance(value, str) else find_number
        span = place(str(value), text, behind.get(str(value), 0)) or place(str(value), text)
        if span:
            behind[str(value)] = span[1]
        yield path, span


def find(wanted: str, text: str, start: int = 0) -> Span | None:
    """Where a value stands: as it is, else whatever its case and white space; numbers as whole numbers."""
    if not wanted.strip():
        return None
    pattern = r"\s+".join(map(re.escape, wanted.split()))
    if re.fullmatch(r"-?[\d.]+", wanted):
        pattern = rf"(?<![\d.]){pattern}(?![\d])"
    for flags in (0, re.IGNORECASE):
        if found := re.compile(pattern, flags).search(text, start):
            return found.span()
    return None


def find_number(wanted: str, text: str, start: int = 0) -> Span | None:
    """Where a number stands, however it is written: 1234.5 is found in "1 234,50"."""
    for found in NUMBER.finditer(text, start):
        if Decimal(wanted) in numbers(found[0]):
            return found.span()
    return find(wanted, text, start)
