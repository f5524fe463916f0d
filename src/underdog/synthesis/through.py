"""A recipe's conversations taken through its teachers: what the stages refine and reconstruct share."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from underdog.artifacts.store import Draft
from underdog.errors import UserError
from underdog.recipe.synthesis import Asking
from underdog.synthesis.items import Item
from underdog.synthesis.replies import Budget
from underdog.synthesis.work import REPLIES, Record, Teachers, counts, open_teachers, work_through
from underdog.tokens.conversation_files import ASIDE, ROWS, Aside, write_aside
from underdog.tokens.messages import Conversation


@contextmanager
def teachers(settings: Asking, names: Iterable[str], own: Mapping[str, Path], out: Draft) -> Iterator[Teachers]:
    """Over one cache for all artifacts of a store: another artifact, or another attempt, asks nothing twice."""
    budget = Budget(**settings.budget.model_dump())
    with open_teachers(names, out.kept / REPLIES, budget, own, settings.timeout) as models:
        yield models


def take_through(
    items: Sequence[Item],
    aside: Sequence[Aside],
    step: Callable[[Item], Record],
    answered: Callable[[Item, Record], Conversation | None],
    models: Teachers,
    failures: float,
    out: Draft,
) -> list[Record]:
    """Writes rows, records and what was set aside; counts how the items ended, and what that cost, in the metrics.

    Raises:
        UserError: teachers failed on too many, their budget is used up, or no row is left.
    """
    ended: Counter[str] = Counter()

    def see(done: int, total: int, record: Record) -> None:
        ended[record["ended"]] += 1
        out.progress(done, total, _said(ended))

    records = work_through(items, step, answered, out.path, models, see, failures)
    taught = sum(1 for _ in (out.path / ROWS).open(encoding="utf-8"))
    if not taught:
        raise UserError(
            f"No row is left to learn from: {_said(ended)}.",
            hint=f"underdog data show {out.path} --refinement says why.",
        )
    if aside:
        write_aside(out.path / ASIDE, aside)
    budget = next(iter(models.values())).budget
    out.metrics |= {
        "rows": len(items),
        "taught": taught,
        **counts(records),
        "asked": {name: dict(sorted(model.counts.items())) for name, model in models.items()},
        "tokens_read": budget.used_in,
        "tokens_written": budget.used_out,
        "money": budget.spent,
        "set_aside": len(aside),
    }
    return records


def _said(ended: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {how}" for how, count in ended.items())
