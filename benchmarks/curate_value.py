"""Whether the score chooses well: a model trained on the best half against one trained on a random half.

    python benchmarks/curate_value.py [--tokens 300000] [--seeds 3] [--keep FOLDER]

The corpus is what every machine with Python has: documentation, and licences, change logs, tables and raw code.
Curation scores it; one arm reads the half with the best scores, the other a half drawn by the seed, both as many
tokens, with one tokenizer, one model shape and the same initial weights. Both are judged by the loss on documentation
that neither read: what is good is said by where it comes from, not by the score. Prints each seed and the paired
difference with its 95 % interval (Student's t).
"""

import argparse
import random
import tempfile
from pathlib import Path

from underdog.artifacts.store import Artifact, Draft, Store
from underdog.recipe.schema import Curate, Model, Phase, Pretrain, Rate
from underdog.report.ablation import verdict
from underdog.seeds import derive
from underdog.stages.curate import curate
from underdog.stages.difference import Difference
from underdog.stages.pretrain import pretrain
from underdog.text.corpus import read_tier
from underdog.text.document import Document
from underdog.tokens.shards import write_shard
from underdog.tokens.tokenizer import Tokenizer

GOOD, REST = ["python-docs", "package-docs"], ["python-rest"]
BEST, RANDOM = "top", "medium"  # the shards are called as tiers are
VOCABULARY = 2048
SHAPE = Model(family="qwen3", width=128, layers=4, heads=4, kv_heads=2, head_width=32, ffn=384, context=256)
HELD_OUT = 40  # one document of the good sources in so many
CURATE = Curate(sources=[*GOOD, *REST], keep={"top": 0.5, "medium": 0.5}, groups=[])


def schedule(source: str, tokens: int) -> Pretrain:
    """Warm-up, plateau and decay over one source."""
    peak, mix = 4e-3, {source: 1.0}
    rise, fall = Rate(**{"from": 0.0, "to": peak}), Rate(**{"from": peak, "to": peak / 10, "shape": "1-sqrt"})
    phases = [("warm-up", 0.05, rise), ("stable", 0.7, peak), ("decay", 0.25, fall)]
    named = [Phase(name=name, share=share, lr=rate, mix=mix) for name, share, rate in phases]
    return Pretrain(preset="own", tokens=tokens, batch_tokens=2048, phase=named)


def random_half(documents: list[Document], seed: int) -> list[Document]:
    """Documents in an order drawn by the seed, up to half of all characters."""
    drawn = random.Random(derive(seed, "half")).sample(documents, len(documents))
    left = sum(len(document.text) for document in documents) / 2
    half = []
    for document in drawn:
        if left <= 0:
            break
        half.append(document)
        left -= len(document.text)
    return half


def write_halves(curated: Artifact, seed: int, out: Draft) -> None:
    """Shards of the best half, of a random one, and of the documentation that neither holds."""
    tiers = {tier: list(read_tier(curated.path, tier)) for tier in CURATE.keep}
    everything = [document for tier in tiers.values() for document in tier]
    held_out = {d.id for d in everything if d.source in GOOD and int(d.id, 16) % HELD_OUT == 0}
    left = [document for document in everything if document.id not in held_out]
    shards = {
        BEST: [document for document in tiers["top"] if document.id not in held_out],
        RANDOM: random_half(left, seed),
        "held-out": sorted((d for d in everything if d.id in held_out), key=lambda document: document.id),
    }
    tokenizer = Tokenizer.train([document.text for document in left], VOCABULARY, "qwen2")
    tokenizer.save(out.path, context=0)
    label = {"vocabulary": tokenizer.vocabulary, "tokenizer": tokenizer.fingerprint}
    counts = {}
    for name, documents in shards.items():
        ids = [[*found, tokenizer.end_of_text] for found in tokenizer.encode_many([d.text for d in documents])]
        counts[name] = write_shard(out.path, name, ids, **label)
        good = sum(len(d.text) for d in documents if d.source in GOOD) / sum(len(d.text) for d in documents)
        print(f"  {name:8} {len(documents):6,} documents, {counts[name]:9,} tokens, {good:.0%} documentation")
    out.metrics = {"tokens": counts}


def held_out_loss(store: Store, data: Artifact, source: str, seed: int, tokens: int) -> float:
    settings = schedule(source, tokens)
    made, _ = store.make(
        "pretrain",
        lambda out: pretrain(settings, SHAPE, seed, data, out),
        settings=settings.model_dump(mode="json", by_alias=True),
        seed=seed,
        parents={"tokenize": data},
    )
    return list(made.metrics["held_out_loss"].values())[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=300_000, help="that each arm reads")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep what is made, and take it over the next time")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as passing:
        store = Store(asked.keep or Path(passing))
        settings = CURATE.model_dump(mode="json")
        curated, _ = store.make("curate", lambda out: curate(CURATE, {}, out, cores=2), settings=settings)
        best, drawn = [], []
        for seed in range(1, asked.seeds + 1):
            data, _ = store.make(
                "tokenize",
                lambda out, seed=seed: write_halves(curated, seed, out),
                seed=seed,
                parents={"curate": curated},
            )
            drawn.append(held_out_loss(store, data, RANDOM, seed, asked.tokens))
            best.append(held_out_loss(store, data, BEST, seed, asked.tokens))
            print(f"  seed {seed}: random half {drawn[-1]:.3f}, best half {best[-1]:.3f}", flush=True)
    print("\n".join(report(drawn, best)))


def report(drawn: list[float], best: list[float]) -> list[str]:
    """Lines on the losses of both arms, seed by seed."""
    difference = Difference("held-out loss", False, drawn, best)
    line = f"held-out loss on documentation, best half less random half: {difference.mean:+.3f}"
    if not difference.interval:
        return [line, "one seed tells nothing about chance"]
    low, high = difference.interval
    return [f"{line} [{low:+.3f}, {high:+.3f}]", verdict(difference, difference.interval)]


if __name__ == "__main__":
    main()
