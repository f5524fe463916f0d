"""What a model is trained on, token by token: those that carry loss stand out."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from underdog.artifacts.runs import RECORD, model_folder
from underdog.errors import UserError
from underdog.stages.order import synthesised, taught_data
from underdog.stages.pipeline import open_run
from underdog.synthesis.asking import Teacher
from underdog.synthesis.work import read_records
from underdog.tokens.chat import Rendered, rows
from underdog.tokens.conversation_files import Aside, read_conversations
from underdog.tokens.messages import Conversation
from underdog.tokens.tokenizer import Tokenizer
from underdog.train.taught import conversations, silent

TRAINED = ("black on green", "black on bright_green")  # by turns, so that each token can be seen
READ = ("dim", "dim underline")


def show_data(path: Path, model: Path | None, count: int) -> None:
    """Prints the first `count` conversations of a file, or of what a run's SFT read, as rows of tokens.

    Raises:
        UserError: a file needs a model, whose tokenizer and template make the rows.
    """
    console = Console()
    aside: list[Aside] = []
    keep_all_think = False
    if (path / RECORD).exists():
        found, folder, keep_all_think = _of_run(path, aside)
    else:
        found, aside[:] = read_conversations(path)
        folder = None
    folder = model_folder(model) if model else folder
    if folder is None:
        raise UserError(
            f"{path} is text; its tokens are those of a model.", hint="Name one: underdog data show FILE --model RUN"
        )
    tokenizer = Tokenizer.load(folder)
    console.print("trained", style=TRAINED[0], end="  ")
    console.print("read only", style=READ[0])
    for conversation in islice(found, count):
        for row in rows(conversation.messages, tokenizer, tools=conversation.tools, keep_all_think=keep_all_think):
            console.print(f"\n{conversation.where}: {len(row.ids)} tokens, {sum(row.mask)} trained", highlight=False)
            console.print(coloured(row, tokenizer), soft_wrap=True)
    for one in aside:
        console.print(_aside(one), style="yellow", highlight=False, markup=False, soft_wrap=True)


def show_records(path: Path, count: int) -> None:
    """Every step of the first `count` records that refine or reconstruct wrote: into a folder, or in a run."""
    console = Console()
    for out in _synthesised(path):
        if out != path:
            console.rule(str(out))
        for record in islice(read_records(out), count):
            console.print(f"\n{record['where']}: {record['ended']}", style="bold", highlight=False, soft_wrap=True)
            for name, value in record.items():
                if name not in ("where", "ended"):
                    console.print(f"{name}:", style="bold")
                    console.print(_step(value), highlight=False, markup=False, soft_wrap=True)


def _synthesised(path: Path) -> list[Path]:
    """The folders with records: those of a run, or this one."""
    if not (path / RECORD).exists():
        return [path]
    made = open_run(path).artifacts
    found = [made[stage].path for stage in ("refine", "reconstruct") if stage in made]
    if not found:
        raise UserError(
            f"{path} has neither refined nor reconstructed.", hint="docs/teaching.md says how a recipe does."
        )
    return found


def show_asking(models: Sequence[Teacher], aside: Sequence[Aside]) -> None:
    """What was asked, how it went, and what it cost."""
    console = Console(stderr=True)
    for one in aside:
        console.print(_aside(one), style="yellow", highlight=False, markup=False, soft_wrap=True)
    for model in models:
        console.print(
            f"{model.name}: " + ", ".join(f"{n:,} {what}" for what, n in model.counts.items()), highlight=False
        )
    budget = models[0].budget
    console.print(
        f"{budget.used_in:,} tokens read, {budget.used_out:,} written, {budget.spent:.4g} of money", highlight=False
    )


def _aside(one: Aside) -> str:
    return f"set aside: {one.where}: {one.reason}"


def _step(value: Any) -> str:
    """A step for a person: texts as they are, lists line by line."""
    if isinstance(value, list):
        return "\n".join(_step(one) for one in value)
    if isinstance(value, dict):
        return "\n".join(f"  {name}: {_step(one)}" for name, one in value.items())
    return str(value)


def coloured(row: Rendered, tokenizer: Tokenizer) -> Text:
    """The row's text, each token in its colour; where there is no colour, trained stretches stand in brackets."""
    text = Text()
    bracketed = Console().no_color or not Console().is_terminal
    for index, (token, trained) in enumerate(zip(row.ids, row.mask, strict=True)):
        if bracketed and trained and not row.mask[index - 1]:
            text.append("[[")
        piece = tokenizer.core.decode([token], skip_special_tokens=False)
        text.append(piece, (TRAINED if trained else READ)[index % 2])
        if bracketed and trained and not (row.mask[index + 1 : index + 2] or [False])[0]:
            text.append("]]")
    return text


def _of_run(path: Path, aside: list[Aside]) -> tuple[list[Conversation], Path, bool]:
    """The conversations as SFT took them, the folder of the tokenizer, and sft.keep_all_think."""
    run = open_run(path)
    if "problems" not in run.artifacts or not run.artifacts.keys() & {"tokenize", "base"}:
        raise UserError(f"{path} has not come as far as SFT.", hint="Run its recipe on.")
    tokens = next(run.artifacts[name] for name in ("tokenize", "base") if name in run.artifacts)
    rows = synthesised(run.recipe)
    if not run.artifacts.keys() >= set(rows):
        raise UserError(f"{path} has not come as far as SFT: {rows[0]} is missing.", hint="Run its recipe on.")
    sft = run.recipe.sft
    found = conversations(taught_data(sft.data, run.artifacts, rows), run.artifacts["problems"].path, aside)
    return [one if sft.reasoning else silent(one) for one in found], tokens.path, sft.keep_all_think
