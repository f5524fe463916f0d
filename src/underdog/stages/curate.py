"""Curation: text from all sources → scored, sorted into tiers, free of duplicates and of the test's
problems."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from underdog.artifacts.store import Draft
from underdog.errors import UserError
from underdog.recipe.schema import Curate
from underdog.text.corpus import CONTAMINATED, REJECTS, write_documents
from underdog.text.decontaminate import HeldOut
from underdog.text.funnel import Funnel
from underdog.text.judge import Judge, Scored
from underdog.text.nothing import refuse_empty
from underdog.text.passes import BANDS, Context, measure_unit, read_unit, warm_up
from underdog.text.readers.span import Unit, units
from underdog.text.shards import Shards
from underdog.text.sources import find_spans
from underdog.text.steps import (
    by_unit,
    drop_contaminated,
    drop_exact,
    drop_measured,
    drop_near_duplicates,
    note_repeats,
    read_funnel,
)
from underdog.text.summary import (
    EXCERPT,
    choose_deciles,
    choose_examples,
    count_reasons,
    count_sources,
    count_tiers,
    describe_agreement,
    describe_signals,
)
from underdog.text.tiers import TIERS, assign_tiers, check_shares, check_thresholds, tiers_by_threshold
from underdog.text.workers import Workers, hire

_READ, _MEASURED = 0.40, 0.90  # where the progress bar stands after each pass


def curate(settings: Curate, held_out: Mapping[str, str], out: Draft, cores: int = 1, on: str = "here") -> None:
    """Curates the corpus that `settings.sources` names (Nanbeige4-3B, section Data).

    `held_out` maps the id of an evaluation item to its text. Two passes over the disk keep memory bounded: the first
    reads and cleans, the second measures; between and after them, columns alone decide. Shards that are finished are
    not made again. The result hangs neither on `cores`, the number of worker processes, nor on where they run (`on`:
    "here", or "ray" for a Ray cluster).

    Writes documents.parquet, rejects.jsonl and contaminated.jsonl; the metrics hold the funnel, the signals'
    histograms, tiers and examples.

    Raises:
        UserError: a setting that cannot be, a source that is not there, or nothing left to keep.
    """
    check_shares(settings.keep)
    check_thresholds(settings.thresholds)
    work = list(units(find_spans(settings.sources, settings.text_field)))
    if not work:
        raise UserError("curate.sources holds no documents: nothing.", hint="Name a source that has text.")

    with hire(min(cores, len(work)), on, warm_up) as workers:
        looked_for = HeldOut(held_out) if settings.decontaminate and held_out else None
        context = Context(settings, Judge(settings), looked_for, out.state.absolute())
        _pass(workers, read_unit, {u: (u,) for u in work}, context, "read", out, (0.0, _READ))
        read = Shards([context.shard("read", unit.number) for unit in work])
        rejected = _gather_rejects(context, work, out.path / REJECTS)
        funnel = read_funnel(read)
        refuse_empty(funnel, settings, out.path / REJECTS)
        duplicates = drop_exact(funnel, read)
        note_repeats(context, funnel, read, work)
        items = {u: (u.number, rows) for u, rows in zip(work, by_unit(duplicates, read), strict=True)}
        _pass(workers, measure_unit, items, context, "measured", out, (_READ, _MEASURED))

    out.progress(_MEASURED, 1.0, "comparing documents")
    measured = Shards([context.shard("measured", unit.number) for unit in work])
    columns = measured.columns([name for name in measured.names if name not in ("text", "origin")])
    drop_measured(funnel, columns, settings)
    drop_near_duplicates(funnel, columns, measured, settings.near_duplicates)
    drop_contaminated(funnel, columns, settings.decontaminate, out.path / CONTAMINATED)
    refuse_empty(funnel, settings, out.path / REJECTS)

    left = funnel.left
    judged = columns.take(pa.array(left))
    scored = context.judge.score(judged)
    ids = judged["id"].to_pylist()
    if settings.thresholds:
        placed = tiers_by_threshold(scored.quality, settings.thresholds)
    else:
        placed = assign_tiers(scored.quality, funnel.characters[left].tolist(), ids, settings.keep, scored.groups)
    *_, lowest = settings.tiers
    funnel.drop("in a tier", [None if tier else f"below {lowest}" for tier in placed])
    refuse_empty(funnel, settings, out.path / REJECTS)

    out.progress(0.95, 1.0, "writing")
    tier = _spread(placed, left, len(columns))
    score = _spread([round(q, 4) for q in scored.quality.tolist()], left, len(columns))
    write_documents(out.path, _tables(measured, context.judge, scored, left, tier, score, funnel))
    sizes = funnel.characters.tolist(), funnel.tokens.tolist()
    ids_of_all = columns["id"].to_pylist()
    values = np.stack([judged[s.name].to_numpy() for s in context.judge.signals], axis=1)
    out.metrics.update(
        funnel=funnel.steps,
        rejected=rejected,
        dropped=count_reasons(funnel.dropped),
        tiers=count_tiers(*sizes, tier),
        sources=count_sources(columns["source"].to_pylist(), *sizes, tier),
        signals=describe_signals(values, scored.scores, context.judge.signals),
        **describe_agreement(scored, context.judge),
        deciles=_excerpts(measured, ids_of_all, score, choose_deciles(score)),
        examples=_excerpts(measured, ids_of_all, score, choose_examples(ids_of_all, tier, score)),
    )
    out.progress(1.0, 1.0, _result(out))


def _pass(
    workers: Workers,
    work: Callable[..., None],
    items: Mapping[Unit, tuple[Any, ...]],
    context: Context,
    step: str,
    out: Draft,
    part: tuple[float, float],
) -> None:
    """Has every unit done whose shard is not there yet, and tells how fast it goes."""
    total = sum(unit.size for unit in items) or 1
    missing = {unit: item for unit, item in items.items() if not context.shard(step, unit.number).exists()}
    done = begun = total - sum(unit.size for unit in missing)
    started = time.monotonic()
    by_item = {item[0]: unit for unit, item in missing.items()}
    doing = "reading" if step == "read" else "measuring"
    for item in workers.run(work, context, list(missing.values())):
        done += by_item[item[0]].size
        speed = (done - begun) / (time.monotonic() - started) / 1e6
        note = f"{doing} {done / 1e6:,.1f} of {total / 1e6:,.1f} MB, {speed:,.1f} MB/s"
        out.progress(part[0] + (part[1] - part[0]) * done / total, 1.0, note)


def _gather_rejects(context: Context, work: Sequence[Unit], path: Path) -> int:
    """Writes rejects.jsonl: file, place and reason of every record that was set aside; returns how many."""
    parts = [context.shard("rejects", unit.number).read_text(encoding="utf-8") for unit in work]
    path.write_text("".join(parts), encoding="utf-8")
    return sum(part.count("\n") for part in parts)


def _tables(
    measured: Shards,
    judge: Judge,
    scored: Scored,
    left: np.ndarray,
    tier: list[Any],
    score: list[Any],
    funnel: Funnel,
) -> Iterator[pa.Table]:
    """The rows of documents.parquet, a batch at a time."""
    raw = {signal.name for signal in judge.signals} | {BANDS, "dropped", "text"}
    decided = {
        "tier": pa.array(tier, pa.string()),
        "dropped": pa.array(funnel.dropped, pa.string()),
        "cluster": pa.array(funnel.cluster, pa.string()),
        "score": pa.array(score, pa.float64()),
    }
    place = np.full(len(tier), -1)
    place[left] = np.arange(len(left))
    places = pa.array(place, mask=place < 0)
    decided |= {s.name: pa.array(scored.scores[:, k], pa.int8()).take(places) for k, s in enumerate(judge.signals)}
    for first, table in measured.groups():
        known = {name: table[name] for name in table.column_names if name not in raw}
        new = {name: column.slice(first, len(table)) for name, column in decided.items()}
        yield pa.table({**known, **new, "text": table["text"]})


def _excerpts(
    measured: Shards, ids: Sequence[str], score: Sequence[float | None], chosen: Mapping[str, Sequence[int]]
) -> dict[str, list[dict[str, Any]]]:
    """Excerpts of the documents chosen, under the same names."""
    rows = np.unique([row for inside in chosen.values() for row in inside])
    shown = (
        {
            name: dict(zip(rows.tolist(), pa.chunked_array(measured.take(rows, name)).to_pylist(), strict=True))
            for name in ("source", "origin", "text")
        }
        if len(rows)
        else {}
    )

    def excerpt(row: int) -> dict[str, Any]:
        source, origin, text = (shown[name][row] for name in ("source", "origin", "text"))
        return {"id": ids[row], "source": source, "origin": origin, "score": score[row], "text": text[:EXCERPT]}

    return {name: [excerpt(row) for row in inside] for name, inside in chosen.items()}


def _spread(values: Sequence[Any], indices: np.ndarray, length: int) -> list[Any]:
    """Values of some documents as a column of all."""
    column: list[Any] = [None] * length
    for index, value in zip(indices.tolist(), values, strict=True):
        column[index] = value
    return column


def _result(out: Draft) -> str:
    tiers = out.metrics["tiers"]
    read = out.metrics["funnel"][0]["documents"]
    return f"{read:,} documents → " + ", ".join(f"{tiers[t]['documents']:,} {t}" for t in reversed(TIERS))
