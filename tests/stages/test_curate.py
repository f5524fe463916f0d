import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from underdog.artifacts.store import Draft
from underdog.errors import UserError
from underdog.recipe.schema import Curate
from underdog.stages import curate as stage
from underdog.stages.curate import curate
from underdog.text.corpus import CONTAMINATED, DOCUMENTS, REJECTS, read_tier
from underdog.text.passes import measure_unit
from underdog.text.readers import span
from underdog.text.signals import SIGNALS
from underdog.text.tiers import TIERS

pytest.importorskip("numba")

TOPICS = ("heap", "queue", "graph", "matrix", "parser", "cache", "thread", "socket", "stream", "buffer")
PROBLEM = "Tom has 17 marbles and gives 5 of them to each of his 3 sisters. How many are left for him?"


def explanation(topic):
    return (
        f"A {topic} is a structure that holds the state of a program while it runs. For example, a {topic} "
        f"of 12 items is needed because the {topic} must answer before the next request comes. If a {topic} "
        f"grows too large, then it is split, so that both parts of the {topic} can be read at the same time."
    )


def code(topic):
    lines = [f"class {topic.title()}:"]
    for n in range(8):
        lines += [
            f"    def {topic}_{n}(self, x{n}):",
            f"        self._{topic}[{n}] = x{n}",
            f"        return x{n}",
        ]
    return "\n".join(lines)


