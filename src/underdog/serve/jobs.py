"""The narrow jobs over HTTP: a text in, a result out.

POST /v1/classify {model, input, labels: {name: description}, abstain}
POST /v1/extract  {model, input, form}
POST /v1/entities {model, input, types: {name: description}}
"""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from pydantic import Field

from underdog.generate.session import Model
from underdog.serve.bodies import Body, read_body
from underdog.serve.errors import check_model, plainly
from underdog.serve.guard import Limits
from underdog.serve.line import Line
from underdog.tasks.classify import Classifier
from underdog.tasks.entities import EntityFinder
from underdog.tasks.extract import Extractor


class ClassifyRequest(Body):
    model: str
    input: str
    labels: dict[str, str] = Field(min_length=2, max_length=500)
    abstain: float = Field(0.0, ge=0, le=1)


class ExtractRequest(Body):
    model: str
    input: str
    form: dict[str, Any]


class EntitiesRequest(Body):
    model: str
    input: str
    types: dict[str, str] = Field(min_length=1, max_length=100)


def install_jobs(app: FastAPI, served: Model, line: Line, limits: Limits) -> None:
    @app.post("/v1/classify", response_model=None)
    async def classify(request: Request) -> dict[str, Any]:
        asked = await read_body(request, ClassifyRequest, limits.body)
        return await run(asked.model, lambda: _classified(served, asked))

    @app.post("/v1/extract", response_model=None)
    async def extract(request: Request) -> dict[str, Any]:
        asked = await read_body(request, ExtractRequest, limits.body)
        return await run(asked.model, lambda: _extracted(served, asked))

    @app.post("/v1/entities", response_model=None)
    async def entities(request: Request) -> dict[str, Any]:
        asked = await read_body(request, EntitiesRequest, limits.body)
        return await run(asked.model, lambda: _entities(served, asked))

    async def run(model: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        check_model(model, served)
        return {"model": served.name, **await line.call(lambda: plainly(work, str))}


def _classified(served: Model, asked: ClassifyRequest) -> dict[str, Any]:
    found = Classifier(served, asked.labels, asked.abstain)(asked.input)
    return {"label": found.label, "confidence": found.confidence, "probabilities": dict(found.probabilities)}


def _extracted(served: Model, asked: ExtractRequest) -> dict[str, Any]:
    found = Extractor(served, asked.form)(asked.input)
    return {"value": found.value, "spans": dict(found.spans)}


def _entities(served: Model, asked: EntitiesRequest) -> dict[str, Any]:
    found = EntityFinder(served, asked.types)(asked.input)
    listed = [{"start": e.start, "end": e.end, "type": e.type, "text": e.text} for e in found.entities]
    return {"entities": listed, "invented": found.invented}
