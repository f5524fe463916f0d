"""From the tokens that a model draws to the text that a person reads, one token at a time."""

import codecs
from collections.abc import Sequence

from underdog.tokens.tokenizer import END_THINK, THINK

CALL, END_CALL = "<tool_call>", "</tool_call>"  # Hermes' form, as Qwen and Nanbeige write it


class Reading:
    """Reads one answer as it is drawn and parts reasoning from content.

    Nothing is given out that a later token could still change: part of a character, of a mark or of a stop
    string waits until it is whole or cannot become whole any more. The marks themselves never come out.

    Reasoning is what stands between `<think>` and `</think>`, untouched. Content is the rest, without white
    space at its ends (as `chat.split_reasoning` gives it), up to the first stop string. Where a model opens or
    closes its reasoning more than once, the parts are set apart by an empty line.
    """

    def __init__(self, stop: Sequence[str] = (), thinking: bool = False, calls: bool = False, plain: bool = False):
        """
        Args:
            thinking: the prompt has opened the reasoning already.
            calls: tools were offered: what stands between `<tool_call>` and `</tool_call>` is set apart.
            plain: all is content, white space and marks too: a continued text, or an answer of a given structure.
        """
        self.thinking = thinking and not plain  # inside an open `<think>`
        self.reasoned = False  # some reasoning came out
        self.answered = False  # some content came out
        self.stopped = False  # a stop string came up: the rest does not matter
        self.calls: list[str] = []  # the calls that were closed
        self._calling = False  # inside an open `<tool_call>`
        self._call = ""
        self._trim = not plain
        self._characters = codecs.getincrementaldecoder("utf-8")("replace")
        self._marks = Scanner(() if plain else (THINK, END_THINK, *((CALL, END_CALL) if calls else ())))
        self._stops = Scanner(stop)
        self._begun = False  # content other than white space has come in
        self._blank = ""  # white space that waits: it may be the end of the content

    def add(self, data: bytes) -> tuple[str, str]:
        """(reasoning, content) that a token's bytes complete; either or both may be empty."""
        return self._read(self._characters.decode(data), last=False)

    def end(self) -> tuple[str, str]:
        """What still waited, when no more ids come."""
        return self._read(self._characters.decode(b"", final=True), last=True)

    def _read(self, text: str, last: bool) -> tuple[str, str]:
        reasoning = content = ""
        for part, mark in self._marks.feed(text, last):
            if self.thinking:
                reasoning += part
                self.reasoned |= bool(part)
            elif self._calling:
                self._call += part
            else:
                content += self._content(part)
            if mark in (CALL, END_CALL):
                self._set_apart(mark)
            elif mark:
                self.thinking = mark == THINK
                reasoning += "\n\n" if self.thinking and self.reasoned else ""
                content += self._content("\n\n") if not self.thinking else ""
        content += self._content("", last=True) if last else ""
        self.answered |= bool(content)
        return reasoning, content

    def _set_apart(self, mark: str) -> None:
        if self._calling and mark == END_CALL:
            self.calls.append(self._call)
        self._calling, self._call = mark == CALL and not self.thinking, ""

    def _content(self, text: str, last: bool = False) -> str:
        """Trims and looks for stop strings. Leading white space goes first: it must not stop the answer."""
        if self.stopped:
            return ""
        text = text if self._begun or not self._trim else text.lstrip()
        self._begun |= bool(text)
        shown = ""
        for part, found in self._stops.feed(text, last):
            shown += part
            if found:
                self.stopped = True
                break
        shown = self._blank + shown
        kept = shown.rstrip() if self._trim else shown
        self._blank = shown[len(kept) :]
        return kept


class Scanner:
    """Finds strings in a text that comes in pieces. How the text is cut never matters."""

    def __init__(self, wanted: Sequence[str]):
        self._wanted = tuple(wanted)
        self._waiting = ""

    def feed(self, text: str, last: bool = False) -> list[tuple[str, str | None]]:
        """Parts of the text, each with the wanted string that ended it (None: not ended by one).

        Of overlapping finds the one that is complete first counts. `last` gives out what still waits.
        """
        self._waiting += text
        parts: list[tuple[str, str | None]] = []
        while (found := self._first()) is not None:
            at, wanted = found
            parts.append((self._waiting[:at], wanted))
            self._waiting = self._waiting[at + len(wanted) :]
        cut = len(self._waiting) if last else self._safe()
        parts.append((self._waiting[:cut], None))
        self._waiting = self._waiting[cut:]
        return parts

    def _first(self) -> tuple[int, str] | None:
        """Where a wanted string starts, and which: the one that ends first, and of these the longest."""
        finds = [(self._waiting.find(wanted), wanted) for wanted in self._wanted]
        ends = [(at + len(wanted), at, wanted) for at, wanted in finds if at >= 0]
        return min(ends)[1:] if ends else None

    def _safe(self) -> int:
        """Length of the beginning that cannot be part of a wanted string any more."""
        for start in range(len(self._waiting)):
            rest = self._waiting[start:]
            if any(wanted.startswith(rest) for wanted in self._wanted):
                return start
        return len(self._waiting)
