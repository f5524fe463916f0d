"""How near pretraining comes to the speed of the machine's matrix products, and to other trainers.

    python benchmarks/pretrain.py [--seconds 15] [--rounds 3] [--only NAME …]

The contestants take turns, each in a process of its own, several rounds; medians are printed.

- `products`: the machine's FLOP/s in the matrix products of a training step and nothing else: those of every weight,
  forward and backward, on the shapes that our trainer uses, each core working alone. A trainer's FLOP/s are the
  model's: those products and attention's.
- rows of equal length: this project's trainer and transformers' Trainer (each eager and compiled), litgpt's GPT and a
  loop in nanoGPT's style over PyTorch's own operations. Same model, same data, same batch, float32, AdamW.
- documents of mixed length: the same trainers on the same documents. Those that cannot pack documents pad each to the
  longest of its batch; what counts is useful tokens a second. (transformers packs only for attention kernels that CPUs
  do not have.)

litgpt and accelerate are not among this project's requirements: `pip install -c constraints.txt accelerate litgpt`. A
contestant that is not installed is named and left out.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial

from small_llama import shape, theirs

from underdog.lanes import cores, cut, open_lanes, side_by_side

VOCABULARY, WIDTH, LAYERS, HEADS, FFN = 8192, 256, 8, 8, 768
ROWS, LENGTH = 8, 512  # a step reads ROWS * LENGTH tokens
SHAPE = shape(VOCABULARY, WIDTH, LAYERS, HEADS, FFN, LENGTH, tied=False)
WEIGHT = {  # matrices: (rows, columns, how many)
    "q": (WIDTH, WIDTH, LAYERS),
    "k": (WIDTH, WIDTH, LAYERS),
    "v": (WIDTH, WIDTH, LAYERS),
    "o": (WIDTH, WIDTH, LAYERS),
    "gate": (FFN, WIDTH, LAYERS),
    "up": (FFN, WIDTH, LAYERS),
    "down": (WIDTH, FFN, LAYERS),
    "head": (VOCABULARY, WIDTH, 1),
}
PARAMETERS = sum(rows * columns * count for rows, columns, count in WEIGHT.values())
PRODUCTS = 6 * PARAMETERS  # FLOP a token: two for each weight going forward, four going backward
MODEL = PRODUCTS + 6 * LAYERS * WIDTH * LENGTH
"""The model's FLOP a token in rows of LENGTH: attention's products too (PaLM, arXiv 2204.02311, appendix B, has 12: it
counts the half of the scores that a causal model never needs)."""

Documents = list[list[int]]
Contestant = Callable[[Iterator[Documents], Callable[[], bool]], None]
"""Trains on one batch of documents after the other; asks after each whether that was enough."""


def batches(mixed: bool) -> Iterator[Documents]:
    """Endless batches: rows of LENGTH tokens, or as many documents of 16 to LENGTH tokens (log-uniform)."""
    rng = random.Random(1)
    while True:
        lengths = [round(16 * (LENGTH / 16) ** rng.random()) if mixed else LENGTH for _ in range(ROWS)]
        yield [[rng.randrange(VOCABULARY) for _ in range(length + 1)] for length in lengths]


def useful(batch: Documents) -> int:
    return sum(len(document) - 1 for document in batch)


def underdog(stream: Iterator[Documents], enough: Callable[[], bool], compiled: bool = False) -> None:
    from underdog.model.decoder import Decoder
    from underdog.recipe.schema import Compute, Optimizer
    from underdog.train.batch import Example, collate
    from underdog.train.objectives import next_token
    from underdog.train.strategy import PART_TOKENS, Local
    from underdog.train.trainer import Trainer

    open_lanes(cores())
    trainer = Trainer(Decoder(SHAPE).initialise(1), Optimizer(), next_token, Local(Compute(compile=compiled)))
    for batch in stream:
        examples = [Example(document, [True] * len(document)) for document in batch]
        parts = cut(examples, lambda example: len(example.ids) - 1, PART_TOKENS)
        trainer.update([collate(part) for part in parts], 1e-4)
        if enough():
            return


def _padded(batch: Documents):
    """ids, attention mask and labels [documents, longest]; padding carries no loss."""
    import torch

    longest = max(map(len, batch))
    ids = torch.tensor([document + [0] * (longest - len(document)) for document in batch])
    mask = torch.tensor([[1] * len(document) + [0] * (longest - len(document)) for document in batch])
    return ids, mask, ids.masked_fill(mask == 0, -100)


def transformers(stream: Iterator[Documents], enough: Callable[[], bool], compiled: bool = False) -> None:
    import tempfile

    from torch.utils.data import IterableDataset
    from transformers import Trainer, TrainerCallback, TrainingArguments

    class Rows(IterableDataset):
        def __iter__(self):
            for batch in stream:
                yield from batch

    class Until(TrainerCallback):
        def on_step_end(self, args, state, control, **_):
            control.should_training_stop = enough()

    def collate(rows: Documents) -> dict:
        ids, mask, labels = _padded(rows)
        inputs = {"input_ids": ids, "labels": labels}
        return inputs if bool(mask.all()) else inputs | {"attention_mask": mask}

    arguments = TrainingArguments(
        tempfile.mkdtemp(),
        use_cpu=True,
        optim="adamw_torch_fused",
        per_device_train_batch_size=ROWS,
        max_steps=10**6,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
        torch_compile=compiled,
    )
    model = theirs(SHAPE, attn_implementation="sdpa")
    Trainer(model, arguments, train_dataset=Rows(), data_collator=collate, callbacks=[Until()]).train()


def litgpt(stream: Iterator[Documents], enough: Callable[[], bool]) -> None:
    from litgpt.config import Config
    from litgpt.model import GPT

    model = GPT(
        Config(
            block_size=LENGTH,
            vocab_size=VOCABULARY,
            padded_vocab_size=VOCABULARY,
            n_layer=LAYERS,
            n_head=HEADS,
            n_embd=WIDTH,
            intermediate_size=FFN,
            rotary_percentage=1.0,
            parallel_residual=False,
            bias=False,
            norm_class_name="RMSNorm",
            mlp_class_name="LLaMAMLP",
        )
    )
    _loop(model, stream, enough)


def nanogpt(stream: Iterator[Documents], enough: Callable[[], bool]) -> None:
    import torch
    from torch import nn
    from torch.nn.functional import rms_norm, scaled_dot_product_attention, silu

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
            self.out = nn.Linear(WIDTH, WIDTH, bias=False)
            self.gate_up = nn.Linear(WIDTH, 2 * FFN, bias=False)
            self.down = nn.Linear(FFN, WIDTH, bias=False)
            self.norms = nn.ParameterList([torch.ones(WIDTH), torch.ones(WIDTH)])

        def forward(self, x, cos, sin):
            B, T, _ = x.shape
            q, k, v = (
                part.view(B, T, HEADS, -1).transpose(1, 2)
                for part in self.qkv(rms_norm(x, (WIDTH,), self.norms[0])).split(WIDTH, -1)
            )
            q, k = (torch.cat([a * cos - b * sin, b * cos + a * sin], -1) for a, b in (q.chunk(2, -1), k.chunk(2, -1)))
            seen = scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(seen.transpose(1, 2).reshape(B, T, WIDTH))
            gate, up = self.gate_up(rms_norm(x, (WIDTH,), self.norms[1])).chunk(2, -1)
            return x + self.down(silu(gate) * up)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(VOCABULARY, WIDTH)
            self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
            self.norm = nn.Parameter(torch.ones(WIDTH))
            self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)
            angles = torch.arange(LENGTH)[:, None] / 10000 ** (torch.arange(0, WIDTH // HEADS, 2) * HEADS / WIDTH)
            self.register_buffer("cos", angles.cos())
            self.register_buffer("sin", angles.sin())

        def forward(self, ids):
            x = self.embedding(ids)
            T = ids.shape[1]
            for block in self.blocks:
                x = block(x, self.cos[:T], self.sin[:T])
            return self.head(rms_norm(x, (WIDTH,), self.norm))

    model = Model()
    _loop(model, stream, enough)


def _loop(model, stream: Iterator[Documents], enough: Callable[[], bool]) -> None:
    import torch
    from torch.nn.functional import cross_entropy

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    for batch in stream:
        ids, _, labels = _padded(batch)
        cross_entropy(model(ids[:, :-1]).flatten(0, 1), labels[:, 1:].flatten()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if enough():
            return


def products(stream: Iterator[Documents], enough: Callable[[], bool]) -> None:
    """The matrix products of a step and nothing else: three for each weight (forward, and the gradients of input and
    weight), cut into parts and dealt out to the cores as the trainer does."""
    import torch

    from underdog.train.strategy import PART_TOKENS

    open_lanes(cores())
    weights = {name: torch.randn(rows, columns) for name, (rows, columns, _) in WEIGHT.items()}

    def part(tokens: int) -> None:
        for name, (rows, columns, count) in WEIGHT.items():
            x, slope, weight = torch.randn(tokens, columns), torch.randn(tokens, rows), weights[name]
            out, back, gradient = torch.empty(tokens, rows), torch.empty(tokens, columns), torch.empty(rows, columns)
            for _ in range(count):
                torch.mm(x, weight.T, out=out)
                torch.mm(slope, weight, out=back)
                torch.mm(slope.T, x, out=gradient)

    for batch in stream:
        list(side_by_side(part, [PART_TOKENS] * (useful(batch) // PART_TOKENS)))
        if enough():
            return


CONTESTANTS: dict[str, Contestant] = {
    "products": products,
    "underdog": underdog,
    "underdog compiled": partial(underdog, compiled=True),
    "transformers": transformers,
    "transformers compiled": partial(transformers, compiled=True),
    "litgpt": litgpt,
    "nanogpt": nanogpt,
}


def measure(name: str, mixed: bool, seconds: float) -> dict[str, float]:
    """Useful tokens a second after the first step, and the seconds that the start and the first step took."""
    start = time.perf_counter()
    tokens: list[int] = []
    ends: list[float] = []

    def counted() -> Iterator[Documents]:
        for batch in batches(mixed):
            tokens.append(useful(batch))
            yield batch

    def enough() -> bool:
        ends.append(time.perf_counter())
        return len(ends) > 4 and ends[-1] - ends[0] > seconds

    CONTESTANTS[name](counted(), enough)
    return {"rate": sum(tokens[1 : len(ends)]) / (ends[-1] - ends[0]), "first_step": ends[0] - start}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS))
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.measure[0], args.measure[1] == "mixed", args.seconds)))
        return
    print(f"{PARAMETERS / 1e6:.1f}M parameters in matrices, float32, {cores()} cores, {args.rounds} rounds\n")
    for data in ("equal", "mixed"):
        found: dict[str, list[dict[str, float]]] = {}
        for _ in range(args.rounds):
            for name in args.only:
                if data == "mixed" and name in ("products", "transformers compiled", "underdog compiled"):
                    continue  # products know no documents; every new length compiles anew
                command = [sys.executable, __file__, "--measure", name, data, "--seconds", str(args.seconds)]
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode:
                    print(f"{name}: left out ({done.stderr.strip().splitlines()[-1]})")
                    continue
                found.setdefault(name, []).append(json.loads(done.stdout.splitlines()[-1]))
        print(f"documents of {data} length")
        rates = {name: statistics.median(one["rate"] for one in runs) for name, runs in found.items()}
        for name, rate in rates.items():
            first = statistics.median(one["first_step"] for one in found[name])
            flops = ""
            if data == "equal":  # of mixed documents each has its own
                speed = rate * (PRODUCTS if name == "products" else MODEL)
                share = f"  {speed / (rates['products'] * PRODUCTS):4.0%} of products" if "products" in rates else ""
                flops = f"{speed / 1e9:6.1f} GFLOP/s{share}  "
            print(f"  {name:<22} {rate:8.0f} tokens/s  {flops}first step after {first:.1f} s")
        print()


if __name__ == "__main__":
    main()
