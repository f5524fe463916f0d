"""Export: the Hugging Face folder, and GGUF files that are read back and compared with it."""

import shutil
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import torch

from underdog.artifacts.files import read_json
from underdog.artifacts.store import Artifact, Draft
from underdog.errors import UserError
from underdog.generate.engine import Engine
from underdog.generate.interface import Sampling
from underdog.generate.llamacpp import LlamaCpp
from underdog.model.attention import Packed, end_to_end
from underdog.model.config import ModelConfig
from underdog.model.decoder import Decoder
from underdog.model.gguf import Unwritable, check_writable, write_gguf
from underdog.model.gguf_reading import read_gguf
from underdog.model.weights import load_pretrained
from underdog.recipe.schema import Export, Recipe
from underdog.tokens.chat import prompt_ids, user_opening
from underdog.tokens.messages import Message
from underdog.tokens.tokenizer import Tokenizer

FOLDER = "huggingface"
FILES = (
    "config.json", "generation_config.json", "model*.safetensors", "model.safetensors.index.json",
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "chat_template.jinja", "additional_chat_templates/*.jinja",
)  # fmt: skip
"""Patterns: weights may be in shards, and what stands beside a tokenizer differs from family to family."""
CHAT = (
    Message("user", "Hello! What is 12 + 30?\n\n- Сколько?"),
    Message("assistant", "42: it's  the sum."),
    Message("user", "def f(x):\n    return x"),
)


def export(settings: Export, checkpoint: Artifact, out: Draft) -> None:
    """Writes `huggingface/` and one `<kind>.gguf` a format; measures how far each one's logits moved. What such files
    cannot hold leaves a warning, and the folder."""
    total = len(settings.formats) + 1
    folder = out.path / FOLDER
    size = {FOLDER: copy_checkpoint(checkpoint.path, folder)}
    tokenizer, model = Tokenizer.load(folder), load_pretrained(folder)

    texts = own_texts(model, tokenizer) if settings.formats else []
    errors, in_more_bits, warnings = {}, {}, {}
    for done, kind in enumerate(settings.formats, start=1):
        out.progress(done, total, f"{kind}.gguf")
        path = out.path / f"{kind}.gguf"
        try:
            in_more_bits[kind] = write_gguf(model, tokenizer, path, kind)
        except Unwritable as problem:
            warnings[kind] = f"not written: {problem}"
            continue
        size[kind] = path.stat().st_size
        errors[kind] = logit_error(model, read_gguf(path), texts)
    if errors:
        smallest = min(errors, key=size.__getitem__)  # the tokenizer is the same in all of them
        if difference := chat_difference(tokenizer, out.path / f"{smallest}.gguf", min(512, model.config.context)):
            warnings["gguf"] = difference
    out.metrics = {
        "bytes": size,
        "against_checkpoint": errors,
        "compared_tokens": sum(map(len, texts)),
        "in_more_bits": in_more_bits,  # matrices whose rows are not whole blocks
        "warnings": warnings,  # format, or "gguf" for all of them -> what a person should know
    }
    out.progress(total, total)


def foreseen(recipe: Recipe) -> list[str]:
    """What will be missing, as far as the base says it before anything has run."""
    folder = Path(recipe.base or "")
    if not (recipe.base and recipe.export.formats and (folder / "config.json").exists()):
        return []
    config = ModelConfig.from_hf(read_json(folder / "config.json"), str(folder / "config.json"))
    try:
        check_writable(config, Tokenizer.load(folder))
    except Unwritable as problem:
        return [f"export.formats: {problem} Only the Hugging Face folder will be."]
    return []


def copy_checkpoint(source: Path, folder: Path) -> int:
    """Copies what makes a Hugging Face folder, without the stage's own records; bytes in all."""
    total = 0
    for path in sorted(path for pattern in FILES for path in source.glob(pattern)):
        copy = folder / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
        total += copy.stat().st_size
    return total


def chat_difference(tokenizer: Tokenizer, path: Path, context: int) -> str | None:
    """How llama.cpp reads a chat from the file, if it is not as the model learned it. None as well where llama.cpp is
    not installed: nothing was compared."""
    if find_spec("xllamacpp") is None:
        return None
    try:
        ours, engine = prompt_ids(CHAT, tokenizer), LlamaCpp(path, context, answers=1)
        theirs = engine.prompt(CHAT, (), None).ids
        engine.close()
    except UserError as problem:
        return f"a chat could not be compared: {problem}"
    if ours == theirs:
        return None
    at = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))
    return f"llama.cpp reads a chat as {len(theirs)} tokens, the model as {len(ours)}; they part at token {at + 1}"


def own_texts(model: Decoder, tokenizer: Tokenizer, count: int = 16, most: int = 256) -> list[list[int]]:
    """Conversations that the model writes itself, both sides of them: ids such as it will meet."""
    opening = user_opening(tokenizer)
    sampling = Sampling(max_new_tokens=min(most, model.config.context - len(opening)))
    (completions,) = Engine(model, stop=tokenizer.end_of_text).generate([opening], sampling, count)
    return [opening + one.ids for one in completions]


@torch.no_grad()
def logit_error(model: Decoder, other: Decoder, texts: Sequence[Sequence[int]]) -> dict[str, float]:
    """How far the other's logits are from the model's: largest and mean |difference|, and the share of places
    at which both have the same most likely token."""
    largest = total = same = 0.0
    for ids in texts:  # one at a time: scores of a large vocabulary do not fit in memory all together
        expected, found = (one.logits(one(torch.tensor(ids), Packed(end_to_end([len(ids)])))) for one in (model, other))
        difference = (expected - found).abs()
        largest = max(largest, float(difference.max()))
        total += float(difference.mean()) * len(ids)
        same += float((expected.argmax(-1) == found.argmax(-1)).sum())
    tokens = sum(map(len, texts))
    return {"largest": largest, "mean": total / tokens, "same_best_token": same / tokens}
