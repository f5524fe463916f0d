"""Long contexts: a document of 64K or 256K tokens through a small model, then a second question on it.

    python benchmarks/long.py                                                 # 64K, both engines, both kinds of cache
    python benchmarks/long.py --tokens 262144 --engines folder --caches int8 --once

The weights are random. What is looked at: that every token is read and the beginning seen (with another one the answer
has another log-probability), that more than the context holds is refused, how much the second question reads again, and
how much memory is held beside what is said before loading (growth of the process from before the model is opened). A
run is a process of its own.
"""

import argparse
import multiprocessing
import os
import random
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from underdog.lanes import cores

LETTERS = "QXZJKVW%&$#@"  # none of them is in a merge: each is a token
ROOM = 64  # tokens of the context for question and answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=65_536)
    parser.add_argument("--engines", nargs="+", choices=["folder", "gguf"], default=["folder", "gguf"])
    parser.add_argument("--caches", nargs="+", choices=["full", "int8"], default=["full", "int8"])
    parser.add_argument("--once", action="store_true", help="do not read it again with another beginning")
    parser.add_argument("--threads", type=int, default=cores())
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(given.threads)  # of the processes that are started below
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), given.tokens + ROOM)
        for engine in given.engines:
            for cache in given.caches:
                print(f"{engine}, {cache}:", flush=True)
                with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
                    alone.submit(measure, Path(folder) / f"model.{engine}", given.tokens, cache, given.once).result()


def write(folder: Path, context: int) -> None:
    """A model of two layers, for both engines."""
    from underdog.model.config import ModelConfig
    from underdog.model.decoder import Decoder
    from underdog.model.gguf import write_gguf
    from underdog.model.weights import save_pretrained
    from underdog.recipe.schema import Model
    from underdog.tokens.tokenizer import Tokenizer

    tokenizer = Tokenizer.train(["a long text and two questions on it"], 280, "qwen2")
    shape = Model(family="qwen3", width=64, layers=2, heads=1, kv_heads=1, head_width=32, ffn=128, context=context,
                  rope_base=5e6, norm_eps=1e-6, tied=True)  # fmt: skip
    model = Decoder(ModelConfig.from_recipe(shape, tokenizer.vocabulary)).initialise(1)
    save_pretrained(model, tokenizer, folder / "model.folder")
    write_gguf(model, tokenizer, folder / "model.gguf", "f16")


def measure(path: Path, tokens: int, cache: str, once: bool) -> None:
    import underdog.generate.llamacpp  # what imports take does not count
    import underdog.generate.torch_engine  # noqa: F401
    from underdog.generate.open import Loading, open_model
    from underdog.generate.options import ContextFull

    draw, said = random.Random(1), []
    document = "".join(draw.choices(LETTERS, k=tokens))
    before = resident("VmRSS")
    served = open_model(path, Loading(tokens + ROOM, 1, cache), said.append)
    first = ask(served, document, "12")
    ask(served, document, "34")
    grown = resident("VmHWM") - before
    print(f"  {said[0].whole / 1e9:.3f} GB were said before loading ({said[0]}); the process grew by {grown / 1e9:.3f}")
    if not once:
        other = ask(served, LETTERS[0] * (tokens // 256) + document[tokens // 256 :], "12")
        print(f"  log-probability of the answer {first:.6f}, behind another beginning {other:.6f}")
        assert first != other
    try:
        ask(served, document, "1 " * ROOM)
        raise AssertionError("more than the context holds was not refused")
    except ContextFull as problem:
        print(f"  refused: {problem}", flush=True)
    served.close()


def ask(served, document: str, question: str) -> float:
    """Log-probability of the first token of the answer."""
    from underdog.generate.options import Options
    from underdog.generate.session import collect

    start = time.perf_counter()
    answer = collect(served.complete(document + question, Options(temperature=0, max_new_tokens=1, alternatives=0)))
    prompt, cached = answer.finish.prompt_tokens, answer.finish.cached_tokens
    assert prompt >= len(document)
    print(f"  read {prompt - cached:,} of {prompt:,} tokens in {time.perf_counter() - start:.1f} s", flush=True)
    return answer.scored[0][0].logprob


def resident(when: str) -> int:
    """Bytes of memory that this process holds, VmRSS, or held at most, VmHWM."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(when)).split()[1])


if __name__ == "__main__":
    main()
