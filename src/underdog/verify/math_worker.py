"""The worker process in which math-verify compares: {"gold", "answer"} → {"parsed", "equal"}."""

from functools import lru_cache
from typing import Any

from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

from underdog.verify.workers import limit_memory, serve

_HOW = (LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig())


def main() -> None:
    limit_memory(4 << 30)
    serve(compare, timed=True)


def compare(message: dict[str, Any]) -> dict[str, bool]:
    """Whether the answer could be read, and whether it equals `gold`. Time is the caller's to limit."""
    given = _parsed(message["answer"])
    equal = bool(given) and verify(_parsed(message["gold"]), given, timeout_seconds=None)
    return {"parsed": any(not isinstance(one, str) for one in given), "equal": equal}


@lru_cache(maxsize=256)
def _parsed(text: str) -> list:
    return parse(f"\\boxed{{{text}}}", extraction_config=_HOW, parsing_timeout=None) or parse(
        text, extraction_config=_HOW, parsing_timeout=None
    )
