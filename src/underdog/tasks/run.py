"""The commands of the narrow jobs: a file in, the same file with results out."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from underdog.artifacts.files import read_json
from underdog.artifacts.runs import model_folder
from underdog.errors import UserError
from underdog.generate.open import open_model
from underdog.tasks.classify import Classifier
from underdog.tasks.crew import Job, Ready
from underdog.tasks.dialog.script import load_script
from underdog.tasks.dialog.understand import Dialog
from underdog.tasks.entities import Entity
from underdog.tasks.extract import schema_of
from underdog.tasks.files import read_table, texts_of
from underdog.tasks.jobs import Classify, Dialogue, Entities, Extract, Normalize, Route, open_classifier, pydantic_form
from underdog.tasks.normalize.place import Place
from underdog.tasks.over import begun, failures, run_over
from underdog.tasks.router import LARGE, Held, hold_out
from underdog.tasks.tagger import Labelled, exact_f1, fit
from underdog.tasks.tuned import Levels

WEIGHTS = (".json", ".jinja", ".safetensors", ".crfsuite", ".gguf")  # what a model, a classifier or a tagger is made of


@dataclass(frozen=True)
class Over:
    """What all commands over files share."""

    file: Path
    out: Path | None
    column: str
    workers: int


@dataclass(frozen=True)
class HeldOut:
    """Labelled rows that set what is abstained from, or sent on: at most `error` of the rest is wrong."""

    file: Path
    label: str  # the column
    error: float


def classify_file(
    over: Over, model: str, labels: Sequence[str], multi: bool, abstain: float | None, held: HeldOut | None
) -> str:
    job = Classify(over.column, model, pairs(labels), multi, abstain)
    if held is None:
        return _over(over, job)
    if multi:
        raise UserError("--held-out sets the threshold of one label a text: leave out --multi.")
    judged = _judged(job, held)
    job = replace(job, least=judged.held.threshold.value, temperature=judged.temperature)
    return f"{_over(over, job, job.by(judged.classifier, judged.parallel))}\n{_kept(judged.held, held)}"


def route_file(
    over: Over,
    model: str,
    labels: Sequence[str],
    services: Sequence[str],
    large: str | None,
    held: HeldOut,
    costs: tuple[float, float],
) -> str:
    job = Route(over.column, model, 0.0, pairs(labels), pairs(services), large)
    judged = _judged(job, held, costs, [label for label, to in job.services.items() if to == LARGE])
    kept = judged.held.threshold
    job = replace(job, least=kept.value, temperature=judged.temperature)
    saved = f"costs {judged.held.saved:.0%} less than the large model alone" if kept.kept else "nothing is saved"
    return f"{_over(over, job, job.by(judged.classifier, judged.parallel))}\n{_kept(judged.held, held)}; {saved}"


def extract_file(over: Over, model: str, form: str) -> str:
    if ".py:" in form:
        return _over(over, Extract(over.column, model, form))
    wanted = read_json(Path(form), "A form is a file of JSON, or file.py:Class (docs/jobs.md).")
    return _over(over, Extract(over.column, model, wanted))


def entities_file(over: Over, model: str, types: Sequence[str], window: int, overlap: int) -> str:
    return _over(over, Entities(over.column, model, pairs(types), window, overlap))


def normalize_file(
    over: Over, columns: Sequence[str], place: Place, model: str | None, tone: str, today: bool = False
) -> str:
    """`today`: nobody said when it is, so a job that was stopped goes on as of the day when it was begun."""
    job = Normalize(pairs(columns), place, model, tone)
    return _over(over, job, at=job.at if today else None)


def dialog_file(over: Over, model: str, script: Path, now: datetime, today: bool = False) -> str:
    """`today`: as for `normalize_file`."""
    job = Dialogue(over.column, model, load_script(script).model_dump(), now)
    return _over(over, job, at=job.at if today else None)


def talk(model: str, script: Path, now: datetime) -> None:
    """A dialogue in the terminal, until a person takes over or the user leaves."""
    loaded = load_script(script)
    dialog = Dialog(loaded, open_model(model), loaded.place(now))
    turn = dialog.begin()
    while True:
        print("\n".join(turn.say))
        if turn.state.over:
            return
        try:
            text = input("> ")
        except EOFError:
            return
        turn = dialog.reply(turn.state, text).turn
        for frame in turn.done:
            print(json.dumps({"flow": frame.flow, **frame.values}, ensure_ascii=False))


def tag_file(file: Path, out: Path, column: str, spans: str, layers: int) -> str:
    """Fits a tagger on nine tenths of the rows; returns what it finds in the rest."""
    rows = read_table(file)
    examples = [
        Labelled(text, _entities(row.get(spans), f"{file} row {number}", text))
        for number, (text, row) in enumerate(zip(texts_of(rows, column, file), rows, strict=True), start=1)
    ]
    held = examples[9::10]
    tagger = fit([one for i, one in enumerate(examples) if i % 10 != 9], out, layers)
    score, precision, recall = exact_f1([tagger(one.text) for one in held], held)
    return f"{out}: F1 {score:.1%} (precision {precision:.1%}, recall {recall:.1%}) on {len(held)} unseen rows"


def _entities(said: Any, where: str, text: str) -> list[Entity]:
    """[{"start": 0, "end": 4, "type": "city"}, …], in CSV and Parquet as JSON."""
    try:
        listed = json.loads(said) if isinstance(said, str) else said
        found = [Entity(one["start"], one["end"], one["type"], text[one["start"] : one["end"]]) for one in listed]
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{where}: its spans are no list of objects with start, end and type.") from None
    if outside := [one for one in found if not 0 <= one.start < one.end <= len(text)]:
        raise UserError(f"{where}: a span goes from {outside[0].start} to {outside[0].end}, the text has {len(text)}.")
    return found


def pairs(said: Sequence[str]) -> dict[str, str]:
    """ "refund: wants money back" -> {"refund": "wants money back"}.

    Raises:
        UserError: a name comes twice.
    """
    named: dict[str, str] = {}
    for one in said:
        name, _, about = (part.strip() for part in one.partition(":"))
        if name in named:
            raise UserError(f'"{name}" is said twice.')
        named[name] = about
    return named


@dataclass(frozen=True)
class Judged:
    """A classifier that is open, and what held-out rows say of it."""

    classifier: Classifier | Levels
    parallel: int  # texts that it works on side by side
    temperature: float
    held: Held


def _judged(
    job: Classify | Route, held: HeldOut, costs: tuple[float, float] = (0.0, 1.0), away: Sequence[str] = ()
) -> Judged:
    """A half of the held-out rows sets the temperature, the other half the threshold."""
    rows = read_table(held.file)
    texts, labels = texts_of(rows, job.column, held.file), texts_of(rows, held.label, held.file)
    classifier, parallel = open_classifier(job.model, job.labels)
    temperature = 1.0
    if isinstance(classifier, Classifier):
        known = [(text, label) for text, label in zip(texts[::2], labels[::2], strict=True) if label in job.labels]
        classifier = classifier.calibrated([text for text, _ in known], [label for _, label in known])
        temperature, texts, labels = classifier.temperature, texts[1::2], labels[1::2]
    found = hold_out(classifier.classify(texts), labels, held.error, 0.95, *costs, away)
    return Judged(classifier, parallel, temperature, found)


def _kept(judged: Held, held: HeldOut) -> str:
    kept = judged.threshold
    if not kept.kept:
        return f"no threshold keeps errors at most {held.error:.0%} with 95 % confidence: nothing is kept"
    return (
        f"kept {kept.kept:.1%} of {held.file.name} from confidence {kept.value:.3f} on, {kept.wrong:.1%} of it wrong "
        f"(with 95 % confidence at most {kept.bound:.1%}); area under risk and coverage {judged.area:.4f}"
    )


def _over(
    over: Over, job: Job, ready: Ready | None = None, at: Callable[[datetime], Normalize | Dialogue] | None = None
) -> str:
    """Runs the job; returns where its results are, and what a person must know.

    Args:
        at: the job as of another day, where it may go on as of the day when it was begun.
    """
    rows = read_table(over.file)
    if not rows:
        raise UserError(f"{over.file} has no rows.")
    for column in job.columns:
        texts_of(rows, column, over.file, may_lack=isinstance(job, Normalize))
    out = over.out or over.file.with_name(f"{over.file.stem}.{job.name}{over.file.suffix}")
    if out.resolve() == over.file.resolve():
        raise UserError(f"{out} is the table itself.", hint="Give the results another name.")
    if at and (then := begun(out, rows, lambda now: settings_of(at(now)))):
        job = at(then)
    settings = settings_of(job)
    bar = Progress(TextColumn(job.name), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with bar:
        task = bar.add_task(job.name, total=len(rows))
        results = run_over(rows, job, out, settings, over.workers, lambda done: bar.update(task, completed=done), ready)
    refused = failures(results)
    return f"{out}\n{refused} of {len(rows)} rows were refused: their column says why." if refused else str(out)


def settings_of(job: Job) -> dict[str, Any]:
    """What the results depend on beside the rows: not where a form's code and a model lie, but what they are now."""
    settings = {"job": job.name, **asdict(job)}  # type: ignore[call-overload]
    if isinstance(job, Normalize):
        settings["now"] = job.place.now
    if isinstance(job, Extract) and isinstance(job.form, str):
        code = Path(job.form.rpartition(":")[0])
        settings["form"] = [schema_of(pydantic_form(job.form)), code.read_text(encoding="utf-8")]
    models = (settings.get("model"), settings.get("large"))
    return {**settings, "files": [_files(Path(model)) for model in models if model]}


def _files(model: Path) -> list[tuple[str, int, int]]:
    """Names, sizes and times of a local model's files, also of one that was tuned and lies a folder deeper."""
    folder = model_folder(model)
    found = [folder] if folder.is_file() else [*folder.glob("*"), *folder.glob("*/*")]
    files = [(path, path.stat()) for path in sorted(found) if path.suffix in WEIGHTS and path.is_file()]
    return [(path.name, stat.st_size, stat.st_mtime_ns) for path, stat in files]
