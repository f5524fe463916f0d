import shutil
import socket
import time

import pytest

from underdog.errors import UserError
from underdog.generate.chat import TemplateChat
from underdog.generate.open import open_model
from underdog.generate.options import Options
from underdog.generate.session import Served
from underdog.synthesis.asking import NoReply, Teacher, read_shape, side_by_side
from underdog.synthesis.replies import Budget, Cache
from underdog.synthesis.work import identity
from underdog.tokens.messages import Message

ASKED = [Message("user", "How many?")]
OPTIONS = Options(temperature=0.0, max_new_tokens=64, seed=1)
SCHEMA = {
    "type": "object",
    "properties": {
        "score": {"type": "integer", "minimum": 0, "maximum": 10},
        "why": {"type": "string", "maxLength": 9},
    },
    "required": ["score", "why"],
    "additionalProperties": False,
}


def test_a_reply_is_paid_for_once(teacher):
    budget = Budget(price_in=1.0, price_out=2.0)
    one = teacher(budget)
    assert one.ask(ASKED, OPTIONS) == "7"
    used = budget.used_in, budget.used_out
    assert used[0] > 3 and used[1] >= 2
    assert budget.spent == pytest.approx((used[0] + 2 * used[1]) / 1e6)
    again = teacher(budget)
    assert again.ask(ASKED, OPTIONS) == one.ask(ASKED, OPTIONS) == "7"
    assert (budget.used_in, budget.used_out) == used
    assert again.counts == {"cached": 1} and one.counts == {"asked": 1, "cached": 1}
    again.ask(ASKED, Options(temperature=0.0, max_new_tokens=64, seed=2))
    assert again.counts["asked"] == 1  # another seed is another question


def test_replies_have_the_shape_that_was_asked_for(teacher):
    one = teacher()
    for seed in range(3):
        said = one.ask_json(ASKED, Options(max_new_tokens=200, seed=seed), SCHEMA)
        assert 0 <= said["score"] <= 10 and len(said["why"]) <= 9


def test_a_budget_ends_the_asking_and_nothing_is_lost(teacher):
    one = teacher(Budget(tokens=1))
    one.ask(ASKED, OPTIONS)
    with pytest.raises(UserError, match="budget is used up") as error:
        one.ask([Message("user", "And now?")], OPTIONS)
    assert "goes on" in error.value.hint
    assert one.ask(ASKED, OPTIONS) == "7"
    with pytest.raises(UserError, match="budget"):
        teacher(Budget(money=0.0, price_in=1.0)).ask([Message("user", "?")], OPTIONS)
    with pytest.raises(UserError, match="needs prices"):
        Budget(money=1.0)


def test_what_an_attempt_before_paid_counts_in_the_budget(teacher):
    one = teacher()
    one.ask(ASKED, OPTIONS)
    again = teacher(Budget(tokens=one.budget.used_in + one.budget.used_out))
    assert again.ask(ASKED, OPTIONS) == "7"
    with pytest.raises(UserError, match="budget is used up"):
        again.ask([Message("user", "And now?")], OPTIONS)


def test_an_answer_that_is_cut_off_is_no_answer_and_not_paid_for_again(teacher):
    one, short = teacher(), Options(temperature=0.0, max_new_tokens=1, seed=1)
    for _ in range(2):
        with pytest.raises(NoReply, match="answer cut off"):
            one.ask(ASKED, short)
    assert one.counts == {"asked": 1, "cached": 1, "answer cut off": 2}


def test_an_answer_is_as_long_as_the_context_has_room_for(teacher):
    one = teacher()
    assert one.ask(ASKED, Options(temperature=0.0, max_new_tokens=100_000, seed=1)) == "7"
    with pytest.raises(NoReply, match="question too long") as error:
        one.ask([Message("user", "How many? " * 5000)], OPTIONS)
    assert error.value.why == "question too long" and one.counts["question too long"] == 1


def test_a_model_is_known_by_what_it_is_and_not_by_its_name(seven, served, tmp_path):
    shutil.copytree(seven, tmp_path / seven.name)
    here, there = (identity(str(folder), open_model(folder)) for folder in (seven, tmp_path / seven.name))
    assert here == identity(str(seven), open_model(seven)) and here != there
    weights = tmp_path / seven.name / "model.safetensors"
    weights.write_bytes(weights.read_bytes())
    assert identity(str(tmp_path / seven.name), open_model(seven)) != there
    assert identity(served, open_model(served)) == f"{served}#{seven.name}"


