"""Peak memory of one training step with a vocabulary of 166k tokens: ours, and transformers' with its own loss.

    python benchmarks/memory.py            # all three, and their ratios
    python benchmarks/memory.py ours       # one of them, in this process

The same Llama shape, the same batch, float32, AdamW, one core; each in a process of its own, measured as the growth of
its largest resident set (kernel: ru_maxrss) from before the model is built to after the second step, so that imports
do not count. Ours computes a batch in parts of 512 tokens, here a row each. transformers gets the whole batch in one
pass (`whole`), and row by row with its gradients accumulated, as much in one pass as ours (`by rows`).
"""

import resource
import subprocess
import sys

from small_llama import shape, theirs

VOCABULARY = 166_144
ROWS, CONTEXT = 4, 512
SHAPE = shape(VOCABULARY, width=64, layers=2, heads=2, ffn=128, context=CONTEXT, tied=True)
BAR = 3.0  # times lower than transformers with the whole batch in one pass


def peak() -> float:
    """Largest resident set so far, in MiB (Linux counts KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def ours() -> tuple[float, float]:
    """(MiB, loss after a step)"""
    import torch

    from underdog.model.attention import end_to_end
    from underdog.model.decoder import Decoder
    from underdog.recipe.schema import Optimizer
    from underdog.train.batch import Batch
    from underdog.train.objectives import next_token
    from underdog.train.strategy import PART_TOKENS
    from underdog.train.trainer import Trainer

    rows = tokens(torch)
    each = PART_TOKENS // CONTEXT
    parts = [
        Batch(
            rows[low : low + each, :-1].flatten(),
            rows[low : low + each, 1:].flatten(),
            torch.ones(each * CONTEXT),
            end_to_end([CONTEXT] * each),
        )
        for low in range(0, ROWS, each)
    ]
    before = peak()
    trainer = Trainer(Decoder(SHAPE).initialise(1), Optimizer(), next_token)
    losses = [trainer.update(parts, 1e-3)["loss"] for _ in range(2)]
    return peak() - before, losses[-1]


def transformers(rows_at_once: int) -> tuple[float, float]:
    """(MiB, loss after a step)"""
    import torch
    import transformers.models.llama.modeling_llama  # noqa: F401  (what importing takes does not count)

    rows = tokens(torch)
    before = peak()
    model = theirs(SHAPE)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    for _ in range(2):
        optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for part in rows[:, :-1].split(rows_at_once):
            loss = model(input_ids=part, labels=part).loss * len(part) / ROWS
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return peak() - before, total


def tokens(torch):
    """[ROWS, CONTEXT + 1] random ids."""
    torch.set_num_threads(1)
    return torch.randint(VOCABULARY, (ROWS, CONTEXT + 1), generator=torch.Generator().manual_seed(1))


SIDES = {"ours": ours, "whole": lambda: transformers(ROWS), "by rows": lambda: transformers(1)}


def main() -> None:
    if len(sys.argv) > 1:
        print(*SIDES[sys.argv[1]]())
        return
    found = {}
    for side in SIDES:
        done = subprocess.run([sys.executable, __file__, side], capture_output=True, text=True, check=True)
        found[side], loss = map(float, done.stdout.split()[-2:])
        print(f"{side:<8} {found[side]:8,.0f} MiB   loss {loss:.3f}", flush=True)
    report(found)


def report(found: dict[str, float]) -> None:
    """Ratios of MiB by side; the bar is that of whole batches."""
    whole, by_rows = (found[side] / found["ours"] for side in ("whole", "by rows"))
    print(f"whole / ours    {whole:5.1f}   {'reached' if whole >= BAR else 'MISSED'}: the bar is {BAR:g}")
    print(f"by rows / ours  {by_rows:5.1f}   no bar")


if __name__ == "__main__":
    main()
