import dataclasses
import re
import time
from html.parser import HTMLParser

import pytest

from underdog.artifacts.files import write_json
from underdog.report.card import render, write_card
from underdog.stages.pipeline import open_run

VOID = {"meta", "br", "hr", "img", "input", "link", "rect", "path", "use"}
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;</pre></section>{{ 7*7 }}\x00\x1b[31m\u202e"


class Checked(HTMLParser):
    """Raises where tags do not nest, and keeps what tests ask about."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.ids, self.attributes, self.text = [], [], [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        self.ids += [value for name, value in attributes if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, text):
        self.text.append(text)

    def says(self, text):
        return text in " ".join(" ".join(self.text).replace("\xa0", " ").split())


@pytest.fixture(scope="module")
def page(finished):
    return render(finished)


@pytest.fixture(scope="module")
def checked(page):
    return Checked(page)


def test_card_is_well_formed_with_unique_ids(checked):
    assert len(checked.ids) == len(set(checked.ids))
    assert checked.tags.count("svg") == 4 + 2 + 1 + 11 + 2  # signals, pretraining, accuracy, reinforcement, pass rates


def test_card_is_self_contained(page, checked):
    assert not {"script", "link", "img", "iframe", "object"} & set(checked.tags)
    assert "http:" not in page and "https:" not in page and "@import" not in page
    assert [value for name, value in checked.attributes if name in ("src", "srcset", "data")] == []
    targets = [value for name, value in checked.attributes if name == "href"] + re.findall(r"url\((.*?)\)", page)
    assert targets and {target.removeprefix("#") for target in targets} <= set(checked.ids)


def test_card_tells_the_story_in_order(checked):
    text = " ".join(checked.text)
    places = [text.index(name) for name in ("Text", "Pretraining", "Accuracy", "Reinforcement", "Samples", "Lineage")]
    assert len(set(places)) == 6
    assert checked.says("1.05 M parameters, 9 minutes")
    assert checked.says("9,675 documents read, 7,150 kept")
    assert checked.says("against 33 % for the same time of more SFT")
    assert checked.says("Reset before step 40: 40 steps since the last")
    assert checked.says("Judging took too long for 1 answers and failed on 0: they earned nothing")
    assert checked.says("60 active, 30 deferred, 10 retired")
    assert checked.says("What is 17 * 3? (step 30)") and not checked.says("(step 0)")
    assert checked.says("51 is right") and checked.says("50 is not 51")
    assert checked.says("underdog run demo.toml")


def test_colours_are_the_pages_own(page):
    body = page.partition("</style>")[2]
    assert re.findall(r"(?:fill|stroke|color): ?#[0-9a-f]{3,6}", body) == []
    used = set(re.findall(r"var\(--([\w-]+)\)", page))
    assert used - {"c", "on", "v"} <= set(re.findall(r"--([\w-]+): ", page.partition("@media")[0]))


def test_run_read_back_from_disk_gives_the_same_bytes_in_little_time(finished, page, tmp_path):
    names = {stage: artifact.path.name for stage, artifact in finished.artifacts.items()}
    record = {"recipe": finished.recipe.model_dump(by_alias=True), "artifacts": names}
    write_json(finished.folder / "run.json", record)
    begin = time.process_time()
    path = write_card(open_run(finished.folder), tmp_path / "card.html")
    assert time.process_time() - begin < 6
    assert path.read_bytes() == page.encode()
    assert list(tmp_path.iterdir()) == [path]


def test_hostile_text_stays_text(run_of, tmp_path):
    run = run_of("evaluate-sft", "evaluate-reinforce", "sft", "reinforce", hostile=HOSTILE)
    page = write_card(run, tmp_path / "card.html").read_text(encoding="utf-8")
    checked = Checked(page)
    assert "script" not in checked.tags and "img" not in checked.tags
    assert checked.says("<script>alert(1)</script>") and checked.says("{{ 7*7 }}")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", page)


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ((), "Nothing made yet."),
        (("problems", "curate"), "text done, no model yet."),
        (("problems", "curate", "tokenize", "pretrain"), "held-out loss 3.10 after 999 k tokens."),
        (("pretrain", "evaluate-pretrain", "sft", "evaluate-sft"), "pass@1 27 % after SFT."),
        (("sft", "evaluate-sft", "reinforce", "evaluate-reinforce"), "pass@1 27 % → 46 % by reinforcement."),
        (("reinforce",), "reinforcement done, no model yet."),
    ],
)
def test_any_part_of_a_run_gives_a_card(finished, stages, said):
    part = {stage: artifact for stage, artifact in finished.artifacts.items() if stage in stages}
    assert Checked(render(dataclasses.replace(finished, artifacts=part))).says(said)


def test_metrics_that_a_stage_did_not_write_are_left_out(finished):
    bare = {
        stage: dataclasses.replace(artifact, manifest={**artifact.manifest, "metrics": {}})
        for stage, artifact in finished.artifacts.items()
    }
    Checked(render(dataclasses.replace(finished, artifacts=bare)))


def test_rows_that_could_not_be_judged_are_counted(page):
    assert "3 rows of the problem files could not be judged" in page
