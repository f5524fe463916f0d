"""A tokenizer: byte-level BPE trained here, or any family's from its folder; stored as the field stores it."""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import tokenizers
from tokenizers import Regex, decoders, models, pre_tokenizers, trainers

from underdog.artifacts.files import write_json
from underdog.errors import UserError
from underdog.tokens.fast import EncodeMany, fast_encoder
from underdog.tokens.folder import CONFIG, Beside, read_beside, write_templates
from underdog.tokens.pieces import TokenBytes
from underdog.tokens.template import CHAT_TEMPLATE, render_template

END_OF_TEXT = "<|endoftext|>"
TURN_START = "<|im_start|>"
TURN_END = "<|im_end|>"
THINK = "<think>"
END_THINK = "</think>"

CONTROL = (END_OF_TEXT, TURN_START, TURN_END)  # never text: skipped when decoding
MARKS = (THINK, END_THINK)  # one token each, but text: they survive decoding

# Splitting patterns by the name under which llama.cpp knows them (`tokenizer.ggml.pre` of a GGUF file).
# They are the published patterns of GPT-2, Llama 3 and Qwen2; Qwen2 and GPT-2 differ most in digits: one token
# a digit, or runs of them.
SPLITTERS = {
    "gpt-2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "llama-bpe": (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
    "qwen2": (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
}


OURS = Beside({"default": CHAT_TEMPLATE}, {"eos_token": TURN_END, "pad_token": END_OF_TEXT})
PROBE = "qz7"  # a text to look for in what a template writes


class Tokenizer:
    """Text to ids and back. Control tokens that stand in a text are encoded as plain characters, so that no
    text can forge the end of a turn."""

    def __init__(self, core: tokenizers.Tokenizer, beside: Beside = OURS):
        self.core = core
        self.core.encode_special_tokens = True
        self.core.no_truncation()  # transformers writes into tokenizer.json how it was last called
        self.core.no_padding()
        self.beside = beside

    @classmethod
    def train(cls, texts: Iterable[str], vocabulary: int, splitter: str) -> "Tokenizer":
        """Learns `vocabulary` tokens in all: 256 bytes, the control tokens and marks, and merges."""
        core = tokenizers.Tokenizer(models.BPE())
        core.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(SPLITTERS[splitter]), behavior="isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        core.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=[*CONTROL, *MARKS],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        core.train_from_iterator(texts, trainer)
        definition = json.loads(core.to_str())
        for token in definition["added_tokens"]:
            token["special"] = token["content"] in CONTROL
        return cls(tokenizers.Tokenizer.from_str(json.dumps(definition)))

    @classmethod
    def load(cls, folder: Path) -> "Tokenizer":
        """Reads tokenizer.json from a Hugging Face folder, and the chat template beside it."""
        path = folder / "tokenizer.json"
        if not path.exists():
            raise UserError(f"{folder} has no tokenizer.json.")
        try:
            core = tokenizers.Tokenizer.from_file(str(path))
        except Exception as problem:  # the library raises a bare Exception
            raise UserError(f"{path} is not a tokenizer: {problem}.") from None
        beside = read_beside(folder)
        return cls(core, OURS if beside.templates == OURS.templates else beside)

    def save(self, folder: Path, context: int) -> None:
        """Writes tokenizer.json, tokenizer_config.json and the chat templates; what a model of others brought along
        as it was."""
        self.core.save(str(folder / "tokenizer.json"))
        for name, text in self.beside.files.items():
            (folder / name).write_text(text, encoding="utf-8")
        write_templates(folder, self.beside.templates)
        if CONFIG not in self.beside.files:
            config = {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "model_max_length": context,
                **self.beside.named,
                "add_bos_token": False,
                "clean_up_tokenization_spaces": False,
                "chat_template": self.beside.templates.get("default"),
            }
            write_json(folder / CONFIG, config)

    def with_template(self, template: str) -> "Tokenizer":
        """The same tokens under another chat template."""
        return Tokenizer(self.core, replace(self.beside, templates={"default": template}))

    def template_for(self, tools: bool) -> str:
        """Raises UserError: a base model has no chat template."""
        templates = self.beside.templates
        found = templates.get("tool_use" if tools else "default") or templates.get("default")
        if not found:
            raise UserError(
                "This model has no chat template: it is a base model, which continues text and answers nobody.",
                hint="SFT gives it one (docs/teaching.md), or put its family's chat_template.jinja into the folder.",
            )
        return found

    @property
    def named(self) -> dict[str, str]:
        """Control tokens by the names that templates know: "bos_token", "eos_token", …"""
        return dict(self.beside.named)

    @cached_property
    def control(self) -> re.Pattern[str]:
        """Finds the control tokens in a text."""
        special = (token.content for token in self.core.get_added_tokens_decoder().values() if token.special)
        return re.compile("|".join(map(re.escape, sorted(special, key=len, reverse=True))) or "(?!)")

    @cached_property
    def turn_end(self) -> int:
        """The control token that a template writes after an answer; where it writes none, the end of text."""
        if self.beside.templates:
            said = [{"role": "user", "content": "?"}, {"role": "assistant", "content": PROBE}]
            text = render_template(self.template_for(tools=False), {**self.named, "messages": said})
            if found := self.control.search(text.rpartition(PROBE)[2]):
                return self._id(found[0])
        return self.end_of_text

    @cached_property
    def end_of_text(self) -> int:
        """The token between documents."""
        named = self.beside.named
        wanted = (END_OF_TEXT, named.get("eos_token"), named.get("pad_token"))
        found = [token for name in wanted if name and (token := self.core.token_to_id(name)) is not None]
        if not found and not self.beside.stops:
            raise UserError("The tokenizer has no token that ends a text: tokenizer_config.json names no eos_token.")
        return (*found, *self.beside.stops)[0]

    @cached_property
    def stops(self) -> frozenset[int]:
        """The tokens that end an answer."""
        return frozenset({self.turn_end, self.end_of_text, *self.beside.stops})

    @property
    def turn_start(self) -> int:
        return self._id(TURN_START)

    @property
    def think(self) -> int:
        return self._id(THINK)

    @property
    def end_think(self) -> int:
        return self._id(END_THINK)

    @cached_property
    def splitter(self) -> str:
        """Which of the known patterns (`SPLITTERS`) texts are split by."""
        text = json.dumps(json.loads(self.core.to_str()).get("pre_tokenizer"))
        for name, pattern in SPLITTERS.items():
            if json.dumps(pattern) in text:
                return name
        raise UserError("The tokenizer splits text by a pattern that this project does not know.")

    @property
    def fingerprint(self) -> str:
        """Equal for tokenizers that make the same ids; shards carry it."""
        return hashlib.sha256(self.core.to_str().encode()).hexdigest()[:16]

    @property
    def vocabulary(self) -> int:
        return self.core.get_vocab_size()

    def check_fits(self, vocabulary: int, folder: Path) -> None:
        """Refuses a model in `folder` that lacks some of this tokenizer's tokens; it may have room for more."""
        if self.vocabulary > vocabulary:
            raise UserError(
                f"{folder}: its tokenizer has {self.vocabulary} tokens, its model {vocabulary}.",
                hint="tokenizer.json belongs to another model.",
            )

    def encode(self, text: str) -> list[int]:
        return self.core.encode(text, add_special_tokens=False).ids

    def encode_with_control(self, text: str) -> list[int]:
        """Ids of a text in which control tokens are meant: what a template renders."""
        return self._parsing.encode(text, add_special_tokens=False).ids

    def after_turn(self, text: str) -> tuple[str, str]:
        """Parts what a template writes from an answer on: up to the token that ends it, and the rest."""
        for found in self.control.finditer(text):
            if self.core.token_to_id(found[0]) in self.stops:
                return text[: found.end()], text[found.end() :]
        return text, ""

    def encode_many(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, on all cores."""
        if self._fast:
            return self._fast(texts)
        return [encoding.ids for encoding in self.core.encode_batch_fast(list(texts), add_special_tokens=False)]

    @cached_property
    def _fast(self) -> EncodeMany | None:
        return fast_encoder(self.core, SPLITTERS.values())

    def decode(self, ids: Sequence[int]) -> str:
        """Text of the ids, without control tokens."""
        return self.core.decode(list(ids), skip_special_tokens=True)

    def special_ids(self) -> dict[str, int | None]:
        named = self.beside.named
        bos, pad = (self.core.token_to_id(named.get(name, "")) for name in ("bos_token", "pad_token"))
        return {
            "bos_token_id": bos,
            "eos_token_id": self.turn_end,
            "pad_token_id": self.end_of_text if pad is None else pad,
        }

    @cached_property
    def opening(self) -> list[int]:
        """What stands before every text: the beginning's token, for families that want it there."""
        wanted = json.loads(self.beside.files.get(CONFIG, "{}")).get("add_bos_token")
        if wanted is None:  # then what is built into the tokenizer says so
            return self._parsing.encode("").ids
        begin = self.special_ids()["bos_token_id"]
        return [begin] if wanted and begin is not None else []

    @cached_property
    def pieces(self) -> TokenBytes:
        """Token -> its bytes."""
        return TokenBytes(self.core)

    @cached_property
    def _parsing(self) -> tokenizers.Tokenizer:
        core = tokenizers.Tokenizer.from_str(self.core.to_str())
        core.encode_special_tokens = False
        return core

    def _id(self, token: str) -> int:
        found = self.core.token_to_id(token)
        if found is None:
            raise UserError(f'The tokenizer has no token "{token}": it was not made by this project.')
        return found
