"""A teacher with weights: what it thinks of every token that a student is to learn, at once or from a cache."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from underdog.artifacts.files import commit_folder
from underdog.artifacts.runs import model_folder
from underdog.errors import UserError
from underdog.lanes import cut, side_by_side
from underdog.model.decoder import Decoder
from underdog.model.weights import load_pretrained
from underdog.tokens.tokenizer import Tokenizer
from underdog.train.batch import Batch, Group, collate_groups
from underdog.train.divergence import Named, name_likeliest
from underdog.train.objectives import taught_hidden
from underdog.train.strategy import PART_TOKENS

SAID = ("ids", "logprobs", "tail")


@dataclass(frozen=True)
class Teacher:
    """Names its `top_k` likeliest tokens (0: all) at a temperature."""

    model: Decoder
    top_k: int
    temperature: float = 1.0

    @classmethod
    def open(cls, folder: Path, tokenizer: Tokenizer, top_k: int, temperature: float = 1.0) -> "Teacher":
        """Raises UserError: the folder is no checkpoint, or has other tokens than the student."""
        folder = model_folder(folder)
        if not (folder / "config.json").exists():
            raise UserError(f"distill.teacher: {folder} is no checkpoint: it has no config.json.")
        check_same_tokens(Tokenizer.load(folder), tokenizer, folder)
        model = load_pretrained(folder)
        model.requires_grad_(False)
        return cls(model, top_k, temperature)

    @torch.no_grad()
    def name(self, batch: Batch) -> Named:
        """Of each token with weight, in their order."""
        hidden_MD, _ = taught_hidden(self.model, batch)
        return name_likeliest(self.model, hidden_MD, self.top_k, self.temperature)


class Cache:
    """What a teacher said of groups, on the disk: one file of safetensors for each."""

    def __init__(self, folder: Path, teacher: Teacher, groups: Sequence[Group]):
        """Asks the teacher, unless the folder is there already: a resumed stage asks nothing twice."""
        self._folder = folder
        if folder.exists():
            return
        draft = folder.with_name(folder.name + ".partial")
        draft.mkdir(parents=True, exist_ok=True)
        parts = list(cut(list(enumerate(groups)), lambda one: one[1].tokens, PART_TOKENS))

        def write(part: Sequence[tuple[int, Group]]) -> None:
            said = teacher.name(collate_groups([group for _, group in part]))
            lengths = [sum(len(answer.ids) for answer in group.answers) for _, group in part]
            split = [tensor.split(lengths) for tensor in (said.ids_Mk.int(), said.logprobs_Mk, said.tail_M)]
            for (index, _), *tensors in zip(part, *split, strict=True):
                record = {name: tensor.contiguous() for name, tensor in zip(SAID, tensors, strict=True)}
                save_file(record, draft / f"{index:08d}.safetensors")

        for _ in side_by_side(write, parts):
            pass
        commit_folder(draft, folder)

    def name(self, indices: Sequence[int]) -> Named:
        """What was said of these groups, one after the other."""
        found = [load_file(self._folder / f"{index:08d}.safetensors") for index in indices]
        ids, logprobs, tail = (torch.cat([one[name] for one in found]) for name in SAID)
        return Named(ids.long(), logprobs, tail)


def with_teacher(batch: Batch, said: Named) -> Batch:
    """The batch with what the teacher said of its weighted tokens."""
    taught_M = batch.weights_N.nonzero().squeeze(1)
    extra = {
        f"teacher_{name}": tensor.new_zeros(batch.tokens, *tensor.shape[1:]).index_copy_(0, taught_M, tensor)
        for name, tensor in zip(SAID, (said.ids_Mk, said.logprobs_Mk, said.tail_M), strict=True)
    }
    return Batch(batch.ids_N, batch.targets_N, batch.weights_N, batch.spans, {**batch.extra, **extra}, batch.counts)


def check_same_tokens(teacher: Tokenizer, student: Tokenizer, folder: Path) -> None:
    """Refuses a teacher whose ids mean other tokens than the student's."""
    theirs, ours = (tokenizer.core.get_vocab(with_added_tokens=True) for tokenizer in (teacher, student))
    if theirs == ours:
        return
    different = min(theirs.items() ^ ours.items(), key=lambda item: item[1])
    raise UserError(
        f"The teacher {folder} has another tokenizer than the student ({len(theirs):,} and {len(ours):,} tokens; the "
        f"first difference is token {different[1]}): its probabilities are of other tokens.",
        hint="Distil from its text instead: let it answer, and put the answers into sft.data.",
    )
