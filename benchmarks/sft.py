"""SFT throughput on conversations of mixed length: ours, and TRL's SFTTrainer with its defaults and tuned for a CPU.

    python benchmarks/sft.py                    # all three, twice in turn (the defaults, which are slow, once)
    python benchmarks/sft.py tuned              # one of them, in this process: tokens a second

The same model folder, conversations, batch (16 conversations) and AdamW; loss on what the assistant says. Counted are
the conversations' own tokens, without padding. TRL's defaults choose bfloat16 and activation checkpointing; tuned is
float32 without checkpointing and with batches sorted by length, all cores for each operation.
"""

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from underdog.lanes import cores, cut, open_lanes

CONVERSATIONS, EPOCHS, ROWS = 160, 1, 16
ARMS = ("ours", "default", "tuned")
BARS = {"default": 3.0, "tuned": 1.3}  # times as many tokens a second


def conversations() -> list[dict]:
    """Questions and worked answers of 20 to about 250 tokens, most of them short."""
    draw = random.Random(1)

    def numbers(count: int) -> str:
        return " + ".join(str(draw.randint(1, 99)) for _ in range(count))

    lengths = [min(60, 2 + int(draw.expovariate(1 / 12))) for _ in range(CONVERSATIONS)]
    return [
        {
            "messages": [
                {"role": "user", "content": f"What is {numbers(n // 3 + 2)}?"},
                {"role": "assistant", "content": " ".join(f"then {draw.randint(1, 99)}," for _ in range(n))},
            ]
        }
        for n in lengths
    ]


def make_folder(folder: Path) -> None:
    """The demo's model with random weights, and a tokenizer."""
    from underdog.model.config import ModelConfig
    from underdog.model.decoder import Decoder
    from underdog.model.weights import save_pretrained
    from underdog.recipe.schema import Model
    from underdog.tokens.tokenizer import Tokenizer

    texts = [message["content"] for one in conversations() for message in one["messages"]]
    tokenizer = Tokenizer.train(texts, 512, "qwen2")
    shape = Model(width=128, layers=4, heads=4, kv_heads=2, ffn=384, context=1024)
    save_pretrained(Decoder(ModelConfig.from_recipe(shape, 2048)).initialise(1), tokenizer, folder)


def ours(folder: Path) -> float:
    from underdog.model.weights import load_pretrained
    from underdog.recipe.schema import Optimizer
    from underdog.tokens.formats import conversation
    from underdog.tokens.tokenizer import Tokenizer
    from underdog.train.batch import collate
    from underdog.train.objectives import next_token
    from underdog.train.strategy import PART_TOKENS
    from underdog.train.taught import row_examples
    from underdog.train.trainer import Trainer

    open_lanes(cores())
    tokenizer = Tokenizer.load(folder)
    examples = [row_examples(conversation(row), tokenizer, 1024)[0] for row in conversations()]
    random.Random(2).shuffle(examples)
    trainer = Trainer(load_pretrained(folder), Optimizer(), next_token)

    def step(batch: list) -> None:
        trainer.update([collate(part) for part in cut(batch, lambda one: len(one.ids), PART_TOKENS)], 1e-4)

    step(examples[:ROWS])  # warm
    begin = time.perf_counter()
    for _ in range(EPOCHS):
        for low in range(0, len(examples), ROWS):
            step(examples[low : low + ROWS])
    return EPOCHS * sum(len(one.ids) for one in examples) / (time.perf_counter() - begin)


def trl(folder: Path, tuned: bool) -> float:
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    torch.set_num_threads(cores())
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = []
    for one in conversations():
        rendered = tokenizer.apply_chat_template(one["messages"], return_dict=False)
        prompt = tokenizer.apply_chat_template(one["messages"][:1], add_generation_prompt=True, return_dict=False)
        labels = [-100] * len(prompt) + rendered[len(prompt) : -1] + [-100]
        rows.append({"input_ids": rendered, "labels": labels, "length": len(rendered)})
    settings = (
        {"bf16": False, "gradient_checkpointing": False, "train_sampling_strategy": "group_by_length"} if tuned else {}
    )
    config = SFTConfig(
        output_dir=str(folder / "trl"),
        per_device_train_batch_size=ROWS,
        num_train_epochs=EPOCHS,
        learning_rate=1e-4,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
        **settings,
    )
    at: list[float] = []

    class Clock(TrainerCallback):
        """From the end of the first step on: what comes before is not training."""

        def on_step_end(self, *arguments, **named):
            at.append(time.perf_counter())

    def collate(part: list[dict]) -> dict:
        longest = max(len(one["input_ids"]) for one in part)
        padded = [(one, longest - len(one["input_ids"])) for one in part]
        return {
            "input_ids": torch.tensor([one["input_ids"] + [0] * more for one, more in padded]),
            "labels": torch.tensor([one["labels"] + [-100] * more for one, more in padded]),
            "attention_mask": torch.tensor([[1] * len(one["input_ids"]) + [0] * more for one, more in padded]),
        }

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    trainer = SFTTrainer(
        model,
        config,
        data_collator=collate,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        callbacks=[Clock()],
    )
    trainer.train()
    share = (len(at) - 1) / len(at)  # of the tokens, which the first step did not take
    return share * EPOCHS * sum(one["length"] for one in rows) / (at[-1] - at[0])


def main(names: list[str]) -> None:
    if names and (names[0] not in ARMS or len(names) > 2):
        sys.exit(f"python benchmarks/sft.py [{'|'.join(ARMS)}]")
    if len(names) == 2:
        folder = Path(names[1])
        print(f"{ours(folder) if names[0] == 'ours' else trl(folder, names[0] == 'tuned'):.0f}")
        return
    with tempfile.TemporaryDirectory() as place:
        make_folder(Path(place))
        found: dict[str, list[float]] = {arm: [] for arm in names or ARMS}
        for turn in range(2):  # in turn, so that a busy minute hits all
            for arm in found:
                if turn and arm == "default":
                    continue
                done = subprocess.run(
                    [sys.executable, __file__, arm, place], capture_output=True, text=True, check=True
                )
                found[arm].append(float(done.stdout.split()[-1]))
                print(f"{arm:8} {found[arm][-1]:10,.0f} useful tokens/s", flush=True)
        print("\n".join(report(found)))


def report(found: dict[str, list[float]]) -> list[str]:
    """Ours beside the others, by tokens a second of each turn: the worst of ours against the best of theirs."""
    if "ours" not in found:
        return []
    worst = min(found["ours"])
    return [
        f"worst turn of ours / best of {arm}: {worst / max(found[arm]):.2f} (bar: {bar})"
        for arm, bar in BARS.items()
        if arm in found
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
