"""SFT: teach the chat form and worked reasoning from demonstrations; only what the assistant says carries loss."""

from underdog.artifacts.store import Artifact, Draft
from underdog.errors import UserError
from underdog.model.weights import load_pretrained
from underdog.recipe.schema import Sft
from underdog.seeds import derive
from underdog.tokens.chat import rows
from underdog.tokens.tokenizer import Tokenizer
from underdog.train.batch import Example, collate, cut
from underdog.train.data import PART_TOKENS, Shuffled
from underdog.train.objectives import next_token
from underdog.train.resume import Resumable
from underdog.train.schedules import warmup_cosine
from underdog.train.strategy import Strategy
from underdog.train.trainer import Trainer
from underdog.verify.problem import Problem
from underdog.verify.problem_files import read_problems


def sft(
    settings: Sft,
    steps: int,
    seed: int,
    base: Artifact,
    problems: Artifact,
    out: Draft,
    strategy: Strategy | None = None,
) -> None:
    """Fine-tunes `base` on the demonstrations for `steps` steps; writes a checkpoint."""
    tokenizer = Tokenizer.load(base.path)
    model = load_pretrained(base.path)
    tokenizer.check_fits(model.config.vocabulary, base.path)
    demonstrations = read_problems(problems.path / "demonstrations.jsonl")
    examples = Shuffled(
        [example(problem, tokenizer, model.config.context) for problem in demonstrations],
        settings.batch_tokens,
        derive(seed, "order"),
    )
    trainer = Trainer(model, settings.optimizer, next_token, strategy)
    for step in Resumable(out, trainer, steps).steps():
        batch = examples.at(step)
        parts = [collate(part) for part in cut(batch, lambda one: len(one.ids), PART_TOKENS)]
        figures = trainer.update(parts, settings.lr * warmup_cosine(step / steps, settings.warmup))
        out.log(step=step, epoch=examples.epochs(step + 1), **figures)
        out.progress(step + 1, steps, f"loss {figures['loss']:.3f}")
    trainer.save(tokenizer, out.path)
    out.metrics = {"steps": steps, "demonstrations": len(demonstrations), "epochs": examples.epochs(steps)}


def example(problem: Problem, tokenizer: Tokenizer, context: int) -> Example:
    """A demonstration as ids and mask."""
    (rendered,) = rows(problem.conversation(), tokenizer)
    if len(rendered.ids) > context:
        raise UserError(
            f"Demonstration {problem.id} ({problem.task}) has {len(rendered.ids)} tokens; "
            f"the model's context holds {context}.",
            hint="Raise model.context or leave that problem out.",
        )
    return Example(rendered.ids, rendered.mask)
