"""Chains: conversations that teach a model of our own to write the reasoning that leads to an answer."""

from collections.abc import Sequence

from underdog.artifacts.store import Artifact, Draft
from underdog.errors import UserError
from underdog.synthesis.items import Item, ends_in_answer
from underdog.synthesis.reconstruct import completion_rows
from underdog.synthesis.work import write_rows
from underdog.tokens.conversation_files import ASIDE, ROWS, Aside, write_aside
from underdog.train.taught import conversations


def chains(data: Sequence[str], problems: Artifact, out: Draft) -> None:
    """Writes what an SFT of the chain-completion model reads, from the answers in `data` that have their reasoning."""
    aside: list[Aside] = []
    items = [Item(one) for one in conversations(data, problems.path, aside) if ends_in_answer(one)]
    rows = list(completion_rows(items))
    if not rows:
        raise UserError(
            f"None of {len(items):,} answers has its reasoning.", hint="reconstruct.own.data names some that do."
        )
    write_rows(out.path / ROWS, rows)
    if aside:
        write_aside(out.path / ASIDE, aside)
    out.metrics = {"answers": len(items), "conversations": len(rows), "set_aside": len(aside)}
