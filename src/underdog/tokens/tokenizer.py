"""A byte-level BPE tokenizer: trained here, stored as the field stores it."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import tokenizers
from tokenizers import Regex, decoders, models, pre_tokenizers, trainers

from underdog.artifacts.files import write_json
from underdog.errors import UserError
from underdog.tokens.template import CHAT_TEMPLATE

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


class Tokenizer:
    """Text to ids and back. Control tokens that stand in a text are encoded as plain characters, so that no
    text can forge the end of a turn."""

    def __init__(self, core: tokenizers.Tokenizer, splitter: str):
        self.core = core
        self.splitter = splitter
        self.core.encode_special_tokens = True
        self.end_of_text = self._id(END_OF_TEXT)
        self.turn_start = self._id(TURN_START)
        self.turn_end = self._id(TURN_END)
        self.think = self._id(THINK)
        self.end_think = self._id(END_THINK)

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
        return cls(tokenizers.Tokenizer.from_str(json.dumps(definition)), splitter)

    @classmethod
    def load(cls, folder: Path) -> "Tokenizer":
        """Reads tokenizer.json from a Hugging Face folder."""
        path = folder / "tokenizer.json"
        if not path.exists():
            raise UserError(f"{folder} has no tokenizer.json.")
        try:
            core = tokenizers.Tokenizer.from_file(str(path))
            definition = json.loads(path.read_text(encoding="utf-8"))
        except Exception as problem:  # the library raises a bare Exception
            raise UserError(f"{path} is not a tokenizer: {problem}.") from None
        return cls(core, _splitter_name(definition, path))

    def save(self, folder: Path, context: int) -> None:
        """Writes tokenizer.json, tokenizer_config.json and chat_template.jinja."""
        self.core.save(str(folder / "tokenizer.json"))
        (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
        write_json(
            folder / "tokenizer_config.json",
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "model_max_length": context,
                "eos_token": TURN_END,
                "pad_token": END_OF_TEXT,
                "add_bos_token": False,
                "clean_up_tokenization_spaces": False,
                "chat_template": CHAT_TEMPLATE,
            },
        )

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

    def encode_many(self, texts: Sequence[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self.core.encode_batch_fast(list(texts), add_special_tokens=False)]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of the ids, without control tokens."""
        return self.core.decode(list(ids), skip_special_tokens=True)

    def special_ids(self) -> dict[str, int | None]:
        return {"bos_token_id": None, "eos_token_id": self.turn_end, "pad_token_id": self.end_of_text}

    def _id(self, token: str) -> int:
        found = self.core.token_to_id(token)
        if found is None:
            raise UserError(f'The tokenizer has no token "{token}": it was not made by this project.')
        return found


def _splitter_name(definition: dict, path: Path) -> str:
    """Which of the known patterns a tokenizer.json splits by."""
    text = json.dumps(definition.get("pre_tokenizer"))
    for name, pattern in SPLITTERS.items():
        if json.dumps(pattern) in text:
            return name
    raise UserError(f"{path} splits text by a pattern that this project does not know.")
