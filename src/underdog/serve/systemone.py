"""POST /v1/systemone: typed questions about a state, answered by probabilities. No text is generated.

    {"model", "state": text or JSON, "questions": {name: {"type", "instructions", "criteria"}}}

Types: noul (yes or no), choice (one of some options), score (one of some levels). Each question is a prompt behind the
same state, whose options are scored by the label that would answer it; the state is read once. Requests, answers and
the prompt are those of transformers' reference (5.23, `transformers serve`), which takes images too.
"""

import json
import string
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from fastapi import FastAPI, Request
from pydantic import Field

from underdog.errors import UserError
from underdog.generate.session import Model
from underdog.serve.attended import attended
from underdog.serve.bodies import Body, Strict, read_body
from underdog.serve.errors import check_model
from underdog.serve.guard import Limits
from underdog.serve.line import Line
from underdog.tasks.classify import softmax
from underdog.tokens.messages import Message

LETTERS = string.ascii_uppercase
Content = str | dict[str, Any] | list[Any]


class Noul(Strict):
    """Is it so?"""

    type: Literal["noul"]
    instructions: Content | None = None
    criteria: dict[Literal["true", "false"], Content | None] = Field(default_factory=dict)

    def labels(self) -> Sequence[str]:
        return "Yes", "No"

    def lines(self) -> list[str]:
        said = ((label, self.criteria.get(key)) for label, key in zip(self.labels(), ("true", "false"), strict=True))
        return [f"{label}: {_text(about)}" for label, about in said if about] + ["Answer Yes or No only."]

    def answer(self, shares: Sequence[float]) -> dict[str, Any]:
        return {"type": "noul", "noul": shares[0]}


class Choice(Strict):
    """Which one?"""

    type: Literal["choice"]
    instructions: Content | None = None
    criteria: dict[str, Content | None] = Field(min_length=1, max_length=len(LETTERS))

    def labels(self) -> Sequence[str]:
        return LETTERS[: len(self.criteria)]

    def lines(self) -> list[str]:
        named = [f"{name}: {_text(about)}" if about else name for name, about in self.criteria.items()]
        return _listed(named, "option")

    def answer(self, shares: Sequence[float]) -> dict[str, Any]:
        by_name, even = dict(zip(self.criteria, shares, strict=True)), 1 / len(shares)
        best = max(by_name, key=by_name.__getitem__)
        confidence = 1.0 if len(shares) == 1 else max(0.0, (by_name[best] - even) / (1 - even))
        return {"type": "choice", "choice": best, "confidence": confidence, "probabilities": by_name}


class Score(Strict):
    """How much? Levels from the lowest to the highest."""

    type: Literal["score"]
    instructions: Content | None = None
    criteria: list[Content] = Field(min_length=1, max_length=len(LETTERS))

    def labels(self) -> Sequence[str]:
        return LETTERS[: len(self.criteria)]

    def lines(self) -> list[str]:
        return _listed([_text(level) for level in self.criteria], "level")

    def answer(self, shares: Sequence[float]) -> dict[str, Any]:
        """Confidence: how near the levels are to the likeliest one, against even shares."""
        count = len(shares)
        best = max(range(count), key=shares.__getitem__)
        off = sum(share * abs(level - best) for level, share in enumerate(shares))
        even = sum(abs(level - (count - 1) / 2) for level in range(count)) / count
        return {
            "type": "score",
            "score": sum(level * share for level, share in enumerate(shares)),
            "legend": {str(level): about for level, about in enumerate(self.criteria)},
            "confidence": 1.0 if count == 1 else max(0.0, 1 - off / even),
            "probabilities": {str(level): share for level, share in enumerate(shares)},
        }


Question = Annotated[Noul | Choice | Score, Field(discriminator="type")]


class SystemOneRequest(Body):
    neutral: ClassVar = {"assets": {}}

    model: str
    state: Content
    questions: dict[str, Question] = Field(min_length=1, max_length=64)


def install_systemone(app: FastAPI, served: Model, line: Line, limits: Limits) -> None:
    @app.post("/v1/systemone", response_model=None)
    async def systemone(request: Request) -> dict[str, Any]:
        asked = await read_body(request, SystemOneRequest, limits.body)
        check_model(asked.model, served)
        answers = await attended(request, line, served, lambda model: decide(model, asked.state, asked.questions))
        return {"model": served.name, "answers": answers}


def decide(model: Model, state: Content, questions: Mapping[str, Question]) -> dict[str, Any]:
    """The answer to each question.

    Raises:
        UserError: the model cannot score, or a question does not fit into its context.
    """
    if not model.capabilities.score:
        raise UserError(f"{model.name} cannot score options.", hint="Serve a folder or a .gguf file.")
    answers = {}
    for name, question in questions.items():
        said = [_text(question.instructions), *question.lines()]
        prompt = f"{_text(state)}\n\n" + "\n".join(line for line in said if line)
        answers[name] = question.answer(softmax(model.score([Message("user", prompt)], question.labels())))
    return answers


def _listed(options: Sequence[str], kind: str) -> list[str]:
    last = LETTERS[len(options) - 1]
    ending = f"Answer with the letter of the {kind} that fits best (A to {last}) only."
    return [*(f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False)), ending]


def _text(content: Content | None) -> str:
    return "" if content is None else content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
