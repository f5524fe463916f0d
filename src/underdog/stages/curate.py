"""Curation: text from all sources → scored, sorted into tiers, free of duplicates and of the test's
problems."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from underdog.artifacts.store import Draft
from underdog.errors import UserError
from underdog.recipe.schema import Curate
from underdog.text.corpus import write_documents, write_rejects
from underdog.text.decontaminate import HeldOut, contaminated
from underdog.text.document import Document, Reject
from underdog.text.duplicates import exact_duplicates, near_duplicates
from underdog.text.funnel import Funnel
from underdog.text.scores import choose_signals, measure, overall, rank
from underdog.text.sources import read_sources
from underdog.text.summary import count_reasons, count_sources, count_tiers, describe_signals, examples
from underdog.text.tiers import TIERS, assign_tiers, check_shares

_READ, _COMPARED, _SCORED = 0.40, 0.55, 0.95  # where the progress bar stands after each part


def curate(settings: Curate, held_out: Mapping[str, str], out: Draft) -> None:
    """Curates the corpus that `settings.sources` names (Nanbeige4-3B, section Data; here by counting).

    `held_out` maps the id of an evaluation item to its text. Writes documents.parquet and rejects.jsonl; the
    metrics hold the funnel, the signals' histograms, tiers and examples.

    Raises:
        UserError: a setting that cannot be, a source that is not there, or nothing left to keep.
    """
    signals = choose_signals(settings.signals)
    check_shares(settings.keep)

    rejects: list[Reject] = []
    funnel = Funnel(list(_reading(settings.sources, rejects, out)))
    write_rejects(out.path, rejects)
    _refuse_empty(funnel, settings.sources, len(rejects))

    out.progress(_READ, 1.0, f"comparing {len(funnel.documents):,} documents")
    short = ["short" if len(text) < settings.minimum_characters else None for text in funnel.texts]
    funnel.drop("long enough", short)
    funnel.drop_duplicates("no duplicates", exact_duplicates(funnel.texts), lambda kept: "duplicate")
    if settings.near_duplicates:
        like = near_duplicates(funnel.texts, settings.near_duplicates)
        funnel.drop_duplicates("no near-duplicates", like, lambda kept: f"near-duplicate of {kept.id}")
    if settings.decontaminate and held_out:
        found = contaminated(funnel.texts, HeldOut(held_out), settings.decontaminate)
        funnel.drop("not contaminated", [f"contaminated by {name}" if name else None for name in found])
    _refuse_empty(funnel, settings.sources, len(rejects))

    scored = funnel.left
    texts = funnel.texts
    values = measure(_watched(texts, out), signals)
    scores = rank(values)
    quality = overall(scores, signals)

    ids = [funnel.documents[i].id for i in scored]
    placed = assign_tiers(quality, [len(text) for text in texts], ids, settings.keep)
    lowest = [tier for tier in TIERS if settings.keep.get(tier)][-1]
    funnel.drop("in a tier", [None if tier else f"below {lowest}" for tier in placed])

    out.progress(_SCORED, 1.0, "writing")
    tier = _spread(placed, scored, funnel)
    score = _spread([round(q, 4) for q in quality.tolist()], scored, funnel)
    write_documents(
        out.path,
        funnel.documents,
        scores={s.name: _spread(scores[:, k].tolist(), scored, funnel) for k, s in enumerate(signals)},
        score=score,
        tier=tier,
        dropped=funnel.dropped,
        cluster=funnel.cluster,
    )
    out.metrics.update(
        funnel=funnel.steps,
        rejected=len(rejects),
        dropped=count_reasons(funnel.dropped),
        tiers=count_tiers(funnel.documents, tier),
        sources=count_sources(funnel.documents, tier),
        signals=describe_signals(values, scores, signals),
        examples=examples(funnel.documents, tier, score),
    )
    out.progress(1.0, 1.0, _result(out))


def _reading(sources: Sequence[str], rejects: list[Reject], out: Draft) -> Iterator[Document]:
    for number, document in enumerate(read_sources(sources, rejects.append)):
        if number % 250 == 0:
            done = _READ * sources.index(document.source) / len(sources)
            out.progress(done, 1.0, f"reading {document.source}: {number:,} documents")
        yield document


def _watched(texts: Sequence[str], out: Draft) -> Iterator[str]:
    for number, text in enumerate(texts):
        if number % 250 == 0:
            done = _COMPARED + (_SCORED - _COMPARED) * number / len(texts)
            out.progress(done, 1.0, f"scoring {number:,} of {len(texts):,} documents")
        yield text


def _spread(values: Sequence[Any], indices: Sequence[int], funnel: Funnel) -> list[Any]:
    """Values of some documents as a column of all."""
    column: list[Any] = [None] * len(funnel.documents)
    for index, value in zip(indices, values, strict=True):
        column[index] = value
    return column


def _refuse_empty(funnel: Funnel, sources: Sequence[str], rejected: int) -> None:
    if funnel.left:
        return
    named = ", ".join(sources) or "nothing"
    if funnel.documents:
        reasons = ", ".join(f"{count} {kind}" for kind, count in count_reasons(funnel.dropped).items())
        raise UserError(
            f"No document of {named} is left: of {len(funnel.documents)}, {reasons}.",
            hint="Loosen curate.minimum_characters, curate.near_duplicates or curate.decontaminate.",
        )
    bad = f"; {rejected} bad records were set aside" if rejected else ""
    raise UserError(f"curate.sources holds no documents: {named}{bad}.", hint="Name a source that has text.")


def _result(out: Draft) -> str:
    tiers = out.metrics["tiers"]
    read = out.metrics["funnel"][0]["documents"]
    return f"{read:,} documents → " + ", ".join(f"{tiers[t]['documents']:,} {t}" for t in reversed(TIERS))
