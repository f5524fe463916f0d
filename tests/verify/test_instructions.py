"""Golden verdicts: what lm-evaluation-harness 0.4.13's copy of IFEval's code answers to the same responses."""

import json
from pathlib import Path

import pytest

pytest.importorskip("langdetect")
pytest.importorskip("punkt")

from underdog.verify.instruction_kinds import KINDS
from underdog.verify.instructions import check
from underdog.verify.problem import Outcome, Problem
from underdog.verify.problem_files import load_problems
from underdog.verify.registry import verify

IFEVAL = Path(__file__).parents[3] / "shared" / "data" / "ifeval" / "input_data.jsonl"
ENGLISH = "This is a plain English sentence about the weather today."

FOLLOWED = [
    ("keywords:existence", {"keywords": ["rain", "sun"]}, "Sunny, then RAIN.", "Only rain."),
    ("keywords:frequency", {"keyword": "ha", "frequency": 3, "relation": "at least"}, "Haha ha", "haha"),
    ("keywords:frequency", {"keyword": "ha", "frequency": 3, "relation": "less than"}, "haha", "hahaha"),
    ("keywords:forbidden_words", {"forbidden_words": ["can"]}, "candid", "I Can"),
    ("keywords:letter_frequency", {"letter": "e", "let_frequency": 2, "let_relation": "at least"}, "Eel", "el"),
    ("language:response_language", {"language": "de"}, "Das Wetter ist heute wirklich sehr schön.", ENGLISH),
    (
        "length_constraints:number_sentences",
        {"num_sentences": 2, "relation": "less than"},
        "Dr. No saw it.",
        "A b. C d.",
    ),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "a\n***\nb\n***", "a\n***\n***\nb"),
    ("length_constraints:number_words", {"num_words": 3, "relation": "at least"}, "it's so", "so it"),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "so"},
        "a\n\n'So, b",
        "so\n\nb",
    ),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, "[a] and [b]", "[a] and [b"),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, "x\np. s. y", "PS: y"),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, "p.p.s. y", "P.S. y"),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "* a\n- b", "** a\n- b"),
    ("detectable_format:constrained_response", {}, "Well. My answer is maybe.", "Maybe."),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}, "*a* **b**", "*a* ** **"),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "Part", "num_sections": 2},
        "Part 1 a Part 2 b",
        "Part 1",
    ),
    ("detectable_format:json_format", {}, '```json\n{"a": 1}\n```', "{'a': 1}"),
    ("detectable_format:title", {}, "<<A title>> text", "<title> << >>"),
    ("combination:two_responses", {}, "a\n******\nb", "a\n******\na"),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say hi."}, "say HI. hi", "hi. Say hi."),
    ("startend:end_checker", {"end_phrase": "The end."}, 'so. the END."', "The end. Really."),
    ("startend:quotation", {}, ' "a" ', "'a'"),
    (
        "change_case:capital_word_frequency",
        {"capital_frequency": 2, "capital_relation": "at least"},
        "NASA and ESA",
        "Nasa ESA",
    ),
    ("change_case:english_capital", {}, ENGLISH.upper(), ENGLISH),
    ("change_case:english_lowercase", {}, ENGLISH.lower(), ENGLISH),
    ("punctuation:no_comma", {}, "a; b", "a, b"),
]


@pytest.mark.parametrize(("name", "arguments", "followed", "broken"), FOLLOWED, ids=lambda value: str(value)[:40])
def test_each_instruction(name, arguments, followed, broken):
    assert KINDS[name].follows(followed, **arguments)
    assert not KINDS[name].follows(broken, **arguments)


def test_all_25_are_there():
    assert len(KINDS) == 25 == len({name for name, *_ in FOLLOWED})


def judged(answer, ids, kwargs):
    return verify(Problem("p", (), "instructions", {"instruction_id_list": ids, "kwargs": kwargs}), answer)


def test_the_reward_is_the_share_that_is_followed():
    ids = ["punctuation:no_comma", "detectable_format:title"]
    verdict = judged("a b", ids, [{}, {"num_words": None}])
    assert (verdict.outcome, verdict.reward) == (Outcome.WRONG, 0.5)
    assert verdict.detail == "1 of 2 instructions followed; not detectable_format:title"
    assert judged("<<a>>", ids, [{}, {}]).outcome is Outcome.RIGHT


def test_only_what_follows_the_reasoning_counts():
    assert judged("<think>one, two</think>one", ["punctuation:no_comma"], [{}]).reward == 1
    assert judged("<think>one</think>one, two", ["punctuation:no_comma"], [{}]).reward == 0


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({}, "lacks"),
        ({"instruction_id_list": ["punctuation:no_coma"], "kwargs": [{}]}, 'is "punctuation:no_comma" meant'),
        ({"instruction_id_list": ["punctuation:no_comma"], "kwargs": []}, "one length"),
        ({"instruction_id_list": ["keywords:existence"], "kwargs": [{}]}, '"keywords:existence" needs keywords'),
        (
            {
                "instruction_id_list": ["length_constraints:number_words"],
                "kwargs": [{"num_words": 1, "relation": "about"}],
            },
            "neither",
        ),
    ],
)
def test_data_that_cannot_be_judged_by_is_named(data, why):
    with pytest.raises(ValueError, match=why):
        check(data)


@pytest.mark.parametrize(
    "text", ["[" * 20_000, "*" * 20_000, "\n" * 20_000, "<<" * 10_000, "-\n" * 10_000, "x" * 20_001]
)
def test_hostile_responses_take_bounded_time(text):
    names = [name for name, *_ in FOLLOWED if not name.startswith(("language", "change_case"))]
    arguments = [given for name, given, *_ in FOLLOWED if name in names]
    judged(text, names, arguments)


@pytest.mark.skipif(not IFEVAL.exists(), reason="IFEval's data is not here")
def test_the_published_prompts_can_all_be_judged():
    found = load_problems(IFEVAL)
    assert (len(found.problems), found.rejected) == (541, [])
    assert {name for problem in found.problems for name in problem.data["instruction_id_list"]} == set(KINDS)
    rewards = [verify(problem, json.dumps(problem.prompt[0].content)).reward for problem in found.problems[:60]]
    assert 0 < sum(rewards) < 60
