"""Tokenize: train the tokenizer on what curation kept, and turn text into shards of ids by tier."""

import hashlib

from underdog.artifacts.store import Artifact, Draft
from underdog.errors import UserError
from underdog.recipe.schema import Tokenizer as Settings
from underdog.text.arithmetic import tables
from underdog.text.corpus import read_tier
from underdog.text.tiers import TIERS
from underdog.tokens.chat import render
from underdog.tokens.shards import write_shard
from underdog.tokens.tokenizer import Tokenizer
from underdog.verify.problem import Problem
from underdog.verify.problem_files import read_problems

HELD_OUT = 0.03  # share of the good documents that no phase reads: the loss on them is the one to trust
GOOD = ("high", "top")
TABLES_SEED = 0  # the order of the facts; the tables themselves hold no chance


def tokenize(settings: Settings, curated: Artifact, problems: Artifact, out: Draft) -> None:
    """Writes tokenizer.json and one shard a source: the tiers, `held-out` good text, and two that a recipe may mix
    in for more mathematics and synthetic data (Nanbeige4-3B's decay stage): `arithmetic` and `demonstrations`."""
    tiers = {tier: list(read_tier(curated.path, tier)) for tier in TIERS}
    demonstrations = read_problems(problems.path / "demonstrations.jsonl")
    held_out = [doc for tier in GOOD for doc in tiers[tier] if _is_held_out(doc.id)]
    apart = {doc.id for doc in held_out}
    kept = {tier: [doc.text for doc in docs if doc.id not in apart] for tier, docs in tiers.items()}

    if not held_out or not any(kept.values()):
        documents = sum(map(len, tiers.values()))
        raise UserError(
            f"Curation kept {documents} documents: too few to train on and hold out {HELD_OUT:.0%} of the good ones.",
            hint="Add text to curate.sources, or raise the shares in curate.keep.",
        )

    out.progress(0, 2, "training the tokenizer")
    texts = [text for docs in kept.values() for text in docs] + [_as_text(problem) for problem in demonstrations]
    tokenizer = Tokenizer.train(texts, settings.vocabulary, settings.splitter)
    tokenizer.save(out.path, context=0)

    out.progress(1, 2, "encoding")
    shards = {**kept, "held-out": [doc.text for doc in held_out]}
    counts = {}
    for name, documents in shards.items():
        ids = (ids + [tokenizer.end_of_text] for ids in tokenizer.encode_many(documents))
        counts[name] = write_shard(out.path, name, ids, tokenizer.vocabulary)
    facts = (tokenizer.encode(text) + [tokenizer.end_of_text] for text in tables(TABLES_SEED))
    counts["arithmetic"] = write_shard(out.path, "arithmetic", facts, tokenizer.vocabulary)
    chats = (render(problem.conversation(), tokenizer).ids + [tokenizer.end_of_text] for problem in demonstrations)
    counts["demonstrations"] = write_shard(out.path, "demonstrations", chats, tokenizer.vocabulary)
    characters = sum(len(text.encode()) for documents in shards.values() for text in documents)
    tokens = sum(counts[name] for name in shards)
    out.metrics = {"vocabulary": tokenizer.vocabulary, "tokens": counts, "bytes_per_token": characters / tokens}
    out.progress(2, 2)


def _as_text(problem: Problem) -> str:
    return "\n".join(part for message in problem.conversation() for part in (message.reasoning or "", message.content))


def _is_held_out(document_id: str) -> bool:
    """By the document's own digest, so that the choice does not move when others come or go."""
    return int(hashlib.sha256(document_id.encode()).hexdigest()[:8], 16) < HELD_OUT * 2**32
