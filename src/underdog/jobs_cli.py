"""The verbs of the narrow jobs: a table in, the same table with results out."""

from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from underdog.errors import UserError

Table = Annotated[Path, typer.Argument(help="A table: .csv, .jsonl or .parquet.", show_default=False)]
JobModel = Annotated[str, typer.Option("--model", help="As for chat.")]
Column = Annotated[str, typer.Option(help="The column with the texts.")]
Out = Annotated[
    Path | None, typer.Option(help="Where the results go; a stopped job goes on there.", show_default=False)
]
Workers = Annotated[
    int, typer.Option(help="Rows at once: threads where the model draws side by side, else processes.", min=1)
]
Labels = Annotated[list[str], typer.Option("--label", help='A label, or "name: description" (repeatable).')]
HeldOutFile = Annotated[
    Path | None, typer.Option(help="Labelled rows that set calibration and threshold.", show_default=False)
]
HeldOutLabel = Annotated[str, typer.Option(help="Their column with the labels.")]
MostWrong = Annotated[float, typer.Option(help="Most of what is kept that may be wrong, with 95 % confidence.")]
Now = Annotated[datetime | None, typer.Option(help='What "tomorrow" starts from; else today.', show_default=False)]


def add_to(app: typer.Typer) -> None:
    for verb in (classify, route, extract, entities, normalize, dialog, complete, tag, tune):
        app.command()(verb)


def classify(
    file: Table,
    model: JobModel,
    label: Labels = [],  # noqa: B006
    multi: Annotated[bool, typer.Option("--multi", help="Any number of labels may hold.")] = False,
    abstain: Annotated[
        float | None,
        typer.Option(
            help="Least probability of an answer: 0; with --multi of each label: 0.5.", min=0, max=1, show_default=False
        ),
    ] = None,
    held_out: HeldOutFile = None,
    label_column: HeldOutLabel = "label",
    error: Annotated[
        float | None, typer.Option(help="With --held-out: most of the answers that may be wrong; else 0.05.")
    ] = None,
    column: Column = "text",
    workers: Workers = 1,
    out: Out = None,
) -> None:
    """Sort texts into labels, with probabilities.

    One pass of the model over the labels; no text is generated. Names with "/" are a hierarchy ("card/lost"): where
    only its upper level is sure, that is the answer.
    """
    from underdog.tasks.run import HeldOut, Over, classify_file

    if error is not None and held_out is None:
        raise UserError("--error has no effect without --held-out.")
    if abstain is not None and held_out:
        raise UserError("--held-out sets what --abstain would set: give one of them.")
    held = HeldOut(held_out, label_column, 0.05 if error is None else error) if held_out else None
    print(classify_file(Over(file, out, column, workers), model, label, multi, abstain, held))


def route(
    file: Table,
    model: JobModel,
    held_out: Annotated[
        Path, typer.Option(help="Labelled rows that set calibration and threshold.", show_default=False)
    ],
    label: Labels = [],  # noqa: B006
    to: Annotated[list[str], typer.Option(help='"label: service" that takes its texts (repeatable).')] = [],  # noqa: B006
    large: Annotated[str | None, typer.Option(help="Model that answers the rest.", show_default=False)] = None,
    label_column: HeldOutLabel = "label",
    error: MostWrong = 0.02,
    local_cost: Annotated[float, typer.Option(help="Of one text.", min=0)] = 0.0,
    large_cost: Annotated[float, typer.Option(help="Of one text.", min=1e-12)] = 1.0,
    column: Column = "text",
    workers: Workers = 1,
    out: Out = None,
) -> None:
    """Say who answers each text: a service, a local or a large model.

    Prints the share that is kept, its risk, and what it saves.
    """
    from underdog.tasks.run import HeldOut, Over, route_file

    held, costs = HeldOut(held_out, label_column, error), (local_cost, large_cost)
    print(route_file(Over(file, out, column, workers), model, label, to, large, held, costs))


def extract(
    file: Table,
    model: JobModel,
    form: Annotated[
        str,
        typer.Option(help="JSON: a schema, or an object whose values say what is wanted; or file.py:PydanticModel."),
    ],
    column: Column = "text",
    workers: Workers = 1,
    out: Out = None,
) -> None:
    """Fill a form from each text; every value with its place."""
    from underdog.tasks.run import Over, extract_file

    print(extract_file(Over(file, out, column, workers), model, form))


def entities(
    file: Table,
    model: JobModel,
    type_: Annotated[list[str], typer.Option("--type", help='A type, or "name: examples" (repeatable).')] = [],  # noqa: B006
    window: Annotated[int, typer.Option(help="Characters that are read at once.", min=1)] = 2000,
    overlap: Annotated[int, typer.Option(help="Characters that a window shares with the next.", min=0)] = 200,
    column: Column = "text",
    workers: Workers = 1,
    out: Out = None,
) -> None:
    """Find names and other things in each text, with checked places."""
    from underdog.tasks.run import Over, entities_file

    print(entities_file(Over(file, out, column, workers), model, type_, window, overlap))


