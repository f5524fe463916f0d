"""The commands of the narrow jobs: a file in, the same file with results out."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from underdog.errors import UserError
from underdog.generate.open import open_model
from underdog.tasks.classify import Classified, Classifier, several
from underdog.tasks.entities import EntityFinder
from underdog.tasks.extract import Extractor
from underdog.tasks.files import read_table, run_over, texts_of
from underdog.tasks.tune import ABOUT, Tuned, tune, write_report

Job = Callable[[str], Mapping[str, Any]]  # a text -> its results


def classify_file(
    file: Path, model: str, labels: list[str], out: Path | None, column: str, multi: bool, abstain: float
) -> Path:
    described = dict(described_name(label) for label in labels)
    if (Path(model) / ABOUT).exists():
        if labels or multi:
            raise UserError(f"{model} was tuned to labels of its own: leave out --label and --multi.")
        return _over(file, _judge(Tuned.load(Path(model)), abstain), out, column, {"job": "classify", "model": model})
    opened = open_model(model)
    if multi:

        def judge(text: str) -> Mapping[str, Any]:
            return {"labels": several(opened, text, described)}
    else:
        judge = _judge(Classifier(opened, described), abstain)
    settings = {"job": "classify", "model": model, "labels": described, "multi": multi, "abstain": abstain}
    return _over(file, judge, out, column, settings)


def _judge(classifier: Callable[[str], Classified], abstain: float) -> Job:
    def judge(text: str) -> Mapping[str, Any]:
        found = classifier(text)
        label = found.label if found.confidence >= abstain else None
        return {"label": label, "confidence": round(found.confidence, 6)}

    return judge


def extract_file(file: Path, model: str, form: Path, out: Path | None, column: str) -> Path:
    try:
        wanted = json.loads(form.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise UserError(f"{form} is not JSON: {problem}.") from None
    extractor = Extractor(open_model(model), wanted)

    def fill(text: str) -> Mapping[str, Any]:
        found = extractor(text)
        return {"extracted": found.value, "spans": {path: span and list(span) for path, span in found.spans.items()}}

    return _over(file, fill, out, column, {"job": "extract", "model": model, "form": wanted})


def entities_file(file: Path, model: str, types: list[str], out: Path | None, column: str) -> Path:
    described = dict(described_name(kind) for kind in types)
    finder = EntityFinder(open_model(model), described)

    def find(text: str) -> Mapping[str, Any]:
        found = finder(text)
        listed = [{"start": e.start, "end": e.end, "type": e.type, "text": e.text} for e in found.entities]
        return {"entities": listed, "invented": found.invented}

    return _over(file, find, out, column, {"job": "entities", "model": model, "types": described})


def tune_file(file: Path, out: Path, column: str, label: str, error: float, seed: int) -> str:
    """Fits, saves; returns the report for a person."""
    rows = read_table(file)
    tuned, report = tune(texts_of(rows, column, file), texts_of(rows, label, file), seed, error)
    tuned.save(out)
    write_report(report, out)
    kept = report.threshold
    lines = [
        f"{out}: {len(tuned.labels)} labels, {len(rows)} rows",
        f"accuracy {report.accuracy:.1%} of {report.rows} unseen rows ({report.majority:.1%} by the commonest label), "
        f"calibration error {report.calibration_error:.1%}",
        f"at most {error:.0%} wrong with 95 % confidence: {kept.kept:.0%} kept, from confidence {kept.value:.3f} on"
        if kept.kept
        else f"no threshold keeps errors at most {error:.0%} with 95 % confidence: too few rows, or too many errors",
        *(f"  {is_} taken for {taken}: {count}" for is_, taken, count in report.confused[:5]),
    ]
    return "\n".join(lines)


def described_name(said: str) -> tuple[str, str]:
    """ "refund: wants money back" -> ("refund", "wants money back")."""
    name, _, about = said.partition(":")
    return name.strip(), about.strip()


def _over(file: Path, job: Job, out: Path | None, column: str, settings: Mapping[str, Any]) -> Path:
    rows = read_table(file)
    texts = texts_of(rows, column, file)
    out = out or file.with_name(f"{file.stem}.{settings['job']}{file.suffix}")
    bar = Progress(TextColumn(settings["job"]), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with bar:
        task = bar.add_task(settings["job"], total=len(rows))
        run_over(
            rows,
            lambda index: job(texts[index]),
            out,
            {**settings, "column": column},
            lambda done: bar.update(task, completed=done),
        )
    return out
