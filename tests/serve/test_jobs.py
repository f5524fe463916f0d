import json

import httpx
import pytest


def post(url, path, **body):
    return httpx.post(f"{url}/v1/{path}", json={"model": "tiny", "input": "Rome", **body}, timeout=60)


def test_a_text_is_classified(api):
    found = post(api, "classify", labels={"city": "", "river": "flows"}).json()
    assert sum(found["probabilities"].values()) == pytest.approx(1)
    assert found["label"] in ("city", "river") and found["confidence"] == max(found["probabilities"].values())


def test_a_form_is_filled_and_entities_are_found(scripted, serving):
    with serving(scripted('{"a": "Rome"}')) as (url, _):
        found = post(url, "extract", model="scripted", form={"a": "the city"}).json()
        assert found == {"model": "scripted", "value": {"a": "Rome"}, "spans": {"$.a": [0, 4]}}
    with serving(scripted('[{"text": "Rome", "type": "city"}, {"text": "Oslo", "type": "city"}]')) as (url, _):
        found = post(url, "entities", model="scripted", types={"city": ""}).json()
        assert found["entities"] == [{"start": 0, "end": 4, "type": "city", "text": "Rome"}] and found["invented"] == 1


def test_texts_are_normalized_and_routed(api):
    found = post(api, "normalize", input="1,5 млн руб.", kind="amount").json()
    assert found == {"model": "tiny", "value": "1500000 RUB", "by": "rules"}
    found = post(api, "normalize", input="03/04/2025", kind="date", rules_only=True, now="2026-11-22T10:00:00").json()
    assert found["value"] is None and found["readings"] == ["2025-04-03", "2025-03-04"]
    found = post(api, "route", labels={"a": "", "b": ""}, least=0.0, services={"a": "s", "b": "s"}).json()
    assert found["to"] == "s" and found["label"] in ("a", "b")
    assert post(api, "classify", labels={"a": "", "b": ""}, multi=True, abstain=0).json()["labels"].keys() == {
        "a",
        "b",
    }


FLOW = {
    "about": "order",
    "slots": {"city": {"kind": "text", "ask": "Where to?"}},
    "confirm": "To {city}?",
    "done": "Gone.",
}
SCRIPT = {"flows": {"go": FLOW}, "offer": "Where?"}


def test_a_dialogue_goes_on_with_its_state(scripted, serving):
    said = [{"command": "start", "flow": "go"}, {"command": "set", "slot": "city", "value": "Rome"}]
    with serving(scripted(json.dumps({"commands": said}))) as (url, _):
        first = post(url, "dialog", model="scripted", input="to Rome", script=SCRIPT).json()
        assert first["say"] == ["To Rome?"] and first["commands"] == said and first["state"]["expects"] == "confirm"
        again = post(url, "dialog", model="scripted", input="to Rome", script=SCRIPT, state=first["state"]).json()
        assert [one["why"] for one in again["refused"]] == ["it has begun already", "it is filled already"]
        assert again["say"][-1] == "To Rome?" and again["state"]["misses"] == 1


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("classify", {"labels": {"a": ""}}, "labels: "),
        ("classify", {"labels": {"a": "", "b": ""}, "labls": 1}, "Did you mean labels?"),
        ("classify", {"labels": {"a": "", "b": ""}, "input": "x " * 500}, "context holds 256"),
        ("extract", {"form": {"type": "object", "not": {}}}, "$.not"),
        ("entities", {"types": {}}, "types: "),
        ("normalize", {"kind": "dates"}, 'Did you mean "date"?'),
        ("normalize", {"kind": "date", "region": "XX"}, "no region"),
        ("dialog", {"script": {"flow": {}}}, 'Did you mean "flows"?'),
        ("dialog", {"script": SCRIPT, "state": {}}, "none of this script's"),
        ("route", {"labels": {"a": "", "b": ""}}, "least is missing"),
        ("route", {"labels": {"a": "", "b": ""}, "least": 0.0, "services": {"c": "s"}}, '"c" is none of the labels'),
    ],
)
def test_what_is_wrong_is_a_400(api, path, body, words):
    response = post(api, path, **body)
    assert response.status_code == 400 and words in response.json()["error"]["message"]