@pytest.mark.parametrize(
    ("status", "body", "why", "asked"),
    [
        (500, '{"error": {"message": "overloaded"}}', "overloaded", 7),
        (429, '{"error": {"message": "slower"}}', "slower", 7),
        (502, "<html>", "no JSON", 7),
        (200, "data: {", "a line that is no JSON", 7),
        (200, "", "broke off", 7),
        (200, 'data: {"error": {"message": "out of memory"}}', "out of memory", 7),
        (413, '{"error": {"message": "too large"}}', "too large", 1),
        (200, None, "empty answer", 1),
        (200, "I'm sorry, I can't help with that.", "refused", 1),
    ],
)
def test_a_server_that_fails_is_tried_again_then_named(failing, saying, tmp_path, status, body, why, asked):
    says = saying(body or "") if asked == 1 and status == 200 else body
    with failing(status, says) as (url, server):
        one = Teacher(open_model(url), Cache(tmp_path / "replies.sqlite"), Budget(), pause=0.001)
        with pytest.raises(NoReply, match=why):
            one.ask(ASKED, OPTIONS)
        assert server.asked == asked
        assert one.counts["tried again"] == server.asked - 1


def test_what_a_template_refuses_is_not_asked_again(tokenizer, tmp_path):
    template = "{% if messages[0].role == 'system' %}{{ raise_exception('no system turns') }}{% endif %}"
    model = Served("gemma", None, TemplateChat(tokenizer.with_template(template)))  # its engine is never reached
    one = Teacher(model, Cache(tmp_path / "replies.sqlite"), Budget(), pause=60.0)
    with pytest.raises(NoReply, match="no system turns") as error:
        one.ask([Message("system", "Be brief."), *ASKED], OPTIONS)
    assert one.counts == {error.value.why: 1} == {"question not taken": 1}


@pytest.mark.parametrize("status", [401, 404])
def test_a_server_that_lets_nobody_in_ends_it_at_once(failing, tmp_path, status):
    with failing(status, '{"error": {"message": "who are you?"}}') as (url, server):
        one = Teacher(open_model(url), Cache(tmp_path / "replies.sqlite"), Budget())
        with pytest.raises(UserError, match="who are you"):
            one.ask(ASKED, OPTIONS)
        assert server.asked == 1


def test_an_address_where_nobody_is():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        unused_port = listening.getsockname()[1]
    with pytest.raises(UserError, match="does not answer"):
        open_model(f"http://127.0.0.1:{unused_port}/v1")


def test_a_server_that_is_silent_times_out(failing, tmp_path):
    with failing(200, "", 0.6) as (url, _):
        model = open_model(url)
        model.wait(0.2)
        one = Teacher(model, Cache(tmp_path / "replies.sqlite"), Budget(), retries=1, pause=0.001)
        with pytest.raises(NoReply, match="timed out"):
            one.ask(ASKED, OPTIONS)
        assert one.counts == {"tried again": 1, "timed out": 1}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("7", "no JSON object"),
        ('{"score": 3', "no JSON object"),
        ('{"score": "3", "why": "a"}', '"score" is not of type integer'),
        ('{"score": 3}', '"why" is not of type string'),
        ('{"score": 95, "why": "a"}', '"score" is 95'),
        ('{"score": 3,}', "Expecting|Illegal"),
    ],
)
def test_what_has_not_the_shape(text, why):
    with pytest.raises(ValueError, match=why):
        read_shape(text, SCHEMA)
    assert read_shape('```json\n{"score": 3, "why": "a"}\n``` done', SCHEMA) == {"score": 3, "why": "a"}


def test_results_come_in_order_and_an_error_ends_the_rest():
    assert list(side_by_side(lambda n: n * n, range(9), 4)) == [n * n for n in range(9)]
    begun = []

    def work(n):
        begun.append(n)
        time.sleep(0.002)  # an answer is not there at once
        if n == 2:
            raise UserError("enough")

    with pytest.raises(UserError, match="enough"):
        list(side_by_side(work, range(1000), 2))
    assert len(begun) < 1000


def test_a_cache_that_is_none(tmp_path):
    (tmp_path / "replies.sqlite").write_text("not a database, but long enough to look at as one" * 50)
    with pytest.raises(UserError, match="not a cache of replies"):
        Cache(tmp_path / "replies.sqlite")
