"""Tune: from a labelled file to a classifier that is judged beside the floor of TF-IDF, and served if it wins."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from underdog.lanes import cores, open_lanes
from underdog.model.checkpoint import open_checkpoint
from underdog.model.classifier import add_classes
from underdog.recipe.teaching import Adapter, Precision
from underdog.seeds import derive
from underdog.tasks.files import read_table, texts_of
from underdog.tasks.floor import fit_floor
from underdog.tasks.tune import Report, Rows, Split, judge, split
from underdog.tasks.tuned import write_about
from underdog.tasks.tuned_model import TunedModel, text_ids
from underdog.train.classifying import Fitting, fit_classes
from underdog.train.hardware import PAYS, speed

FLOOR, MODEL = "floor", "model"
LOOK_AT = 300  # rows that early stopping looks at


def tune_file(
    file: Path,
    out: Path,
    column: str,
    label: str,
    error: float,
    seed: int,
    base: Path | None,
    precision: Precision | None,
    fitting: Fitting,
    say: Callable[[str], None],
) -> str:
    """Fits, judges, saves; returns the report for a person."""
    rows = read_table(file)
    parts = split(texts_of(rows, column, file), texts_of(rows, label, file), seed)
    floor = fit_floor(parts.fit.texts, parts.fit.labels)
    reports = {FLOOR: judge(floor, parts, error)}
    if base is None:
        floor.save(out)
        _write(out, record(reports[FLOOR]))
        return "\n".join([f"{out}: {len(floor.labels)} labels, {len(rows)} rows", *words(reports[FLOOR], error)])
    tuned = tune_model(parts, base, small_adapter(precision, say), fitting, seed, say)
    reports[MODEL] = judge(tuned, parts, error)
    best = MODEL if reports[MODEL].accuracy > reports[FLOOR].accuracy else FLOOR
    floor.save(out / FLOOR)
    tuned.save(out / MODEL)
    write_about(out, served=best)
    _write(out, {"served": best} | {name: record(report) for name, report in reports.items()})
    lines = [f"{out}: {len(floor.labels)} labels, {len(rows)} rows"]
    for name, said in ((FLOOR, "TF-IDF"), (MODEL, base.name)):
        lines += [f"{said}:", *(f"  {line}" for line in words(reports[name], error))]
    return "\n".join([*lines, verdict(best, reports, out)])


def small_adapter(precision: Precision | None, say: Callable[[str], None], rank: int = 8) -> Adapter:
    """LoRA beside all matrices of a base that is held in `precision`; None: in bfloat16 where that pays here."""
    if precision is None:
        times = speed("bf16")
        precision = "bf16" if times >= PAYS else "float32"
        say(f"the base in {precision}: bf16 has {times:.1f} times the speed of float32 here")
    return Adapter(kind="lora", rank=rank, alpha=2.0 * rank, precision=precision)


def tune_model(
    parts: Split, base: Path, adapter: Adapter, fitting: Fitting, seed: int, say: Callable[[str], None]
) -> TunedModel:
    """A checkpoint with an adapter and a head for the labels, stopped by the rows that calibrate."""
    open_lanes(cores())
    model, tokenizer = open_checkpoint(base)
    labels = sorted(set(parts.fit.labels))
    add_classes(model, len(labels), adapter, derive(seed, "adapter"))

    def read(rows: Rows) -> list[tuple[list[int], int]]:
        known = [(t, labels.index(label)) for t, label in zip(rows.texts, rows.labels, strict=True) if label in labels]
        return [(text_ids(text, tokenizer, model.config.context), index) for text, index in known]

    begin = time.process_time()

    def looked(step: int, steps: int, loss: float) -> None:
        say(f"step {step} of {steps}, held-out loss {loss:.3f}, {(time.process_time() - begin) / 60:.1f} CPU minutes")

    looks = Rows(parts.calibrate.texts[:LOOK_AT], parts.calibrate.labels[:LOOK_AT])
    fit_classes(model, read(parts.fit), read(looks), fitting, derive(seed, "fit"), looked)
    return TunedModel(labels, model, tokenizer, base, adapter)


def words(report: Report, error: float) -> list[str]:
    kept = report.threshold
    return [
        f"accuracy {report.accuracy:.1%} of {report.rows} unseen rows ({report.majority:.1%} by the commonest label), "
        f"calibration error {report.calibration_error:.1%}",
        f"at most {error:.0%} wrong with 95 % confidence: {kept.kept:.0%} kept, from confidence {kept.value:.3f} on"
        if kept.kept
        else f"no threshold keeps errors at most {error:.0%} with 95 % confidence: too few rows, or too many errors",
        *(f"  {is_} taken for {taken}: {count}" for is_, taken, count in report.confused[:5]),
    ]


def verdict(best: str, reports: dict[str, Report], out: Path) -> str:
    model, floor = (f"{reports[name].accuracy:.1%}" for name in (MODEL, FLOOR))
    if best == FLOOR:
        return f"The floor wins: {floor}, against {model} for the model, and far cheaper. {out} serves the floor."
    return f"The model wins: {model}, against {floor} for the floor. {out} serves the model; {out / FLOOR} is cheaper."


def record(report: Report) -> dict[str, Any]:
    """The report as JSON: a threshold that keeps nothing is null."""
    found = asdict(report)
    if not report.threshold.kept:
        found["threshold"]["value"] = None
    return found


def _write(out: Path, said: dict[str, Any]) -> None:
    (out / "report.json").write_text(json.dumps(said, ensure_ascii=False, indent=2, allow_nan=False), encoding="utf-8")
