"""The run card: one HTML page that tells what a run made, from what, and how good it is."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from underdog.errors import extra

if TYPE_CHECKING:
    from underdog.stages.pipeline import Run


def write_card(run: "Run", path: Path) -> Path:
    """Writes the card of a run, finished or not, to `path`; the same run gives the same bytes.

    The page stands alone: style and plots are inside it, and it loads nothing.

    Raises:
        UserError: Jinja2 or Matplotlib is not installed.
    """
    path = Path(path)
    page = render(run)
    draft = path.with_name(path.name + ".tmp")
    draft.write_bytes(page.encode("utf-8", "replace"))  # a model may print half a character, a file cannot hold it
    draft.replace(path)
    return path


def render(run: "Run") -> str:
    """The card's HTML."""
    with extra("report", "The run card"):
        from underdog.report import samples, sections
        from underdog.report.settings import as_toml
        from underdog.report.table import sentence, summary_rows

        templates = _templates()

    artifacts = run.artifacts
    rows = summary_rows(artifacts)
    return templates.get_template("card.html.jinja").render(
        name=run.recipe.name,
        seed=run.recipe.seed,
        sentence=sentence(artifacts),
        last=max(artifacts.values(), key=lambda artifact: artifact.manifest["finished"], default=None),
        model=next(
            (artifacts[stage] for stage in ("reinforce", "distill", "sft", "pretrain", "base") if stage in artifacts),
            None,
        ),
        rows=rows,
        reach=max((row.sampled.high for row in rows if row.sampled), default=1.0) or 1.0,
        text=sections.text(artifacts.get("curate")),
        tokenizer=artifacts["tokenize"].metrics if "tokenize" in artifacts else None,
        pretraining=sections.pretraining(run.recipe, artifacts.get("pretrain")),
        synthesis=sections.synthesis(artifacts),
        accuracy=sections.accuracy(artifacts),
        reinforcement=sections.reinforcement(artifacts.get("reinforce")),
        samples=samples.choose(artifacts),
        kinds=samples.KINDS,
        files=sections.files(artifacts.get("export")),
        lineage=sections.lineage(artifacts),
        toml=as_toml(run.recipe.model_dump(by_alias=True)),
    )


def _templates():
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from underdog.report import words

    templates = Environment(
        loader=PackageLoader("underdog.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names = ("percent", "points", "count", "short", "size", "figure", "clock", "spoken", "day")
    templates.filters.update({name: getattr(words, name) for name in names})
    templates.filters["plain"] = plain
    return templates


def plain(text: str) -> str:
    """Text without the control characters that HTML forbids."""
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", "\N{REPLACEMENT CHARACTER}", text)
