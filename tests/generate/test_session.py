from itertools import takewhile

import pytest

from underdog.errors import UserError
from underdog.generate.engine import Engine
from underdog.generate.interface import Ending, Sampling
from underdog.generate.options import ContextFull, OptionError, Options
from underdog.generate.reading import Reading
from underdog.generate.session import collect
from underdog.generate.structure import Structure
from underdog.tokens.chat import prompt_ids
from underdog.tokens.messages import Message

ASKED = [Message("user", "2 + 2?")]


def test_reasoning_content_and_counts(scripted, tokenizer):
    served = scripted("<think>2 + 2</think>\n4 ")
    answer = collect(served.reply(ASKED))
    assert answer.message == Message("assistant", "4", "2 + 2")
    finish = answer.finish
    assert (finish.ending, finish.notice) == (Ending.STOPPED, None)
    assert finish.prompt_tokens == len(prompt_ids(ASKED, tokenizer))
    assert finish.new_tokens == len(served.engine.ids)
    assert finish.reasoning_tokens == len(tokenizer.encode("<think>2 + 2</think>"))


def test_one_delta_a_token_and_the_last_has_the_finish(scripted):
    served = scripted("<think>a</think>b")
    deltas = list(served.reply(ASKED))
    assert len(deltas) == len(served.engine.ids)
    assert [delta.finish is None for delta in deltas] == [True] * (len(deltas) - 1) + [False]


@pytest.mark.parametrize(
    ("text", "ends", "content", "notice"),
    [
        ("<think>2 + 2", False, "", "There is no answer: the limit of {} new tokens was reached while the model was"),
        ("<think></think>  ", False, "", "There is no answer: the limit of {} new tokens was reached before an"),
        ("The cat", False, "The cat", "The answer is cut off: the limit of {} new tokens was reached."),
        ("<think>2 + 2", True, "", "There is no answer: the model ended its turn inside its reasoning."),
        ("", True, "", "There is no answer: the model ended its turn without one."),
        ("!x", True, "", "There is no answer: it began with a stop string."),
    ],
)
def test_an_answer_that_is_cut_off_or_empty_says_so(scripted, text, ends, content, notice):
    served = scripted(text, ends)
    limit = len(served.engine.ids)
    answer = collect(served.reply(ASKED, Options(max_new_tokens=limit, stop=("!",))))
    assert answer.message.content == content
    assert answer.finish.ending.value == ("stop" if ends else "length")
    assert answer.finish.notice.startswith(notice.format(limit))


def test_a_full_context_is_named_as_the_limit(scripted):
    answer = collect(scripted("cat " * 1100, ends=False).reply(ASKED))
    assert answer.finish.notice == "The answer is cut off: the context of 1024 tokens was reached."
    assert answer.finish.prompt_tokens + answer.finish.new_tokens == 1024


def test_too_long_a_conversation_is_refused_with_both_numbers(served, tokenizer):
    long = [Message("user", "cat, " * 300)]
    length = len(prompt_ids(long, tokenizer))
    with pytest.raises(ContextFull, match=f"has {length} tokens; the model's context holds 256") as error:
        served.reply(long)  # at once: before the first delta
    assert error.value.option == "messages"


def test_too_many_new_tokens_are_refused_with_what_would_fit(served, tokenizer):
    room = 256 - len(prompt_ids(ASKED, tokenizer))
    with pytest.raises(ContextFull, match=f"{room + 1} new ones are asked for, 257 in all") as error:
        served.reply(ASKED, Options(max_new_tokens=room + 1))
    assert f"at most {room} new" in error.value.hint


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("temperature", -0.1),
        ("temperature", 2.1),
        ("temperature", 1e-9),
        ("temperature", float("nan")),
        ("top_p", 1.1),
        ("top_k", -1),
        ("max_new_tokens", 0),
        ("seed", 2**63),
        ("stop", ("a", "")),
        ("stop", ("a",) * 17),
    ],
)
def test_options_out_of_range_are_named(option, value):
    with pytest.raises(OptionError, match=f"^{option} must be") as error:
        Options(**{option: value})
    assert error.value.option == option


@pytest.mark.parametrize("messages", [[], [Message("user", "a"), Message("assistant", "b")]])
def test_the_user_has_the_last_word(served, messages):
    with pytest.raises(UserError, match="last message"):
        served.reply(messages)


def test_a_real_model_says_what_its_engine_generates(served, tokenizer):
    sampling = Sampling(temperature=0.8, top_k=20, max_new_tokens=40, seed=3)
    ((completion,),) = Engine(served.engine.model, tokenizer.turn_end).generate(
        [prompt_ids(ASKED, tokenizer)], sampling
    )
    said = list(takewhile(lambda token: token not in (tokenizer.turn_end, tokenizer.end_of_text), completion.ids))
    reading = Reading()
    pieces = [reading.add(tokenizer.pieces[token]) for token in said] + [reading.end()]
    reasoning, content = ("".join(texts) for texts in zip(*pieces, strict=True))
    answer = collect(served.reply(ASKED, Options(temperature=0.8, top_k=20, max_new_tokens=40, seed=3)))
    assert answer.message == Message("assistant", content, reasoning or None)
    assert answer.finish.new_tokens == min(len(said) + 1, len(completion.ids))


def test_without_a_seed_answers_differ(served):
    options = Options(max_new_tokens=30)
    assert len({collect(served.reply(ASKED, options)).message for _ in range(3)}) == 3


def test_the_end_of_a_document_ends_the_answer(scripted, tokenizer):
    served = scripted("fine", ends=False)
    served.engine.ids += [tokenizer.end_of_text, *tokenizer.encode("another document")]
    answer = collect(served.reply(ASKED))
    assert (answer.message.content, answer.finish.ending) == ("fine", Ending.STOPPED)


@pytest.mark.parametrize("how", ["closed", "stop string"])
def test_the_model_stops_when_nobody_reads_on(scripted, how):
    served = scripted("a b c d e f g h")
    if how == "closed":
        deltas = served.reply(ASKED)
        next(deltas)
        deltas.close()
    else:
        collect(served.reply(ASKED, Options(stop=("b",))))
    assert served.engine.closed
    assert served.engine.drawn < 5


def test_a_thought_that_uses_up_its_budget_is_ended_for_the_model(served):
    opened = "<think>"
    # Where it may think, it does.
    options = Options(
        structure=Structure.choice(["yes", "no"]),
        thinking_budget=5,
        seed=2,
        bias={served.chat.encode(opened)[0]: 100.0},
    )
    answer = collect(served.reply(ASKED, options))
    assert answer.message.content in ("yes", "no")
    assert answer.finish.reasoning_tokens <= 7
    assert answer.message.reasoning is not None


def test_an_answer_of_a_structure_is_left_as_it_is(served):
    structure = Structure.regex(r" {2}\d{2} ")
    assert collect(served.complete("x", Options(structure=structure, seed=1))).message.content.startswith("  ")


def test_a_text_is_continued_as_it_is(scripted):
    answer = collect(scripted(" <think>a</think> b ").complete("x"))
    assert (answer.message.content, answer.message.reasoning) == (" <think>a</think> b ", None)


def test_log_probabilities_of_the_content_only(served):
    answer = collect(served.reply(ASKED, Options(alternatives=2, max_new_tokens=8, seed=1, thinking=False)))
    assert len(answer.scored) >= answer.finish.new_tokens - 1
    assert all(len(top) == 2 and scored.logprob <= top[0].logprob for scored, top in answer.scored)