def normalize(
    file: Table,
    columns: Annotated[
        list[str],
        typer.Option(
            "--column", help='"column: kind" of date, time, amount, phone, name, spelling, style (repeatable).'
        ),
    ],
    region: Annotated[
        str | None, typer.Option(help='Whose dates, commas and phone numbers: "RU", "US", …', show_default=False)
    ] = None,
    language: Annotated[list[str], typer.Option(help="Languages of the texts (repeatable).")] = ["en", "ru"],  # noqa: B006
    now: Now = None,
    prefer: Annotated[
        str, typer.Option(help="Where a date without a year lies: past, future, current_period.")
    ] = "current_period",
    model: Annotated[str | None, typer.Option(help="Asked where the rules cannot tell.", show_default=False)] = None,
    tone: Annotated[str, typer.Option(help='For style: how the model is to rewrite ("formal and short").')] = "",
    workers: Workers = 1,
    out: Out = None,
) -> None:
    """Bring dates, amounts, phones, names and spelling to one form.

    Every value says who decided it: the rules, the model, or nobody.
    """
    from underdog.tasks.normalize.place import Place
    from underdog.tasks.run import Over, normalize_file

    place = Place(tuple(language), region, now or _today(), prefer)
    print(normalize_file(Over(file, out, "", workers), columns, place, model, tone, today=now is None))


def dialog(
    script: Annotated[Path, typer.Argument(help="A script, YAML (docs/jobs.md).", show_default=False)],
    model: JobModel,
    file: Annotated[
        Path | None,
        typer.Option(help="A table of dialogues instead of the terminal: a line a turn.", show_default=False),
    ] = None,
    now: Now = None,
    column: Column = "text",
    workers: Workers = 1,
    out: Out = None,
) -> None:
    """Fill forms in a dialogue, by a script.

    The model turns words into commands; the script's form does the rest.
    """
    from underdog.tasks.run import Over, dialog_file, talk

    if file is None:
        talk(model, script, now or datetime.now().replace(microsecond=0))
    else:
        print(dialog_file(Over(file, out, column, workers), model, script, now or _today(), today=now is None))


def complete(
    model: Annotated[str, typer.Argument(help="As for chat.", show_default=False)],
    file: Annotated[
        typer.FileText,
        typer.Argument(help="Text or code; - for what is piped in.", encoding="utf-8", show_default=False),
    ],
    here: Annotated[
        str, typer.Option(help="Marks the gap in it; without the mark, the text goes on at its end.")
    ] = "<FILL>",
    max_tokens: Annotated[int, typer.Option(help="Most tokens to write.", min=1)] = 128,
    temperature: Annotated[float, typer.Option(help="0: always the likeliest token.")] = 0.0,
    stop: Annotated[list[str], typer.Option(help="It ends before this text (repeatable).")] = [],  # noqa: B006
) -> None:
    """Go on with a text, or fill the gap in it, as code models do.

    Only what is new is printed.
    """
    from underdog.tasks.complete import complete_text

    complete_text(model, file, here, max_tokens, temperature, stop)


def tag(
    file: Table,
    out: Annotated[Path, typer.Option(help="Folder for the tagger.", show_default=False)],
    column: Column = "text",
    spans: Annotated[str, typer.Option(help="The column with the spans: a list of {start, end, type}.")] = "entities",
    layers: Annotated[int, typer.Option(help="How deep spans lie in one another.", min=1, max=5)] = 1,
) -> None:
    """Fit a tagger to labelled spans, and judge it on unseen rows.

    A CRF over words and their shapes, the floor that a language model has to beat: `underdog entities FILE --model
    FOLDER` uses it.
    """
    from underdog.tasks.run import tag_file

    print(tag_file(file, out, column, spans, layers))


def _today() -> datetime:
    return datetime.now().replace(hour=0, minute=0, second=0, microsecond=0)


def tune(
    file: Table,
    out: Annotated[Path, typer.Option(help="Folder for the classifier and its report.", show_default=False)],
    column: Column = "text",
    label: Annotated[str, typer.Option(help="The column with the labels.")] = "label",
    error: Annotated[float, typer.Option(help="Most of what is kept that may be wrong: sets the threshold.")] = 0.05,
    model: Annotated[
        Path | None,
        typer.Option(help="Tune this one too: a folder, a run or a .gguf file.", show_default=False),
    ] = None,
    epochs: Annotated[
        float | None, typer.Option(help="Most passes of the model over the rows: 2.", min=0.01, show_default=False)
    ] = None,
    lr: Annotated[
        float | None, typer.Option(help="Highest learning rate of its adapter and head: 1e-3.", show_default=False)
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(help="Most that fitting the model may take, by the clock.", min=0.1, show_default=False),
    ] = None,
    precision: Annotated[
        Literal["float32", "bf16"] | None,
        typer.Option(help="What the frozen base is multiplied in: what is faster here.", show_default=False),
    ] = None,
    seed: int = 0,
) -> None:
    """Fit a classifier to labelled rows, and judge it on unseen ones.

    TF-IDF under a linear model is the floor. With --model a language model is tuned beside it, by LoRA and a head,
    until held-out rows stop getting better; the better of both is what `underdog classify FILE --model FOLDER` uses.
    """
    from underdog.stages.tune import tune_file
    from underdog.train.classifying import Fitting

    if model is None and (epochs or lr or minutes or precision):
        words = "--epochs, --lr, --minutes and --precision say how a model is tuned; there is none."
        raise UserError(words, hint="Give --model.")
    fitting = Fitting(epochs or Fitting.epochs, lr=lr or Fitting.lr, minutes=minutes or Fitting.minutes)
    say = partial(typer.echo, err=True)
    print(tune_file(file, out, column, label, error, seed, model, precision, fitting, say))
