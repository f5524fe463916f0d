"""What each of IFEval's instructions asks of a response.

The definitions, down to their regular expressions, are those of google-research/instruction_following_eval (strict
accuracy), so that figures can be compared; where they look odd, they are odd there.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from underdog.errors import extra


@dataclass(frozen=True)
class Kind:
    """`follows(response, **arguments)`; `needs` names the arguments."""

    follows: Callable[..., bool]
    needs: frozenset[str]


KINDS: dict[str, Kind] = {}


def _kind(name: str) -> Callable[[Callable[..., bool]], Callable[..., bool]]:
    def register(function: Callable[..., bool]) -> Callable[..., bool]:
        code = function.__code__
        KINDS[name] = Kind(function, frozenset(code.co_varnames[1 : code.co_argcount]))
        return function

    return register


def _compared(count: int, relation: str, wanted: int) -> bool:
    if relation == "less than":
        return count < wanted
    if relation == "at least":
        return count >= wanted
    raise ValueError(f'relation "{relation}" is neither "less than" nor "at least"')


@_kind("keywords:existence")
def _existence(text: str, keywords: list[str]) -> bool:
    return all(re.search(word, text, re.IGNORECASE) for word in keywords)


@_kind("keywords:frequency")
def _frequency(text: str, keyword: str, frequency: int, relation: str) -> bool:
    return _compared(len(re.findall(keyword.strip(), text, re.IGNORECASE)), relation, frequency)


@_kind("keywords:forbidden_words")
def _forbidden(text: str, forbidden_words: list[str]) -> bool:
    return not any(re.search(rf"\b{word}\b", text, re.IGNORECASE) for word in forbidden_words)


@_kind("keywords:letter_frequency")
def _letters(text: str, letter: str, let_frequency: int, let_relation: str) -> bool:
    return _compared(text.lower().count(letter.lower()), let_relation, let_frequency)


@_kind("language:response_language")
def _language(text: str, language: str) -> bool:
    return _detected(text) in (language, None)


@_kind("length_constraints:number_sentences")
def _sentences(text: str, num_sentences: int, relation: str) -> bool:
    return _compared(len(_punkt().sent_tokenize(text)), relation, num_sentences)


@_kind("length_constraints:number_paragraphs")
def _paragraphs(text: str, num_paragraphs: int) -> bool:
    """Parted by ***."""
    parts = [part.strip() for part in re.split(r"\s?\*\*\*\s?", text)]
    return all(parts[1:-1]) and sum(map(bool, parts)) == num_paragraphs


@_kind("length_constraints:number_words")
def _words(text: str, num_words: int, relation: str) -> bool:
    return _compared(len(re.findall(r"\w+", text)), relation, num_words)


@_kind("length_constraints:nth_paragraph_first_word")
def _first_word(text: str, num_paragraphs: int, nth_paragraph: int, first_word: str) -> bool:
    """Parted by blank lines."""
    paragraphs = text.split("\n\n")
    count = sum(bool(paragraph.strip()) for paragraph in paragraphs)
    if nth_paragraph > count or not (paragraph := paragraphs[nth_paragraph - 1].strip()):
        return False
    word = re.split(r"[.,?!'\"]", paragraph.split()[0].lstrip("'").lstrip('"'), maxsplit=1)[0]
    return count == num_paragraphs and word.lower() == first_word.lower()


@_kind("detectable_content:number_placeholders")
def _placeholders(text: str, num_placeholders: int) -> bool:
    """[like this]; counted by hand, for the pattern takes quadratic time on "[[[["."""
    count = 0
    for line in text.split("\n"):
        start = line.find("[")
        while start >= 0 and (end := line.find("]", start)) >= 0:
            count += 1
            start = line.find("[", end)
    return count >= num_placeholders


@_kind("detectable_content:postscript")
def _postscript(text: str, postscript_marker: str) -> bool:
    patterns = {"P.P.S": r"\s*p\.\s?p\.\s?s.*$", "P.S.": r"\s*p\.\s?s\..*$"}
    pattern = patterns.get(postscript_marker, rf"\s*{postscript_marker.lower()}.*$")
    return bool(re.search(pattern, text.lower(), re.MULTILINE))


@_kind("detectable_format:number_bullet_lists")
def _bullets(text: str, num_bullets: int) -> bool:
    stars = re.findall(r"^\s*\*[^\*].*$", text, re.MULTILINE)
    return len(stars) + len(re.findall(r"^\s*-.*$", text, re.MULTILINE)) == num_bullets


@_kind("detectable_format:constrained_response")
def _constrained(text: str) -> bool:
    return any(f"My answer is {word}." in text for word in ("yes", "no", "maybe"))


@_kind("detectable_format:number_highlighted_sections")
def _highlights(text: str, num_highlights: int) -> bool:
    single = [part for part in re.findall(r"\*[^\n\*]*\*", text) if part.strip("*").strip()]
    double = [part for part in re.findall(r"\*\*[^\n\*]*\*\*", text) if part[2:-2].strip()]
    return len(single) + len(double) >= num_highlights


@_kind("detectable_format:multiple_sections")
def _sections(text: str, section_spliter: str, num_sections: int) -> bool:
    return len(re.split(rf"\s?{section_spliter.strip()}\s?\d+\s?", text)) - 1 >= num_sections


@_kind("detectable_format:json_format")
def _json(text: str) -> bool:
    for fence in ("```json", "```Json", "```JSON", "```"):
        text = text.strip().removeprefix(fence)
    try:
        json.loads(text.removesuffix("```").strip())
    except (ValueError, RecursionError):
        return False
    return True


@_kind("detectable_format:title")
def _title(text: str) -> bool:
    """<<like this>>, from the first << of a line to its last >>; by hand for the same reason."""
    for line in text.split("\n"):
        start, end = line.find("<<"), line.rfind(">>")
        if 0 <= start < end - 2 and line[start:end].lstrip("<").rstrip(">").strip():
            return True
    return False


@_kind("combination:two_responses")
def _two_responses(text: str) -> bool:
    parts = [part.strip() for part in text.split("******")]
    found = list(filter(None, parts))
    return all(parts[1:-1]) and len(found) == 2 and found[0] != found[1]


@_kind("combination:repeat_prompt")
def _repeat(text: str, prompt_to_repeat: str) -> bool:
    return text.strip().lower().startswith(prompt_to_repeat.strip().lower())


@_kind("startend:end_checker")
def _end(text: str, end_phrase: str) -> bool:
    return text.strip().strip('"').lower().endswith(end_phrase.strip().lower())


@_kind("startend:quotation")
def _quotation(text: str) -> bool:
    text = text.strip()
    return len(text) > 1 and text[0] == text[-1] == '"'


@_kind("change_case:capital_word_frequency")
def _capital_words(text: str, capital_frequency: int, capital_relation: str) -> bool:
    words = re.findall(r"\w+(?:[-'’.&/]\w+)*", text)
    return _compared(sum(word.isupper() for word in words), capital_relation, capital_frequency)


@_kind("change_case:english_capital")
def _capital(text: str) -> bool:
    return text.isupper() and _detected(text) in ("en", None)


@_kind("change_case:english_lowercase")
def _lowercase(text: str) -> bool:
    return text.islower() and _detected(text) in ("en", None)


@_kind("punctuation:no_comma")
def _no_comma(text: str) -> bool:
    return "," not in text


def _detected(text: str) -> str | None:
    """The language of a text, by langdetect as IFEval asks it; None where it cannot tell."""
    detector, error = _langdetect()
    try:
        return detector(text)
    except error:
        return None


@cache
def _langdetect() -> tuple[Callable[[str], str], type[Exception]]:
    with extra("verify", 'The verifier "instructions"'):
        import langdetect
    langdetect.DetectorFactory.seed = 0  # else equal texts get different answers
    return langdetect.detect, langdetect.LangDetectException


@cache
def _punkt() -> Any:
    with extra("verify", 'The verifier "instructions"'):
        import punkt
    return punkt
