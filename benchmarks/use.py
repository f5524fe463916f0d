"""How fast models are used here, beside the engines themselves.

    python benchmarks/use.py MODEL.gguf                    # all of it
    python benchmarks/use.py MODEL.gguf --only batch cold

- overhead: tokens/s of a completion through our session, and through llama.cpp alone, in turns;
- schema: tokens/s under a JSON Schema, and free;
- cold: from the start of a process to the first token;
- batch: the built-in engine on a model of 5M weights beside transformers' generate, equal and mixed lengths;
- together: eight answers at once through the built-in engine of conversations, beside one after the other.

One thread unless --threads says otherwise. CPU time is looked at with one thread only: threads that wait for each other
spin, and that is no work.
"""

import argparse
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from underdog.generate.engine import Engine
from underdog.generate.interface import Drawing, Sampling
from underdog.generate.open import Loading, open_model
from underdog.generate.options import Options
from underdog.generate.session import collect
from underdog.generate.structure import Structure
from underdog.generate.torch_engine import TorchEngine
from underdog.lanes import open_lanes
from underdog.model.config import ModelConfig
from underdog.model.decoder import Decoder
from underdog.recipe.schema import Model
from underdog.tokens.tokenizer import Tokenizer

TEXT = "The history of the city begins in the year"
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "city": {"type": "string"}, "years": {"type": "integer"}},
    "required": ["name", "city", "years"],
    "additionalProperties": False,
}
PEOPLE = {"type": "array", "items": PERSON, "minItems": 20}
COLD = """
import sys, time
from underdog.generate.open import Loading, open_model
from underdog.generate.options import Options
model = open_model(sys.argv[1], Loading(answers=1))
for delta in model.complete("The capital of France is", Options(temperature=0, max_new_tokens=4)):
    if delta.content:
        print(time.process_time(), flush=True)
        break
model.close()
"""


def main() -> None:
    benches = {"overhead": overhead, "schema": schema, "cold": cold, "batch": batch, "together": together}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gguf", type=Path, help="a model for llama.cpp")
    parser.add_argument("--only", nargs="+", choices=benches, default=list(benches))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(given.threads)  # llama.cpp's too
    torch.set_num_threads(given.threads)
    print(f"load {os.getloadavg()[0]:.1f}, threads: {given.threads}")
    for name in given.only:
        print(f"{name}:", flush=True)
        benches[name](given)


def compare(ways: dict[str, Callable[[], int]], given: argparse.Namespace) -> None:
    """Tokens/s of two ways, in turns: medians of the rounds after one that warms up; by the clock, and with one thread
    by CPU time, which other work on the cores does not change as much."""
    clocks = {"by the clock": time.perf_counter}
    if given.threads == 1:
        clocks["by CPU time"] = time.process_time
    found = {clock: {name: [] for name in ways} for clock in clocks}
    for turn in range(given.rounds + 1):
        for name, work in ways.items():
            starts = {clock: now() for clock, now in clocks.items()}
            tokens = work()
            for clock, now in clocks.items():
                if turn:
                    found[clock][name].append(tokens / (now() - starts[clock]))
    print("\n".join(report(found)), flush=True)


def report(found: dict[str, dict[str, list[float]]]) -> list[str]:
    """Lines on the tokens a second of two ways, round by round, by each clock."""
    lines = []
    for clock, rates in found.items():
        (one, first), (other, second) = ((name, statistics.median(each)) for name, each in rates.items())
        rate = f"{one} {first:.1f} tokens/s, {other} {second:.1f}"
        lines.append(f"  {clock + ':':13} {rate}; {one} / {other}: {first / second:.3f}")
    return lines


def overhead(given: argparse.Namespace, tokens: int = 64) -> None:
    from underdog.generate.llamacpp import _body

    served = open_model(given.gguf, Loading(context=2048, answers=1))
    server, prompt = served.engine._server, served.chat.encode_document(TEXT)

    def raw() -> int:
        body, seen = _body(prompt, Drawing(Sampling(0, max_new_tokens=tokens))), []
        server.complete(body, lambda piece: seen.append(piece) or False)
        return seen[-1]["usage"]["completion_tokens"]

    options = Options(temperature=0, max_new_tokens=tokens)
    ways = {"our session": lambda: collect(served.complete(TEXT, options)).finish.new_tokens, "llama.cpp": raw}
    compare(ways, given)
    served.close()


def schema(given: argparse.Namespace, tokens: int = 64) -> None:
    served = open_model(given.gguf, Loading(context=2048, answers=1))
    structure = Structure.json_schema(PEOPLE)

    def draw(structure: Structure | None) -> int:
        options = Options(temperature=0.8, seed=1, max_new_tokens=tokens, structure=structure)
        return collect(served.complete("Twenty people as JSON:", options)).finish.new_tokens

    compare({"under a schema": lambda: draw(structure), "free": lambda: draw(None)}, given)
    served.close()