@pytest.fixture
def sources(tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    for topic in TOPICS:
        (folder / f"{topic}.md").write_text(explanation(topic))
        (folder / f"{topic}.code.txt").write_text(code(topic))
    (folder / "again.txt").write_text(explanation("heap").upper())
    (folder / "alike.txt").write_text(explanation("heap") + " " + "That is all.")
    (folder / "leak.md").write_text(explanation("leak") + "\n\n" + PROBLEM + "\n\nHe keeps two.")
    (folder / "short.txt").write_text("Too short.")
    (folder / "records.jsonl").write_text('{"text": "Also short."}\n{"no": 1}\n')
    return [str(folder)]


def run(path, sources, cores=1, on="here", **settings):
    path.mkdir(exist_ok=True)
    draft = Draft(path)
    settings = {"keep": {"medium": 0.2, "high": 0.2, "top": 0.2}, "minimum_characters": 100} | settings
    curate(Curate(sources=sources, **settings), {"marbles": PROBLEM}, draft, cores, on)
    return draft, pq.read_table(path / DOCUMENTS).to_pylist()


def named(rows, name):
    return next(row for row in rows if name in row["origin"])


def test_every_document_is_in_a_tier_or_says_why_not(tmp_path, sources):
    draft, rows = run(tmp_path / "a", sources)
    assert len(rows) == 2 * len(TOPICS) + 5
    assert all((row["tier"] is None) != (row["dropped"] is None) for row in rows)
    kept = next(row for row in rows if row["cluster"] == row["id"])
    reasons = {name: named(rows, name)["dropped"] for name in ("again", "heap.md", "leak", "short.txt")}
    assert reasons["leak"] == "contaminated by marbles"
    assert reasons["short.txt"] == "short"
    # again.txt, alike.txt and heap.md are one cluster, of which the first by name stays
    assert named(rows, "again.txt")["id"] == kept["id"]
    assert named(rows, "heap.md")["dropped"] == "duplicate"
    assert named(rows, "alike.txt")["dropped"] == f"near-duplicate of {kept['id']}"
    assert named(rows, "heap.md")["cluster"] == named(rows, "alike.txt")["cluster"] == kept["id"]
    assert draft.metrics["dropped"]["near-duplicate"] == 1


def test_explanations_come_before_code(tmp_path, sources):
    _, rows = run(tmp_path / "a", sources)
    top = [row["origin"] for row in rows if row["tier"] == "top"]
    assert top
    assert all(".code." not in origin for origin in top)
    assert all(row["tier"] != "top" for row in rows if ".code." in row["origin"])


def test_scores_stand_beside_every_document_that_was_scored(tmp_path, sources):
    _, rows = run(tmp_path / "a", sources)
    scored = [row for row in rows if row["score"] is not None]
    assert all(0 <= row[name] <= 9 for row in scored for name in SIGNALS)
    assert all(0 <= row["score"] <= 1 for row in scored)
    assert all(row[name] is None for row in rows if row["score"] is None for name in SIGNALS)
    assert {row["dropped"] for row in scored} == {None, "below medium"}


def test_the_funnel_only_narrows_and_ends_at_the_tiers(tmp_path, sources):
    draft, rows = run(tmp_path / "a", sources)
    funnel = draft.metrics["funnel"]
    counts = [(step["documents"], step["characters"]) for step in funnel]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == (len(rows), sum(len(row["text"]) for row in rows))
    tiers = draft.metrics["tiers"]
    assert counts[-1][0] == sum(tiers[tier]["documents"] for tier in TIERS)
    assert sum(tiers[name]["documents"] for name in tiers) == len(rows)
    assert sum(tiers[tier]["tokens"] for tier in TIERS) == funnel[-1]["tokens"]
    assert draft.metrics["sources"][sources[0]] == tiers
    scored = sum(row["score"] is not None for row in rows)
    assert all(sum(signal["histogram"]) == scored for signal in draft.metrics["signals"].values())
    examples = draft.metrics["examples"]
    assert all(len(example["text"]) <= 300 for part in examples.values() for example in part)
    assert examples["top"][0]["text"].startswith("A ")
    json.dumps(draft.metrics)


def test_bad_records_are_set_aside_and_counted(tmp_path, sources):
    draft, _ = run(tmp_path / "a", sources)
    rejects = [json.loads(line) for line in (tmp_path / "a" / REJECTS).read_text().splitlines()]
    assert [(r["file"].split("/")[-1], r["line"], r["reason"]) for r in rejects] == [
        ("records.jsonl", 2, '"text" is missing')
    ]
    assert draft.metrics["rejected"] == 1


def test_a_tier_is_read_back_as_documents(tmp_path, sources):
    _, rows = run(tmp_path / "a", sources)
    for tier in TIERS:
        documents = list(read_tier(tmp_path / "a", tier))
        expected = [row for row in rows if row["tier"] == tier]
        assert [(d.id, d.text) for d in documents] == [(row["id"], row["text"]) for row in expected]
    with pytest.raises(UserError, match="Unknown tier"):
        list(read_tier(tmp_path / "a", "best"))
    with pytest.raises(UserError, match="no curated corpus"):
        list(read_tier(tmp_path, "top"))


def test_the_same_settings_give_the_same_bytes(tmp_path, sources):
    for name in ("a", "b"):
        run(tmp_path / name, sources)
    assert (tmp_path / "a" / DOCUMENTS).read_bytes() == (tmp_path / "b" / DOCUMENTS).read_bytes()


def test_workers_change_nothing(tmp_path, sources, monkeypatch):
    """Neither how many there are nor how the work is cut."""
    _, rows = run(tmp_path / "one", sources)
    monkeypatch.setattr(span, "UNIT", 2000)
    draft = run(tmp_path / "two", sources, cores=2)[0]
    assert len(list((draft.state / "read").iterdir())) > 3
    assert pq.read_table(tmp_path / "two" / DOCUMENTS).to_pylist() == rows


def test_a_killed_run_goes_on_with_the_shards_that_are_finished(tmp_path, sources, monkeypatch):
    monkeypatch.setattr(span, "UNIT", 2000)
    _, rows = run(tmp_path / "whole", sources)
    measured = []

    def killed(context, unit, duplicates):
        if len(measured) == 3:
            raise KeyboardInterrupt
        measured.append(unit)
        measure_unit(context, unit, duplicates)

    monkeypatch.setattr(stage, "measure_unit", killed)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed", sources)
    shards = tmp_path / "killed" / "state"
    before = {path: path.stat().st_mtime_ns for path in shards.rglob("*.parquet")}
    assert sum("measured" in str(path) for path in before) == 3
    (shards / "measured" / "000009.parquet.1234.tmp").write_bytes(b"half a shard")
    monkeypatch.setattr(stage, "measure_unit", measure_unit)
    assert run(tmp_path / "killed", sources)[1] == rows
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_on_ray_with_a_worker_killed_midway_every_tier_is_the_same(tmp_path, sources, monkeypatch):
    pytest.importorskip("ray")
    from ray import cloudpickle

    monkeypatch.setattr(span, "UNIT", 2000)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    _, rows = run(tmp_path / "here", sources)
    died = tmp_path / "died"

    def dying(context, unit, duplicates):
        if unit == 1 and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        measure_unit(context, unit, duplicates)

    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import this file
    monkeypatch.setattr(stage, "measure_unit", dying)
    try:
        assert run(tmp_path / "ray", sources, cores=2, on="ray")[1] == rows
    except UserError as problem:
        if "does not start" not in str(problem):
            raise
        pytest.skip(str(problem))  # Ray gives its own processes 30 seconds, which a busy machine may not have
    assert died.exists()


def test_repeated_paragraphs_go_and_what_is_too_short_then(tmp_path, sources):
    notice = "This site uses cookies to give you a better experience, and asks you to agree to all of it."
    for topic in TOPICS:
        path = Path(sources[0], f"{topic}.md")
        path.write_text(f"{path.read_text()}\n\n{notice}")
        Path(sources[0], f"{topic}.rst").write_text(f"A page about a {topic}.\n\n{notice}")
    draft, rows = run(tmp_path / "a", sources, repeated_paragraphs=5)
    assert sum(notice in row["text"] for row in rows if row["dropped"] not in ("short", "duplicate")) == 1
    assert {named(rows, f"{topic}.rst")["dropped"] for topic in TOPICS} == {"repeated"}
    assert draft.metrics["dropped"]["repeated"] == len(TOPICS)


def test_what_is_contaminated_is_listed_with_the_item_and_the_share(tmp_path, sources):
    run(tmp_path / "a", sources)
    (found,) = [json.loads(line) for line in (tmp_path / "a" / CONTAMINATED).read_text().splitlines()]
    assert found["overlap_with"] == "marbles"
    assert 0.9 < found["overlap"] <= 1


def test_switches_switch_off(tmp_path, sources):
    _, rows = run(
        tmp_path / "a",
        sources,
        near_duplicates=0.0,
        decontaminate=0.0,
        signals={name: 0.0 for name in SIGNALS if name != "prose_share"},
    )
    reasons = {row["dropped"] for row in rows}
    assert reasons == {None, "short", "duplicate", "below medium"}
    assert "prose_share" in rows[0]
    assert "fluency" not in rows[0]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"signals": {"flueny": 1.0}}, "flueny"),
        ({"keep": {"top": 0.9, "high": 0.9}}, "sum to 1.8"),
        ({"minimum_characters": 100_000}, "25, 25 short"),
    ],
)
def test_settings_that_cannot_be_are_explained(tmp_path, sources, settings, says):
    with pytest.raises(UserError, match=says):
        run(tmp_path / "a", sources, **settings)


