import httpx
import pytest

from underdog.serve.systemone import Choice, Noul, Score, SystemOneRequest, decide

QUESTIONS = {
    "spam": {"type": "noul", "instructions": "Is it spam?", "criteria": {"true": "Unsolicited ads"}},
    "tone": {"type": "choice", "criteria": {"calm": "A polite message", "angry": None, "odd": {"a": 1}}},
    "urgent": {"type": "score", "instructions": "How urgent is it?", "criteria": ["Can wait", "This week", "Today"]},
}


def ask(api, **change):
    body = {"model": "tiny", "state": {"message": "WIN a FREE phone!"}, "questions": QUESTIONS, **change}
    return httpx.post(f"{api}/v1/systemone", json=body, timeout=60)


def test_answers_are_probabilities(api):
    said = ask(api).json()
    assert said["model"] == "tiny" and list(said["answers"]) == list(QUESTIONS)
    spam, tone, urgent = said["answers"].values()
    assert spam.keys() == {"type", "noul"} and 0 < spam["noul"] < 1
    assert tone["probabilities"].keys() == {"calm", "angry", "odd"}
    for answer in (tone, urgent):
        assert sum(answer["probabilities"].values()) == pytest.approx(1)
        assert 0 <= answer["confidence"] <= 1
    assert tone["choice"] == max(tone["probabilities"], key=tone["probabilities"].get)
    assert urgent["legend"] == {"0": "Can wait", "1": "This week", "2": "Today"}
    assert ask(api).json()["answers"]["spam"]["noul"] == pytest.approx(spam["noul"], rel=1e-3)


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=list(QUESTIONS))
def test_prompts_and_answers_are_the_references(question, tiny_served):
    utils = pytest.importorskip("transformers.decision.template_utils")
    config = pytest.importorskip("transformers.decision").DecisionConfig()
    theirs = utils.Question.from_request("a", dict(question), config)
    state = {"message": "WIN a FREE phone!"}
    seen = []

    class Model:
        name = "watched"
        capabilities = tiny_served.capabilities

        def score(self, messages, labels):
            seen.append((messages[0].content, list(labels)))
            return [-1.0, -2.0, -0.5][: len(labels)]

    asked = SystemOneRequest.model_validate({"model": "m", "state": state, "questions": {"a": question}})
    found = decide(Model(), asked.state, asked.questions)["a"]
    template = utils._compile_jinja_template(utils.DECISION_PROMPT)
    assert seen == [(template.render(state=state, question=theirs).replace("\\n", "\n"), theirs.labels)]
    (mine,) = asked.questions.values()
    for shares in ([0.5, 0.3, 0.2], [0.1, 0.1, 0.8]):
        shares = shares[: len(mine.labels())]
        expected = theirs.answer(shares)
        assert mine.answer(shares) == expected
    assert found.keys() == expected.keys()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"questions": {}}, "questions"),
        ({"questions": {"a": {"type": "essay"}}}, "questions.a"),
        ({"questions": {"a": {"type": "choice"}}}, "criteria is missing"),
        ({"questions": {"a": {"type": "score", "criteria": ["x"] * 27}}}, "at most 26"),
        ({"assets": {"a": {"url": "x"}}}, "assets is not supported"),
        ({"state": "long " * 3000}, "context holds"),
        ({"state": 5}, "state"),
    ],
)
def test_what_is_wrong_is_a_400_that_names_it(api, change, words):
    response = ask(api, **change)
    assert response.status_code == 400 and words in response.json()["error"]["message"]


def test_sure_and_unsure():
    assert Noul(type="noul").answer([0.9, 0.1])["noul"] == 0.9
    two = Choice(type="choice", criteria={"a": None, "b": None})
    assert [two.answer(shares)["confidence"] for shares in ([1.0, 0.0], [0.5, 0.5])] == [1.0, 0.0]
    assert Score(type="score", criteria=["low"]).answer([1.0])["confidence"] == 1.0
