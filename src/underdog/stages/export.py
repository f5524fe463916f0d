"""Export: the Hugging Face folder, and GGUF files that are read back and compared with it."""

import shutil
from collections.abc import Sequence

import torch

from underdog.artifacts.store import Artifact, Draft
from underdog.generate.engine import Engine
from underdog.generate.interface import Sampling
from underdog.model.attention import Packed, end_to_end
from underdog.model.decoder import Decoder
from underdog.model.gguf import write_gguf
from underdog.model.gguf_reading import read_gguf
from underdog.model.weights import load_pretrained
from underdog.recipe.schema import Export
from underdog.tokens.chat import user_opening
from underdog.tokens.tokenizer import Tokenizer

FOLDER = "huggingface"
FILES = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
)


def export(settings: Export, checkpoint: Artifact, out: Draft) -> None:
    """Writes `huggingface/` and one `<kind>.gguf` a format; measures how far each one's logits moved."""
    total = len(settings.formats) + 1
    folder = out.path / FOLDER
    folder.mkdir(exist_ok=True)
    for name in FILES:
        shutil.copyfile(checkpoint.path / name, folder / name)
    size = {FOLDER: sum((folder / name).stat().st_size for name in FILES)}
    tokenizer, model = Tokenizer.load(folder), load_pretrained(folder)

    texts = own_texts(model, tokenizer) if settings.formats else []
    errors, in_more_bits = {}, {}
    for done, kind in enumerate(settings.formats, start=1):
        out.progress(done, total, f"{kind}.gguf")
        path = out.path / f"{kind}.gguf"
        in_more_bits[kind] = write_gguf(model, tokenizer, path, kind)
        size[kind] = path.stat().st_size
        errors[kind] = logit_error(model, read_gguf(path), texts)
    out.metrics = {
        "bytes": size,
        "against_checkpoint": errors,
        "compared_tokens": sum(map(len, texts)),
        "in_more_bits": in_more_bits,  # matrices whose rows are not whole blocks
    }
    out.progress(total, total)


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
