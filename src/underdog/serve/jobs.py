"""The narrow jobs over HTTP: a text in, a result out.

POST /v1/classify  {model, input, labels: {name: description}, multi, abstain}
POST /v1/route     {model, input, labels: {name: description}, least, services: {label: service}}
POST /v1/extract   {model, input, form}
POST /v1/entities  {model, input, types: {name: description}}
POST /v1/normalize {model, input, kind, region, languages, now, prefer, tone, rules_only}
POST /v1/dialog    {model, input, script, state, now}: the state goes from answer to request; the first one has none
"""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI, Request
from pydantic import Field

from underdog.generate.session import Model
from underdog.serve.attended import attended
from underdog.serve.bodies import Body, read_body
from underdog.serve.errors import check_model
from underdog.serve.guard import Limits
from underdog.serve.line import Line
from underdog.tasks import jobs
from underdog.tasks.classify import Classifier, MultiClassifier
from underdog.tasks.dialog.machine import State, state_from_json, state_to_json
from underdog.tasks.dialog.script import read_script
from underdog.tasks.dialog.understand import Dialog
from underdog.tasks.entities import EntityFinder
from underdog.tasks.extract import Extractor
from underdog.tasks.normalize.normalizer import Normalizer
from underdog.tasks.normalize.place import LANGUAGES, PREFER, Place
from underdog.tasks.router import Router


class JobRequest(Body):
    model: str
    input: str


Asked = TypeVar("Asked", bound=JobRequest)


class ClassifyRequest(JobRequest):
    labels: dict[str, str] = Field(min_length=2, max_length=500)
    multi: bool = False
    abstain: float | None = Field(None, ge=0, le=1)


class RouteRequest(JobRequest):
    labels: dict[str, str] = Field(min_length=2, max_length=500)
    least: float = Field(ge=0, le=1)
    services: dict[str, str] = Field(default_factory=dict)


class ExtractRequest(JobRequest):
    form: dict[str, Any]


class EntitiesRequest(JobRequest):
    types: dict[str, str] = Field(min_length=1, max_length=100)


class NormalizeRequest(JobRequest):
    kind: str
    region: str | None = None
    languages: list[str] = Field(default_factory=lambda: [*LANGUAGES])
    now: Annotated[datetime | None, Field(strict=False)] = None
    prefer: str = PREFER[0]
    tone: str = ""
    rules_only: bool = False  # the model is not asked


class DialogRequest(JobRequest):
    script: dict[str, Any]
    state: dict[str, Any] | None = None
    now: Annotated[datetime | None, Field(strict=False)] = None


def install_jobs(app: FastAPI, served: Model, line: Line, limits: Limits) -> None:
    def serve(path: str, kind: type[Asked], do: Callable[[Model, Asked], dict[str, Any]]) -> None:
        @app.post(path, response_model=None)
        async def endpoint(request: Request) -> dict[str, Any]:
            asked = await read_body(request, kind, limits.body)
            check_model(asked.model, served)
            return {"model": served.name, **await attended(request, line, served, lambda model: do(model, asked))}

    serve("/v1/classify", ClassifyRequest, _classified)
    serve("/v1/route", RouteRequest, _routed)
    serve("/v1/extract", ExtractRequest, _extracted)
    serve("/v1/entities", EntitiesRequest, _entities)
    serve("/v1/normalize", NormalizeRequest, _normalized)
    serve("/v1/dialog", DialogRequest, _answered)


def _classified(served: Model, asked: ClassifyRequest) -> dict[str, Any]:
    if asked.multi:
        return {"labels": MultiClassifier(served, asked.labels, asked.abstain)(asked.input)}
    found = Classifier(served, asked.labels, asked.abstain or 0.0)(asked.input)
    return {"label": found.label, "confidence": found.confidence, "probabilities": dict(found.probabilities)}


def _extracted(served: Model, asked: ExtractRequest) -> dict[str, Any]:
    found = Extractor(served, asked.form)(asked.input)
    return {"value": found.value, "spans": dict(found.spans)}


def _entities(served: Model, asked: EntitiesRequest) -> dict[str, Any]:
    return jobs.found(EntityFinder(served, asked.types)(asked.input))


def _normalized(served: Model, asked: NormalizeRequest) -> dict[str, Any]:
    place = Place(asked.languages, asked.region, _now(asked.now), asked.prefer)
    normalizer = Normalizer(place, None if asked.rules_only else served, asked.tone)
    return jobs.normalized(normalizer(asked.input, asked.kind))


def _routed(served: Model, asked: RouteRequest) -> dict[str, Any]:
    router = Router(Classifier(served, asked.labels), asked.least, asked.services, labels=asked.labels)
    return vars(router(asked.input))


def _answered(served: Model, asked: DialogRequest) -> dict[str, Any]:
    script = read_script(asked.script)
    state = state_from_json(asked.state, script) if asked.state is not None else State()
    reply = Dialog(script, served, script.place(_now(asked.now))).reply(state, asked.input)
    return {**reply.as_json(), "state": state_to_json(reply.turn.state)}


def _now(said: datetime | None) -> datetime:
    return (said or datetime.now()).replace(microsecond=0, tzinfo=None)
