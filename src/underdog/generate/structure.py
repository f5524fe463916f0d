"""What an answer must look like: a JSON Schema, a regular expression, a grammar or one of some choices.

All become one grammar in llguidance's Lark dialect, which every local engine takes. A model that thinks does so
freely before it: the grammar of the whole output lets any text stand before `</think>`.
"""

import json
import re
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from underdog.errors import UserError, extra
from underdog.generate.json_schema import equal_schema, places
from underdog.tokens.tokenizer import END_THINK, THINK

SPELLING = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
LIMIT = 2**20  # bytes of a grammar
ITEMS = 10_000  # most that an array may be bound to: llama.cpp writes them all out, and a billion took all the memory


class StructureError(UserError):
    """A structure that cannot be served; `field` names the place in a schema, where there is one."""

    def __init__(self, message: str, field: str | None = None):
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class Structure:
    """A checked structure. `rules` is Lark whose rule `answer` is the answer.

    Make one with `json_schema`, `json_object`, `regex`, `grammar` or `choice`; each raises StructureError where it
    cannot be served.
    """

    rules: str
    schema: Any = None  # of json_schema: engines behind HTTP want the schema itself

    @classmethod
    def json_schema(cls, schema: Any) -> "Structure":
        """Draft 4 to 2020-12; properties come in the schema's order."""
        if not isinstance(schema, (dict, bool)):
            raise StructureError("A JSON Schema is an object.", "$")
        served = equal_schema(schema)
        try:
            rules = f"answer: %json {json.dumps(one_spelling(served))}\n"
            rules.encode()  # lone surrogates end here
            return _checked(cls(rules, schema))
        except StructureError as problem:
            field = _field(served, str(problem))
            raise StructureError(f"{field}: {problem}", field) from None

    @classmethod
    def json_object(cls) -> "Structure":
        return cls.json_schema({"type": "object"})

    @classmethod
    def regex(cls, pattern: str) -> "Structure":
        """The whole answer matches, in the syntax of Rust's regex crate (no look-around, no back references)."""
        return _checked(cls(f"answer: /{library().regex_to_lark(pattern)}/\n"))

    @classmethod
    def grammar(cls, lark: str) -> "Structure":
        """Lark in llguidance's dialect, with a rule `start`; its rules are apart from ours."""
        return _checked(cls(f"answer: %lark {{\n{lark}\n}}\n"))

    @classmethod
    def choice(cls, choices: Sequence[str]) -> "Structure":
        if not choices or not all(choices):
            raise StructureError("A choice needs at least one option, and none of them empty.")
        options = " | ".join(json.dumps(choice) for choice in choices)
        return _checked(cls(f"answer: UNDERDOG_CHOICE\nUNDERDOG_CHOICE: {options}\n"))  # a rule has at most 2,000

    def whole(self, thinking: str = "no") -> str:
        """The grammar of everything that the model writes, for `whole_grammar`'s kinds of thinking."""
        return whole_grammar(self.rules, thinking)


def one_spelling(schema: Any) -> Any:
    """The schema with its white space fixed, as `json.dumps` writes it: a small model may go on with it for ever, and
    what is fixed need not be drawn."""
    return {**schema, "x-guidance": SPELLING} if isinstance(schema, dict) else schema


def whole_grammar(rules: str, thinking: str) -> str:
    """The grammar of an output whose rule `answer` comes behind a thought.

    `thinking`: "no": there is none; "may": one in `<think>`, or none; "open": the prompt has opened it already.
    """
    if thinking == "no":
        return "start: answer\n" + rules
    opening = re.escape(THINK) if thinking == "may" else ""
    thought = rf"underdog_thought[lazy]: /{opening}(.|\n)*{re.escape(END_THINK).replace('/', chr(92) + '/')}/"
    optional = "?" if thinking == "may" else ""
    blank = r"underdog_blank: /[ \r\n\t]*/"
    return f"start: (underdog_thought underdog_blank){optional} answer\n{thought}\n{blank}\n{rules}"


def accepts(structure: Structure, text: str) -> bool:
    """Whether a text has the structure."""
    checker = Checker(structure.whole())
    return checker.take(text.encode()) and checker.complete


class Checker:
    """Follows a text under a grammar, byte by byte."""

    def __init__(self, whole: str):
        lib = library()
        self._matcher = lib.LLMatcher(_bytes_tokenizer(lib), lib.LLMatcher.grammar_from_lark(whole), log_level=0)

    def take(self, data: bytes) -> bool:
        """False as soon as the text so far cannot be completed."""
        return self._matcher.try_consume_tokens(list(data)) == len(data)

    @property
    def complete(self) -> bool:
        return self._matcher.is_accepting()

    def copy(self) -> "Checker":
        """Another one that goes on from here."""
        twin = copy(self)
        twin._matcher = self._matcher.deep_copy()
        return twin


def _checked(structure: Structure) -> Structure:
    whole = structure.whole()
    if len(whole) > LIMIT:
        raise StructureError(f"The structure has {len(whole):,} bytes; at most {LIMIT:,} are served.")
    for bound, number in re.findall(r'"(minItems|maxItems)"\s*:\s*(\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)', whole):
        if float(number) > ITEMS:
            raise StructureError(f"{bound} is {number}; at most {ITEMS:,} are served.")
    lib = library()
    matcher = lib.LLMatcher(_bytes_tokenizer(lib), lib.LLMatcher.grammar_from_lark(whole), log_level=0)
    if matcher.is_error():
        raise StructureError(_first_line(matcher.get_error()))
    if matcher.is_stopped() and not matcher.is_accepting():
        raise StructureError("Nothing satisfies it.")
    return structure


def _first_line(error: str) -> str:
    """The library's own words, without the state of its parser."""
    lines = [line.strip() for line in error.strip().splitlines() if line.strip()]
    return re.sub(r"^(at )?\d+\(\d+\):\s*", "", lines[0]).removesuffix(".") + "."


def _field(schema: Any, error: str) -> str:
    """Where in the schema the library's error comes from, as a JSON path."""
    words = {word for found in re.findall(r"keys: \[(.*?)\]", error) for word in re.findall(r'"(.*?)"', found)}
    if "oneOf" in error:
        words.add("oneOf")
    if "atternPropert" in error:
        words.add("patternProperties")
    if found := re.match(r"m..Items", error):
        words.add(found[0])
    if "regex" in error or "pattern" in error:
        words.add("pattern")
    for path, sub in places(schema):
        for word in sub.keys() & words:
            return f"{path}.{word}"
    return "$"


def _bytes_tokenizer(lib: ModuleType) -> Any:
    return lib.LLTokenizer("byte")


def library() -> ModuleType:
    with extra("structure", "Structured output"):
        import llguidance
    return llguidance
