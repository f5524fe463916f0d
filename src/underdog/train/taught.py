"""What SFT learns from: rows of the problems' demonstrations and of the user's files of conversations, by domain."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from glob import glob
from pathlib import Path

from underdog.errors import UserError
from underdog.recipe.teaching import OURS, Sft
from underdog.tokens.chat import rows
from underdog.tokens.conversation_files import Aside, read_conversations
from underdog.tokens.messages import Conversation
from underdog.tokens.tokenizer import Tokenizer
from underdog.train.batch import Example
from underdog.verify.problem import reference_answer
from underdog.verify.problem_files import read_problems

DEMONSTRATIONS, TRAIN = OURS


@dataclass(frozen=True)
class Taught:
    domains: dict[str, list[Example]]
    conversations: int
    aside: list[Aside]


def read_taught(settings: Sft, tokenizer: Tokenizer, context: int, problems: Path) -> Taught:
    """Everything in `settings.data` as rows of at most `context` tokens.

    A row of the user's files that cannot be used is set aside with its reason.

    Raises:
        UserError: a file is missing or holds nothing, or one of the problems' own demonstrations is too long.
    """
    found, aside = Taught(defaultdict(list), 0, []), []
    count = 0
    for conversation in conversations(settings.data, problems, aside):
        if not settings.reasoning:
            conversation = silent(conversation)
        own = conversation.where.startswith("Demonstration ")
        try:
            examples = row_examples(conversation, tokenizer, context, settings.keep_all_think)
        except UserError as problem:
            if own:
                raise
            aside.append(Aside(conversation.where, str(problem)))
            continue
        found.domains[conversation.domain] += examples
        count += 1
    if not count:
        raise UserError(
            f"sft.data has no rows to learn from. The first of {len(aside)} that were set aside: "
            f"{aside[0].where}: {aside[0].reason}"
        )
    return Taught(dict(found.domains), count, aside)


def conversations(data: Sequence[str], problems: Path, aside: list[Aside]) -> Iterator[Conversation]:
    """The conversations of the files, the demonstrations and the training problems; bad rows go to `aside`."""
    for source in data:
        if source == DEMONSTRATIONS:
            for problem in read_problems(problems / "demonstrations.jsonl"):
                where = f"Demonstration {problem.id} ({problem.task})"
                yield Conversation(tuple(problem.conversation()), (), DEMONSTRATIONS, where, problem.id)
            continue
        if source == TRAIN:
            yield from _answered(problems / "train.jsonl", aside)
            continue
        for path in files(source):
            good, bad = read_conversations(path)
            aside += bad
            yield from good


def _answered(path: Path, aside: list[Aside]) -> Iterator[Conversation]:
    """Problems with their right answer, and no reasoning."""
    for problem in read_problems(path):
        where = f"Problem {problem.id} ({problem.task})"
        if (answer := reference_answer(problem)) is None:
            aside.append(Aside(where, "no right answer is written down for it"))
        else:
            yield Conversation(tuple(problem.answered(answer)), (), TRAIN, where, problem.id)


def files(source: str) -> Iterable[Path]:
    """The files that a name, or a pattern such as chats/*.jsonl, stands for."""
    path = Path(source).expanduser()
    return [path] if path.exists() or not glob(str(path)) else map(Path, sorted(glob(str(path))))


def silent(conversation: Conversation) -> Conversation:
    """Without what the assistant thought. A turn that was nothing else is not taught."""
    messages = (
        replace(one, reasoning=None, trained=one.trained and bool(one.content or one.tool_calls))
        for one in conversation.messages
    )
    return replace(conversation, messages=tuple(messages))


def row_examples(
    conversation: Conversation, tokenizer: Tokenizer, context: int, keep_all_think: bool = False
) -> list[Example]:
    """A conversation as rows.

    Raises:
        UserError: one of them is too long, none of its turns is taught, or the template refuses it.
    """
    found = rows(conversation.messages, tokenizer, tools=conversation.tools, keep_all_think=keep_all_think)
    if not found:
        raise UserError(f"{conversation.where}: none of its turns is to be learned.")
    longest = max(len(row.ids) for row in found)
    if longest > context:
        raise UserError(
            f"{conversation.where} has {longest} tokens; the model's context holds {context}.",
            hint="Raise model.context or leave it out.",
        )
    return [Example(row.ids, row.mask) for row in found]