def test_an_empty_corpus_names_its_sources(tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "bad.jsonl").write_text("{}\n")
    with pytest.raises(UserError, match="texts; 1 bad records"):
        run(tmp_path / "a", [str(folder)])
    with pytest.raises(UserError, match="no documents: nothing"):
        run(tmp_path / "b", [])


def test_progress_moves_forward_to_the_end(tmp_path, sources):
    seen = []
    draft = Draft(tmp_path, on_progress=lambda done, total, note: seen.append((done / total, note)))
    curate(Curate(sources=sources, minimum_characters=100), {}, draft)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == 1.0
    assert "documents →" in seen[-1][1]


def test_curation_runs_without_torch():
    code = "import sys, underdog.stages.curate; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_where_nothing_was_read_the_first_reason_is_told(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"content": "Some text."}\n')
    with pytest.raises(
        UserError, match=r'1 bad records were .* first: .*a\.jsonl line 1: "text" is missing'
    ) as problem:
        run(tmp_path / "a", [str(tmp_path / "a.jsonl")])
    assert "curate.text_field" in problem.value.hint


@pytest.mark.parametrize(
    ("settings", "reason", "look_at"),
    [
        ({"minimum_characters": 10**6}, "short", "minimum_characters"),
        ({"languages": ["fi"]}, "language", "curate.languages"),
        ({"rules": ["gopher"], "limits": {"gopher.words": 10_000}}, "gopher.words", "curate.limits"),
        ({"thresholds": {"top": 0.999}}, "below top", "curate.thresholds"),
    ],
)
def test_where_nothing_is_left_the_setting_is_named(tmp_path, sources, settings, reason, look_at):
    with pytest.raises(UserError, match=reason) as problem:
        run(tmp_path / "a", sources, **settings)
    assert look_at in problem.value.hint


def test_a_threshold_of_nothing_keeps_all(tmp_path, sources):
    draft, _ = run(tmp_path / "a", sources, thresholds={"medium": 0})
    assert draft.metrics["tiers"]["medium"]["documents"] > 0


def test_a_language_is_a_code(tmp_path, sources):
    with pytest.raises(UserError, match='no language "english"'):
        run(tmp_path / "a", sources, languages=["english"])


def test_a_ray_cluster_that_is_not_there_is_told_at_once(tmp_path, sources, monkeypatch):
    pytest.importorskip("ray")
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{listening.getsockname()[1]}")
        with pytest.raises(UserError, match="There is no Ray cluster at RAY_ADDRESS"):
            run(tmp_path / "a", sources, on="ray")