def cold(given: argparse.Namespace) -> None:
    clock, cpu = [], []
    for _ in range(given.rounds):
        start = time.perf_counter()
        with subprocess.Popen([sys.executable, "-c", COLD, given.gguf], stdout=subprocess.PIPE, text=True) as process:
            cpu.append(float(process.stdout.readline()))
            clock.append(time.perf_counter() - start)
    for name, times in {"clock": clock, "CPU time": cpu}.items():
        print(f"  first token after {statistics.median(times):.2f} s of {name} ({min(times):.2f} to {max(times):.2f})")


def batch(given: argparse.Namespace, prompts: int = 64, tokens: int = 128) -> None:
    """Mixed lengths come from a closing token of probability 1/48."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    open_lanes(given.threads)
    for name, share in {"equal lengths": 0.0, "mixed lengths": 1 / 48}.items():
        print(f"  {name}:")
        model, stop = small(vocabulary=4096, tied=False), 5
        if share:
            close(model, stop, share)
        config = Qwen3Config(**{k: v for k, v in model.config.to_hf({}, "float32").items() if k != "architectures"})
        theirs = Qwen3ForCausalLM(config).eval()
        theirs.load_state_dict(model.state_dict())
        asked = torch.randint(10, 4096, (prompts, 32), generator=torch.Generator().manual_seed(1))
        engine = Engine(model, stop if share else -1)

        def ours(engine: Engine = engine, asked: torch.Tensor = asked) -> int:
            found = engine.generate(asked.tolist(), Sampling(max_new_tokens=tokens))
            return sum(len(one.ids) for (one,) in found)

        def reference(theirs=theirs, asked=asked, stop=stop if share else None) -> int:
            torch.set_num_threads(given.threads)
            settings = {"do_sample": True, "top_k": 0, "max_new_tokens": tokens, "pad_token_id": 0}
            with torch.inference_mode():
                out = theirs.generate(asked, eos_token_id=stop, **settings)[:, asked.shape[1] :]
            torch.set_num_threads(1)
            ended = (out == stop).cumsum(1) - (out == stop).int() if stop is not None else torch.zeros_like(out)
            return int((ended == 0).sum())

        compare({"underdog": ours, "transformers": reference}, given)
    open_lanes(1)


def close(model: Decoder, stop: int, share: float) -> None:
    """Gives the closing token this probability whatever was read, and the others even ones: one number of the stream
    is large and constant, and only the closing token's scores look at it."""
    width, vocabulary = model.config.width, model.config.vocabulary
    with torch.no_grad():
        model.model.embed_tokens.weight[:, 0] = 20.0
        model.model.norm.weight.fill_(1e-3)
        model.model.norm.weight[0] = 1.0
        model.lm_head.weight[:, 0] = 0.0
        model.lm_head.weight[stop, 0] = math.log(share * vocabulary) / width**0.5


def together(given: argparse.Namespace, answers: int = 8, tokens: int = 64) -> None:
    torch.set_num_threads(given.threads)
    tokenizer = Tokenizer.train([TEXT, *map(str, range(1000))], 400, "qwen2")
    model = small(vocabulary=tokenizer.vocabulary)
    asked = [[3 + (7 * i + j) % 250 for j in range(20 + 5 * i)] for i in range(answers)]

    def draw(engine: TorchEngine, prompt: list[int]) -> int:
        drawing = Drawing(Sampling(1, max_new_tokens=tokens), bias=dict.fromkeys(tokenizer.stops, -100.0))
        return sum(token.count for token in engine.stream(prompt, drawing))

    def at_once() -> int:
        engine = TorchEngine(model, tokenizer, parallel=answers)
        with ThreadPoolExecutor(answers) as pool:
            return sum(pool.map(lambda prompt: draw(engine, prompt), asked))

    def in_turn() -> int:
        engine = TorchEngine(model, tokenizer)
        return sum(draw(engine, prompt) for prompt in asked)

    compare({"at once": at_once, "in turn": in_turn}, given)


def small(vocabulary: int, tied: bool = True, **shape: int) -> Decoder:
    """About 5M weights, random."""
    shape = {"width": 256, "layers": 4, "heads": 4, "kv_heads": 2, "ffn": 704, "context": 1024, **shape}
    settings = Model(family="qwen3", tied=tied, head_width=64, rope_base=1e6, norm_eps=1e-6, **shape)
    return Decoder(ModelConfig.from_recipe(settings, vocabulary)).initialise(1)


if __name__ == "__main__":
    main()
