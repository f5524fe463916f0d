"""Small real things that many tests start from."""

import functools
import os
import random
import subprocess

import hypothesis
import pytest
import torch

pytest_plugins = ["tests.teachers"]

hypothesis.settings.register_profile("underdog", deadline=None)  # a busy machine is not a bug
hypothesis.settings.load_profile("underdog")

TEXTS = [
    "The quick brown fox jumps over the lazy dog, and it's the dog's 1st of 24 naps.\n\tShe'd said: we'LL see!",
    "Быстрая коричневая лиса прыгает через ленивую собаку. Съешь ещё этих мягких французских булок, да выпей чаю.",
    "敏捷的棕色狐狸跳过了懒狗。素早い茶色の狐がのろまな犬を飛び越える。빠른 갈색 여우가 게으른 개를 뛰어넘는다.",
    "def f(x):\n    return [x ** 2 for _ in range(10)]  # ok\r\n\r\n        if x != 3.14:\n            pass\n",
    "😀 smile 👩‍👩‍👧‍👦 family 🇫🇷 flag; 12 + 30 = 42, 7 * 6 = 42, 1000 - 1 = 999.\n\n\n",
]

ALPHABETS = [
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "éèüñçßøåłžÀÖŸæœ",
    "абвгдеёжзийклмнопрстуфхцчшщъыьэюяАБВГДЕЁЖЗИЙ",
    "中文字符日本語ひらがなカタカナ한국어조선",
    "😀🎉👍🏽👩‍👧🇫🇷☕️❤",
    "0123456789",
    "٠١٢३४Ⅳ½²",
    " ",
    "\n",
    " \n\t\r",
    "\u00a0\u2003\u3000\u2028\u0085",
    "".join(map(chr, [*range(32), 127])),
    ".,;:!?'\"()[]{}<>|/\\@#$%^&*-_=+~`",
    "\u0301\u0308\u200d\ufeff\u202e",
]
PIECES = ["'s", "'LL", "'re", "I'm", " don't", "the", " собака", "\r\n", "  \n", "   x", "user", "assistant"]


@functools.cache
def trained(splitter):
    from underdog.tokens.tokenizer import Tokenizer

    return Tokenizer.train(TEXTS, 500, splitter)


@pytest.fixture(scope="session")
def tokenizer():
    return trained("qwen2")


@pytest.fixture(scope="session")
def tokenizer_for():
    """Splitter -> tokenizer."""
    return trained


@pytest.fixture(scope="session")
def random_text():
    """random.Random -> a string of many scripts, digits, marks, white space and control characters."""
    return lambda source: "".join(_run(source) for _ in range(source.randint(0, 8)))


@pytest.fixture(scope="session")
def strings(random_text):
    source = random.Random(1)
    return [random_text(source) for _ in range(1000)]


@pytest.fixture(scope="session")
def tiny():
    """(family, tied, vocabulary) -> a small decoder, all of whose weights are random, the norms' too."""

    def build(family="qwen3", tied=True, vocabulary=500, seed=1, **shape):
        from underdog.model.config import ModelConfig
        from underdog.model.decoder import Decoder
        from underdog.recipe.schema import Model

        shape = {"width": 64, "layers": 2, "heads": 4, "kv_heads": 2, "head_width": 16, "ffn": 96, **shape}
        shape = {"context": 256, "rope_base": 50_000.0, "norm_eps": 1e-5, **shape}
        config = ModelConfig.from_recipe(Model(family=family, tied=tied, **shape), vocabulary)
        model = Decoder(config)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for weight in model.parameters():
                weight.normal_(1.0 if weight.ndim == 1 else 0.0, 0.3, generator=generator)
        return model

    return build


def _run(source):
    if source.random() < 0.15:
        return source.choice(PIECES)
    return "".join(source.choices(source.choice(ALPHABETS), k=source.randint(1, 6)))


@pytest.fixture
def small_disk(tmp_path):
    """Runs a command that sees a disk of a few kilobytes at `small_disk.folder` ($DISK): a tmpfs in a mount namespace
    of its own, which ends with the command."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = 'mount -t tmpfs -o size="$1" tmpfs "$DISK" && shift && exec "$@"'

    def run(command, size="256k"):
        return subprocess.run(
            ["unshare", "-rm", "sh", "-c", mount, "sh", size, *map(str, command)],
            env={**os.environ, "DISK": str(folder)},
            capture_output=True,
            text=True,
            check=False,
        )

    try:
        able = run(["true"]).returncode == 0
    except FileNotFoundError:
        able = False
    if not able:
        pytest.skip("this machine allows no mount namespaces")
    run.folder = folder
    return run


WORDS = "the model reads long text because every step of it follows one before and explains what comes next"


@pytest.fixture(scope="session")
def plain_texts(tmp_path_factory):
    """Makes a folder of plain text: so many files of so many sentences."""

    def make(files, sentences):
        folder = tmp_path_factory.mktemp("texts")
        for number in range(files):
            draw = random.Random(number)
            lines = [" ".join(draw.choices(WORDS.split(), k=draw.randint(6, 14))) for _ in range(sentences)]
            (folder / f"{number:03}.txt").write_text(" ".join(line.capitalize() + "." for line in lines))
        return folder

    return make
