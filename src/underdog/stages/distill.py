"""Distil: a student learns what a teacher thinks of each token (Qwen3, strong-to-weak; Nanbeige4-3B, dual preference
distillation)."""

import copy
from collections.abc import Sequence
from pathlib import Path

import torch

from underdog.artifacts.store import Artifact, Draft
from underdog.generate.engine import Engine
from underdog.lanes import cut, side_by_side
from underdog.model.decoder import Decoder
from underdog.model.weights import load_pretrained, save_pretrained
from underdog.recipe.teaching import Distill
from underdog.seeds import derive
from underdog.tokens.tokenizer import Tokenizer
from underdog.train.batch import Batch, Group, collate_groups
from underdog.train.data import Shuffled
from underdog.train.lessons import Lesson, OnPolicy, answers, kept, pairs, right_answers
from underdog.train.objectives import policy_logprobs
from underdog.train.pool import Pool
from underdog.train.preference import NEGATIVE, PAIRS, POSITIVE, Distil, Dpd
from underdog.train.resume import Resumable
from underdog.train.schedules import warmup_cosine
from underdog.train.teacher import Cache, Teacher, with_teacher
from underdog.train.trainer import Trainer
from underdog.verify.problem import Problem
from underdog.verify.problem_files import read_problems

BETA = {"forward": 0.0, "reverse": 1.0}


def distill(settings: Distill, seed: int, start: Artifact, problems: Artifact, out: Draft) -> None:
    """Brings `start` nearer to the teacher on the training problems; writes a checkpoint."""
    tokenizer = Tokenizer.load(start.path)
    student = load_pretrained(start.path)
    teacher = Teacher.open(Path(settings.teacher).expanduser(), tokenizer, settings.top_k)
    train = read_problems(problems.path / "train.jsonl")
    dpd = settings.method == "dpd"
    reference = copy.deepcopy(student) if dpd and settings.preference else None
    named = not dpd or settings.positive + settings.negative > 0  # whether anything asks what the teacher thinks
    trainer = Trainer(student, settings.optimizer, objective(settings))
    run = Resumable(out, trainer, settings.steps)
    cache = None
    if settings.method == "on-policy":
        pool = Pool(train, derive(seed, "pool"), run.memory)
        lessons = OnPolicy(Engine(student, tokenizer.turn_end), tokenizer, pool, settings, seed)
    else:
        out.progress(0, settings.steps, "answering")
        groups = kept(out.state / "answers.json", lambda: prepared(settings, seed, student, teacher, tokenizer, train))
        lessons = Shuffled(list(enumerate(groups)), settings.batch_tokens, derive(seed, "order"), _tokens)
        cache = Cache(out.state / "teacher", teacher, groups) if settings.cached and named else None
        out.metrics["lessons"] = len(groups)

    def ready(part: Sequence[Lesson]) -> Batch:
        batch = collate_groups([group for _, group in part])
        if dpd:
            batch = as_pairs(batch, part, reference)
        if not named:
            return batch
        return with_teacher(batch, cache.name([number for number, _ in part]) if cache else teacher.name(batch))

    for step in run.steps():
        parts = side_by_side(ready, cut(lessons.at(step), _tokens, trainer.strategy.part_tokens))
        figures = trainer.update(parts, settings.lr * warmup_cosine(step / settings.steps, settings.warmup))
        out.log(step=step, **figures)
        out.progress(step + 1, settings.steps, f"loss {figures['loss']:.3f}")
    save_pretrained(student, tokenizer, out.path)
    out.metrics |= {"steps": settings.steps, "method": settings.method, "loss": figures["loss"]}


def objective(settings: Distill) -> Distil | Dpd:
    beta = BETA.get(settings.divergence, settings.jsd_beta)
    if settings.method != "dpd":
        return Distil(beta)
    return Dpd(settings.preference, settings.positive, settings.negative, settings.dpo_beta, beta)


def prepared(
    settings: Distill,
    seed: int,
    student: Decoder,
    teacher: Teacher,
    tokenizer: Tokenizer,
    train: Sequence[Problem],
) -> list[Group]:
    """The answers to learn from: the teacher's right ones, or pairs of its and of the student's as it begins."""
    problems = train[: settings.problems or len(train)]
    theirs = answers(Engine(teacher.model, tokenizer.turn_end), tokenizer, problems, settings, derive(seed, "teacher"))
    if settings.method != "dpd":
        return right_answers(theirs)
    own = answers(Engine(student, tokenizer.turn_end), tokenizer, problems, settings, derive(seed, "student"))
    return pairs(theirs, own, settings.margin)


@torch.no_grad()
def as_pairs(batch: Batch, part: Sequence[Lesson], reference: Decoder | None) -> Batch:
    """With the counts that DPD's components are divided by and, for the preference, the reference policy's
    log-probabilities."""
    sign_N = batch.extra["sign"]
    counts = {PAIRS: len(part), POSITIVE: float((sign_N > 0).sum()), NEGATIVE: float((sign_N < 0).sum())}
    extra = dict(batch.extra)
    if reference:
        logprobs_M, _, taught_M = policy_logprobs(reference, batch, 1.0)
        extra["reference"] = torch.zeros(batch.tokens).index_copy_(0, taught_M, logprobs_M)
    return Batch(batch.ids_N, batch.targets_N, batch.weights_N, batch.spans, extra, counts)


def _tokens(lesson: Lesson) -> int:
    return lesson[1].tokens
