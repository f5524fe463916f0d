"""Tokenize: train the tokenizer on what curation kept, and turn text into shards of ids by tier."""

import hashlib

from underdog.artifacts.store import Artifact, Draft
from underdog.errors import UserError
from underdog.recipe.schema import GOOD
from underdog.recipe.schema import Tokenizer as Settings
from underdog.text.arithmetic import tables
from underdog.text.corpus import read_tier
from underdog.text.document import Document
from underdog.text.tiers import TIERS
from underdog.tokens.chat import render
from underdog.tokens.shards import write_shard
from underdog.tokens.tokenizer import Tokenizer
from underdog.verify.problem import Problem
from underdog.verify.problem_files import read_problems

TABLES_SEED = 0  # the order of the facts; the tables themselves hold no chance


def tokenize(settings: Settings, curated: Artifact, problems: Artifact, out: Draft) -> None:
    """Writes tokenizer.json and shards: the tiers; `held-out` good text, and `held-out-<tier>` for each tier that
    holds some out; and two that a recipe may mix in for more mathematics and synthetic data (Nanbeige4-3B's decay
    stage): `arithmetic` and `demonstrations`."""
    tiers = {tier: list(read_tier(curated.path, tier)) for tier in TIERS}
    demonstrations = read_problems(problems.path / "demonstrations.jsonl")
    share = settings.held_out_share
    apart = {tier: [doc for doc in tiers[tier] if _is_held_out(doc.id, share)] for tier in settings.held_out}
    held_out = [doc for tier in GOOD for doc in apart.get(tier, [])]
    gone = {doc.id for docs in apart.values() for doc in docs}
    kept = {tier: [doc for doc in docs if doc.id not in gone] for tier, docs in tiers.items()}

    if not held_out or not any(kept.values()):
        documents = sum(map(len, tiers.values()))
        raise UserError(
            f"Curation kept {documents} documents: too few to train on and hold out {share:.0%} of the good ones.",
            hint="Add text to curate.sources, or let curate.keep (or thresholds) keep more of it.",
        )

    out.progress(0, 2, "training the tokenizer")
    texts = [doc.text for docs in kept.values() for doc in docs] + [_as_text(problem) for problem in demonstrations]
    tokenizer = Tokenizer.train(texts, settings.vocabulary, settings.splitter)
    tokenizer.save(out.path, context=0)

    out.progress(1, 2, "encoding")
    shards = {**kept, "held-out": held_out, **{f"held-out-{tier}": docs for tier, docs in apart.items()}}
    label = {"vocabulary": tokenizer.vocabulary, "tokenizer": tokenizer.fingerprint}
    counts, by_source = {}, {}
    for name, docs in shards.items():
        ids = [ids + [tokenizer.end_of_text] for ids in tokenizer.encode_many([doc.text for doc in docs])]
        counts[name] = write_shard(out.path, name, ids, **label, sources=[doc.source for doc in docs])
        by_source[name] = _by_source(docs, ids)
    facts = (tokenizer.encode(text) + [tokenizer.end_of_text] for text in tables(TABLES_SEED))
    counts["arithmetic"] = write_shard(out.path, "arithmetic", facts, **label)
    chats = (render(problem.conversation(), tokenizer) + [tokenizer.end_of_text] for problem in demonstrations)
    counts["demonstrations"] = write_shard(out.path, "demonstrations", chats, **label)
    texts = [doc.text for docs in (*kept.values(), held_out) for doc in docs]
    tokens = sum(counts[name] for name in (*kept, "held-out"))
    out.metrics = {
        "vocabulary": tokenizer.vocabulary,
        "tokens": counts,
        "tokens_by_source": {tier: by_source[tier] for tier in kept},
        "bytes_per_token": sum(len(text.encode()) for text in texts) / tokens,
    }
    out.progress(2, 2)


def _by_source(docs: list[Document], ids: list[list[int]]) -> dict[str, int]:
    """Tokens that each source of curated text brought."""
    found: dict[str, int] = {}
    for doc, tokens in zip(docs, ids, strict=True):
        found[doc.source] = found.get(doc.source, 0) + len(tokens)
    return found


def _as_text(problem: Problem) -> str:
    return "\n".join(part for message in problem.conversation() for part in (message.reasoning or "", message.content))


def _is_held_out(document_id: str, share: float) -> bool:
    """By the document's own digest, so that the choice does not move when others come or go."""
    return int(hashlib.sha256(document_id.encode()).hexdigest()[:8], 16) < share * 2**32
