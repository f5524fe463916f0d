"""A question to a model whose answer is JSON of a given structure."""

import json
from collections.abc import Mapping
from typing import Any

from underdog.errors import UserError
from underdog.generate.options import Options
from underdog.generate.session import Model, collect
from underdog.generate.structure import Structure
from underdog.tokens.messages import Message


class NoAnswer(UserError):
    """The model was cut off before its answer was whole."""


def ask(model: Model, question: str, structure: Structure) -> Any:
    """The answer, drawn greedily and without a thought.

    Raises:
        NoAnswer: it was cut off.
        ContextFull: the question does not fit into the model's context.
    """
    options = Options(0.0, structure=structure, thinking=False)
    answer = collect(model.reply([Message("user", question)], options))
    try:
        return json.loads(answer.message.content)
    except ValueError:
        raise NoAnswer(f"The answer was not finished: {answer.finish.notice}") from None


def object_of(**properties: Any) -> dict[str, Any]:
    """The schema of an object that has all of these properties and no other."""
    return {
        "type": "object", "properties": properties, "required": list(properties), "additionalProperties": False,
    }  # fmt: skip


def described(names: Mapping[str, str]) -> list[str]:
    """A line for each name, with what it means where that is known."""
    return [f"- {name}: {about}" if about else f"- {name}" for name, about in names.items()]
