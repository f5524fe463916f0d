"""Real text that a Linux machine with Python has, as JSON Lines: documentation, licences, change logs, source code.

    python benchmarks/curate_corpus.py corpus.jsonl --megabytes 50

From the standard library, installed packages and /usr/share/doc, in an order drawn by the path's digest, so that kinds
mix; files of more than 64 KB are cut. `--grow` repeats it with every third word drawn anew from the corpus' own words,
which leaves no near-duplicates: text of any size, for measuring memory.
"""

import argparse
import gzip
import hashlib
import json
import random
import site
import sysconfig
from collections.abc import Iterator
from pathlib import Path

_SUFFIXES = {".py", ".txt", ".md", ".rst", ".html", ".h", ".pyi", ".gz", ""}
_LONGEST = 64_000  # characters of a document


def files() -> list[Path]:
    """Files that may hold text, in an order that mixes their kinds."""
    roots = [Path(sysconfig.get_path("stdlib")), *map(Path, site.getsitepackages()), Path("/usr/share/doc")]
    found = {path for root in roots for path in root.rglob("*") if path.suffix in _SUFFIXES and path.is_file()}
    return sorted(found, key=lambda path: hashlib.sha256(str(path).encode()).digest())


def documents(megabytes: float) -> Iterator[str]:
    left = megabytes * 1e6
    seen = set()
    for path in files():
        try:
            data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            text = data[:_LONGEST].decode()
        except (OSError, EOFError, UnicodeDecodeError):
            continue
        if len(text) < 200 or "\0" in text or (digest := hashlib.sha256(text.encode()).digest()) in seen:
            continue
        seen.add(digest)
        yield text
        left -= len(text.encode())
        if left <= 0:
            return


def grown(texts: list[str], megabytes: float) -> Iterator[str]:
    """The texts again and again, every third word another one."""
    words = [text.split(" ") for text in texts]
    pool = [word for part in words for word in part[:200] if word]
    draw, left = random.Random(1), megabytes * 1e6
    while True:
        for part in words:
            mixed = part.copy()
            mixed[::3] = draw.choices(pool, k=len(mixed[::3]))
            text = " ".join(mixed)
            yield text
            left -= len(text.encode())
            if left <= 0:
                return


def write(path: Path, texts: Iterator[str]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for text in texts:
            file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--megabytes", type=float, default=50)
    parser.add_argument("--grow", type=float, help="megabytes to grow the corpus to")
    asked = parser.parse_args()
    texts = documents(asked.megabytes)
    write(asked.path, grown(list(texts), asked.grow) if asked.grow else texts)
    print(f"{asked.path}: {asked.path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
