"""A full step of reinforcement (rollout, reward, update) against TRL's GRPOTrainer: same model, prompts, group size.

    python benchmarks/reinforce.py [--answers fixed | mixed] [--steps 4] [--rounds 3] [--only NAME …]

The contestants take turns, each in a process of its own, several rounds; medians are printed. A Llama of about 5M
parameters with random weights answers PROMPTS prompts of PROMPT tokens GROUP times each; the reward looks at the
answer's ids, so that it costs nothing and groups differ. One update a step, KL 1e-4, temperature 1.2.

Answers are `fixed`, 64 tokens each; or `mixed`: each token ends its answer with a chance of 1 in 48, and the limit is
192 tokens, so that lengths are as those of a model that says when it is done. The weights see to that, in every
contestant: one dimension of the hidden state is constant, and the closing token alone looks at it.

- `underdog`: this project's engine, batches and trainer, a lane a core.
- `trl`: GRPOTrainer as it comes, apart from the figures above.
- `trl bf16`: bfloat16 as it comes, without activation checkpointing.
- `trl float32`: float32, without activation checkpointing.

Every contestant's batch is the whole step. The last line is the ratio to whichever of TRL's was fastest.
"""

import argparse
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial

from small_llama import shape, theirs

from underdog.lanes import cores, open_lanes

VOCABULARY, WIDTH, LAYERS, HEADS, FFN = 2048, 256, 6, 8, 768
PROMPTS, GROUP, PROMPT = 16, 8, 48
LIMIT = {"fixed": 64, "mixed": 192}
MEAN = 48  # tokens of a mixed answer, but for the limit
END = 1
TEMPERATURE, KL, LR = 1.2, 1e-4, 1e-5

Enough = Callable[[], bool]


def shape_for(limit: int):
    """The model, with room for answers of `limit` tokens."""
    return shape(VOCABULARY, WIDTH, LAYERS, HEADS, FFN, PROMPT + limit, tied=False)


def prompts() -> list[list[int]]:
    rng = random.Random(1)
    return [[rng.randrange(10, VOCABULARY) for _ in range(PROMPT)] for _ in range(PROMPTS)]


def reward(ids: list[int]) -> float:
    return float(sum(ids) % 2)


def end_by_chance(model) -> None:
    """Makes the closing token as likely everywhere as answers of MEAN tokens want it."""
    import torch

    weights = dict(model.named_parameters())
    with torch.no_grad():
        for name, weight in weights.items():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                weight[0] = 0.0
        embedding, head = weights["model.embed_tokens.weight"], weights["lm_head.weight"]
        embedding[:, 0] = 100.0  # outweighs all else: after the norm it is the square root of the width
        embedding[:, 1:] *= 100.0 / embedding[:, 1:].norm(dim=1, keepdim=True).clamp(min=1e-3)  # padding's may be zero
        head[:, 0] = 0.0
        head[END] = 0.0
        head[END, 0] = TEMPERATURE * math.log(VOCABULARY / MEAN) / (WIDTH / 2) ** 0.5


def underdog(enough: Enough, answers: str) -> None:
    import copy

    from underdog.generate.engine import Engine
    from underdog.generate.interface import Sampling
    from underdog.model.decoder import Decoder
    from underdog.recipe.common import Optimizer
    from underdog.recipe.reinforcement import Reinforce
    from underdog.stages.reinforce import batches
    from underdog.train.batch import Answer, Group
    from underdog.train.policy import PolicyGradient
    from underdog.train.rewards import advantages
    from underdog.train.trainer import Trainer

    open_lanes(cores())
    limit = LIMIT[answers]
    policy = Decoder(shape_for(limit)).initialise(1)
    if answers == "mixed":
        end_by_chance(policy)
    reference = copy.deepcopy(policy)
    settings = Reinforce(temperature=TEMPERATURE, kl=KL, max_new_tokens=limit)
    trainer = Trainer(policy, Optimizer(weight_decay=0.0), PolicyGradient(*settings.clip, KL, TEMPERATURE))
    engine = Engine(policy, stop=END if answers == "mixed" else -1)
    step = 0
    while not enough():
        answered = engine.generate(prompts(), Sampling(TEMPERATURE, max_new_tokens=limit, seed=step), GROUP)
        worth = advantages([[reward(one.ids) for one in group] for group in answered], "group")
        groups = [
            Group(prompt, [_answer(Answer, one, a) for one, a in zip(group, values, strict=True)])
            for prompt, group, values in zip(prompts(), answered, worth, strict=True)
        ]
        trainer.update(list(batches(groups, trainer, reference, settings)), LR)
        step += 1


