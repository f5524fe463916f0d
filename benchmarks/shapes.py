"""Published shapes with random weights: what they take on the disk and in memory.

    python benchmarks/shapes.py nanbeige4-3b --folder /somewhere/with/11/GB

Writes a Q4_K_M file, and lets llama.cpp load it in a process of its own and decode at 8K of context, in both kinds of
cache.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tokenizers
import torch

from underdog.generate.footprint import of_gguf
from underdog.model import gguf
from underdog.model.config import ModelConfig
from underdog.model.decoder import Decoder
from underdog.model.quantizers import quantize
from underdog.recipe.schema import Model
from underdog.tokens.tokenizer import Tokenizer

SHAPES = {  # name: (vocabulary, shape); facts of the model cards
    "nanbeige4-3b": (
        166_144,
        Model(family="llama", width=2560, layers=32, heads=20, kv_heads=4, head_width=128, ffn=10_496, context=65_536,
              rope_base=5e6, norm_eps=1e-5, tied=False),
    ),
    "qwen3-4b": (
        151_936,
        Model(family="qwen3", width=2560, layers=36, heads=32, kv_heads=8, head_width=128, ffn=9728, context=262_144,
              rope_base=5e6, norm_eps=1e-6, tied=True),
    ),
}  # fmt: skip
DECODE = """
import resource, sys, time
from pathlib import Path
from underdog.generate.interface import Drawing, Sampling
from underdog.generate.llamacpp import LlamaCpp
start = time.perf_counter()
engine = LlamaCpp(Path(sys.argv[1]), context=8192, answers=1, cache=sys.argv[2])
loaded = time.perf_counter()
count = sum(token.count for token in engine.stream(list(range(300, 332)), Drawing(Sampling(max_new_tokens=8))))
took = time.perf_counter() - loaded
most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(f"loaded in {loaded - start:.1f} s, 32 tokens read and {count} drawn in {took:.1f} s; held {most / 1e9:.2f} GB")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("--folder", type=Path, help="where the file is written; else a temporary one")
    given = parser.parse_args()
    vocabulary, shape = SHAPES[given.shape]
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        path = Path(folder) / f"{given.shape}-q4_k_m.gguf"
        write(path, ModelConfig.from_recipe(shape, vocabulary))
        print(f"file: {path.stat().st_size / 1e9:.2f} GB")
        for cache in ("full", "int8"):
            print(f"{cache}: said before loading: {of_gguf(path, 8192, 1, cache)}")
            subprocess.run([sys.executable, "-c", DECODE, path, cache], check=True)


def write(path: Path, config: ModelConfig) -> None:
    """The file, by the writer that exports use. Each matrix repeats 128 random rows: fitting four billion different
    weights would take llama.cpp's quantisers a quarter of an hour, and their values do not matter here."""
    start = time.perf_counter()
    with torch.device("meta"):
        model = Decoder(config)
    weights = model.parameter_count()
    print(f"{weights:,} weights, {2 * weights / 1e9:.2f} GB in bf16")
    gguf.quantize = repeated
    gguf.write_gguf(model, padded(config.vocabulary), path, "q4_k_m")
    print(f"made and written in {time.perf_counter() - start:.0f} s")


def repeated(matrix: torch.Tensor, stored: str) -> np.ndarray:
    if matrix.ndim == 1:
        return np.ones(matrix.shape, np.float32)
    count, columns = matrix.shape
    rows = quantize(torch.randn(128, columns) * 0.02, stored)
    return np.tile(rows, (count // len(rows), 1))


def padded(vocabulary: int) -> Tokenizer:
    """A small tokenizer with tokens that no text reaches."""
    small = json.loads(Tokenizer.train(["a b c"], 300, "qwen2").core.to_str())
    entries = small["model"]["vocab"]
    for number in range(len(entries), vocabulary):
        entries[f"unused {number}"] = number
    return Tokenizer(tokenizers.Tokenizer.from_str(json.dumps(small)))


if __name__ == "__main__":
    main()
