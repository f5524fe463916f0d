"""Talking to a model in the terminal."""

import sys
from collections.abc import Callable

from rich.console import Console

from underdog.errors import UserError
from underdog.generate.options import Options
from underdog.generate.session import Deltas, Model
from underdog.tokens.messages import Message

HELP = """\
/new   forget the conversation and start another
/help  show this
/quit  leave (so does Ctrl-D)
Ctrl-C stops an answer. A line that is to begin with a slash needs a space before it."""

# What a model writes must not steer the terminal: control characters are shown, not obeyed.
_VISIBLE = {code: chr(0x2400 + code) for code in range(32) if chr(code) not in "\n\t"}
_VISIBLE |= {0x7F: "\u2421"} | dict.fromkeys(range(0x80, 0xA0), "\ufffd")


def chat(
    served: Model,
    ask: Callable[[], str] | None = None,
    show: Console | None = None,
    options: Options | None = None,
    system: str | None = None,
) -> None:
    """Talks until /quit or the end of the input.

    Args:
        ask: returns the person's next line; raises EOFError at the end and KeyboardInterrupt on Ctrl-C. By
            default it reads standard input, which may be a pipe: one line a turn.
        show: where everything is printed.
        system: the system message that every conversation starts with.
    """
    ask, show = ask or _ask, show or Console()
    history = _opening(system)
    show.print(f"{served.name}: /help lists the commands.", style="dim", markup=False, highlight=False)
    while True:
        try:
            line = ask()
        except EOFError:
            return
        except KeyboardInterrupt:
            show.print("\n/quit or Ctrl-D leaves.", style="dim")
            continue
        command = line.strip()
        if command == "/quit":
            return
        if command == "/new":
            history = _opening(system)
            show.print("A new conversation.", style="dim")
        elif command == "/help":
            show.print(HELP, style="dim", markup=False, highlight=False)
        elif line.startswith("/") and line[1:2].isalpha():
            _say(f'There is no command "{command.split()[0]}"; /help lists them.', show)
        elif command:
            history = _turn(served, history, line, options, show)


def chat_once(
    served: Model,
    prompt: str,
    options: Options | None = None,
    show: Console | None = None,
    aside: Console | None = None,
    system: str | None = None,
) -> Message | None:
    """Answers one question. The answer goes to standard output, so that it can be piped; reasoning and notices go
    to standard error.

    Raises:
        UserError: the question does not fit into the context.
    """
    asked = [*_opening(system), Message("user", _clean(prompt))]
    deltas = served.reply(asked, options)
    return _print_answer(deltas, show or Console(), aside or Console(stderr=True))


def _opening(system: str | None) -> list[Message]:
    return [Message("system", _clean(system))] if system else []


def _turn(served: Model, history: list[Message], line: str, options: Options | None, show: Console) -> list[Message]:
    """The conversation after one more question. One that got no answer leaves it as it was: an empty turn would
    only confuse the model."""
    asked = [*history, Message("user", _clean(line))]
    try:
        deltas = served.reply(asked, options)
    except UserError as problem:
        _say(f"{problem} /new starts another conversation.", show)
        return history
    answer = _print_answer(deltas, show, show)
    if answer is None:
        _say("The question is left out of the conversation.", show)
        return history
    return [*asked, answer]


def _print_answer(deltas: Deltas, show: Console, aside: Console) -> Message | None:
    """Prints an answer as it is drawn; returns it as the model gave it, or None where there was no content."""
    reasoning = content = ""
    notice = None
    try:
        for delta in deltas:
            if delta.reasoning:
                _write(delta.reasoning, aside, "dim")
                reasoning += delta.reasoning
            if delta.content:
                if reasoning and not content:
                    _write("\n\n", aside)
                _write(delta.content, show)
                content += delta.content
            if delta.finish:
                notice = delta.finish.notice
    except KeyboardInterrupt:
        deltas.close()
        notice = "Stopped."
    if content or reasoning:
        _write("\n", show if content else aside)
    if notice:
        _say(notice, aside)
    return Message("assistant", content, reasoning or None) if content else None


def _write(text: str, console: Console, style: str | None = None) -> None:
    console.print(
        text.translate(_VISIBLE), end="", style=style, markup=False, highlight=False, emoji=False, soft_wrap=True
    )


def _say(text: str, console: Console) -> None:
    console.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)


def _ask() -> str:
    if sys.stdin.isatty():
        import readline  # noqa: F401  (line editing and history for input)

        return input("> ")
    return input()


def _clean(text: str) -> str:
    """Bytes that were not valid text arrive as lone surrogates, which no tokenizer takes."""
    return text.encode("utf-8", "replace").decode()
