"""SFT: teach the chat form and worked reasoning from conversations; only what the assistant says carries loss."""

from underdog import world
from underdog.artifacts.store import Artifact, Draft
from underdog.errors import UserError
from underdog.lanes import cut
from underdog.model.adapters import attach, merge, save_adapter
from underdog.model.weights import load_pretrained
from underdog.recipe.teaching import Sft
from underdog.seeds import derive
from underdog.tokens.conversation_files import ASIDE, write_aside
from underdog.tokens.tokenizer import Tokenizer
from underdog.train.batch import collate
from underdog.train.mixture import mixed
from underdog.train.neftune import Noisy
from underdog.train.objectives import next_token
from underdog.train.resume import Resumable
from underdog.train.schedules import warmup_cosine
from underdog.train.strategy import Strategy
from underdog.train.taught import read_taught
from underdog.train.trainer import Trainer


def sft(
    settings: Sft,
    steps: int,
    seed: int,
    base: Artifact,
    problems: Artifact,
    out: Draft,
    strategy: Strategy | None = None,
) -> None:
    """Fine-tunes `base` on the conversations for `steps` steps; writes a checkpoint, and which rows were set aside."""
    tokenizer = Tokenizer.load(base.path)
    model = load_pretrained(base.path)
    tokenizer.check_fits(model.config.vocabulary, base.path)
    adapter = settings.adapter
    if adapter.kind != "none":
        if world.size() > 1:
            raise UserError("Adapters are trained by one process.", hint="Leave --nproc out, or sft.adapter.")
        attach(model, adapter, derive(seed, "adapter"))
    taught = read_taught(settings, tokenizer, model.config.context, problems.path)
    examples = mixed(taught.domains, settings, steps, derive(seed, "order"))
    objective = Noisy(next_token, settings.neftune, derive(seed, "noise")) if settings.neftune else next_token
    trainer = Trainer(model, settings.optimizer, objective, strategy)
    for step in Resumable(out, trainer, steps).steps():
        batch = examples.at(step)
        parts = [collate(part) for part in cut(batch, lambda one: len(one.ids), trainer.strategy.part_tokens)]
        figures = trainer.update(parts, settings.lr * warmup_cosine(step / steps, settings.warmup))
        out.log(step=step, epoch=examples.epochs(step + 1), **figures)
        out.progress(step + 1, steps, f"loss {figures['loss']:.3f}")
    if adapter.kind != "none":
        save_adapter(model, adapter, base.path.name, out.path / "adapter")
        merge(model)
    trainer.save(tokenizer, out.path)
    if taught.aside and trainer.strategy.leads:
        write_aside(out.path / ASIDE, taught.aside)
    out.metrics = {
        "steps": steps,
        "demonstrations": taught.conversations,
        "epochs": examples.epochs(steps),
        "rows": {name: len(rows) for name, rows in taught.domains.items()},
        "set_aside": len(taught.aside),
    }