def _answer(kind, completion, advantage: float):
    count = len(completion.ids)
    return kind(completion.ids, {"advantage": [advantage] * count, "sampled": completion.logprobs})


def trl(enough: Enough, answers: str, **settings) -> None:
    import torch
    from datasets import Dataset
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    limit = LIMIT[answers]
    words = Tokenizer(models.WordLevel({f"w{i}": i for i in range(VOCABULARY)}, unk_token="w0"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="w1", pad_token="w2", unk_token="w0")
    torch.manual_seed(1)
    model = theirs(shape_for(limit), eos_token_id=END, pad_token_id=2, bos_token_id=None)
    if answers == "mixed":
        end_by_chance(model)
    folder = tempfile.mkdtemp()  # the reference policy is read from where the policy came from
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)

    class Until(TrainerCallback):
        def on_step_begin(self, args, state, control, **_):
            control.should_training_stop = enough()

    arguments = GRPOConfig(
        folder,
        use_cpu=True,
        per_device_train_batch_size=PROMPTS * GROUP,
        num_generations=GROUP,
        max_completion_length=limit,
        generation_kwargs={"min_new_tokens": limit} if answers == "fixed" else {},
        temperature=TEMPERATURE,
        beta=KL,
        learning_rate=LR,
        max_steps=10**6,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
        **settings,
    )
    rows = Dataset.from_list([{"prompt": " ".join(f"w{i}" for i in ids)} for ids in prompts()])
    trainer = GRPOTrainer(
        folder,
        lambda completion_ids, **_: [reward(list(ids)) for ids in completion_ids],
        arguments,
        train_dataset=rows,
        processing_class=tokenizer,
        callbacks=[Until()],
    )
    trainer.train()


NO_CHECKPOINTS = {"gradient_checkpointing": False, "torch_empty_cache_steps": None}
CONTESTANTS: dict[str, Callable[[Enough, str], None]] = {
    "underdog": underdog,
    "trl": trl,
    "trl bf16": partial(trl, bf16=True, **NO_CHECKPOINTS),
    "trl float32": partial(trl, bf16=False, **NO_CHECKPOINTS),
}


def measure(name: str, answers: str, steps: int) -> float:
    """Seconds a step, after the first."""
    ends: list[float] = []

    def enough() -> bool:
        ends.append(time.perf_counter())
        return len(ends) > steps + 1

    CONTESTANTS[name](enough, answers)
    return (ends[steps + 1] - ends[1]) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", choices=LIMIT, default="fixed")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS))
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.measure, args.answers, args.steps)))
        return
    lengths = f"{LIMIT['fixed']}" if args.answers == "fixed" else f"about {MEAN}, at most {LIMIT['mixed']}"
    print(f"{PROMPTS} prompts of {PROMPT} tokens, {GROUP} answers of {lengths} tokens each, {cores()} cores")
    found: dict[str, list[float]] = {}
    for _ in range(args.rounds):
        for name in args.only:
            command = [sys.executable, __file__, "--measure", name]
            command += ["--answers", args.answers, "--steps", str(args.steps)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                print(f"{name}: left out ({done.stderr.strip().splitlines()[-1]})")
                continue
            found.setdefault(name, []).append(json.loads(done.stdout.splitlines()[-1]))
            print(f"  {name:<11} {found[name][-1]:6.2f} s a step, load {os.getloadavg()[0]:.1f}", flush=True)
    print("\n".join(report(found)))


def report(found: dict[str, list[float]]) -> list[str]:
    """Lines on the seconds a step of each contestant, round by round."""
    medians = {name: statistics.median(seconds) for name, seconds in found.items()}
    ours = medians.get("underdog")
    lines = ["medians"]
    for name, median in medians.items():
        ratio = f"  {median / ours:.2f} times underdog's" if ours else ""
        lines.append(f"  {name:<11} {median:6.2f} s a step{ratio}")
    others = {name: median for name, median in medians.items() if name != "underdog"}
    if ours and others:
        fastest = min(others, key=others.__getitem__)
        lines.append(f"the fastest of TRL's, {fastest}: {others[fastest] / ours:.2f} times underdog's")
    return lines


if __name__ == "__main__":
    main()
