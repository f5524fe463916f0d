"""What teachers have replied, kept on the disk by its content, and what it cost."""

import json
import sqlite3
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path

from underdog.errors import UserError


@dataclass(frozen=True)
class Reply:
    text: str
    truncated: bool
    read: int  # tokens of the question
    written: int


class Cache:
    """Replies by key: a digest of who was asked, the messages and the options."""

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._base = sqlite3.connect(path, timeout=60, check_same_thread=False, isolation_level=None)
            self._base.execute("CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, text TEXT NOT NULL)")
        except sqlite3.DatabaseError as problem:
            raise UserError(f"{path} is not a cache of replies: {problem}.", hint="Remove it.") from None
        self._lock = threading.Lock()

    def get(self, key: str) -> Reply | None:
        with self._lock:
            found = self._base.execute("SELECT text FROM replies WHERE key = ?", (key,)).fetchone()
        return Reply(**json.loads(found[0])) if found else None

    def put(self, key: str, reply: Reply) -> None:
        try:
            with self._lock:
                self._base.execute("INSERT OR REPLACE INTO replies VALUES (?, ?)", (key, json.dumps(asdict(reply))))
        except sqlite3.Error as problem:
            raise UserError(
                f"A reply cannot be kept: {problem}.", hint="Is the disk full? Run it again then."
            ) from None

    def close(self) -> None:
        self._base.close()


@dataclass
class Budget:
    """What all teachers together may use. Prices are money for a million tokens.

    Each reply that the work rests on counts once, those of attempts that were stopped too.
    """

    tokens: int | None = None
    money: float | None = None
    price_in: float = 0.0
    price_out: float = 0.0
    used_in: int = 0
    used_out: int = 0
    _counted: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self):
        if self.money is not None and not self.price_in + self.price_out:
            raise UserError("A budget of money needs prices.", hint="--price-in and --price-out, a million tokens.")

    @property
    def spent(self) -> float:
        return (self.used_in * self.price_in + self.used_out * self.price_out) / 1e6

    def use(self, key: str, reply: Reply) -> None:
        with self._lock:
            if key not in self._counted:
                self._counted.add(key)
                self.used_in += reply.read
                self.used_out += reply.written

    def check(self) -> None:
        """Raises UserError once it is used up; requests under way are still paid for."""
        used = self.used_in + self.used_out
        if (self.tokens is not None and used >= self.tokens) or (self.money is not None and self.spent >= self.money):
            raise UserError(
                f"The budget is used up: {used:,} tokens, {self.spent:.4g} of money.",
                hint="With a larger one the same command goes on: what was answered is not asked again.",
            )
