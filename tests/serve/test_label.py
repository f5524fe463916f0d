"""Labels asked of a server of OpenAI's API: this project's own, over HTTP."""

import json

import pyarrow as pa

from underdog.generate.remote import Remote
from underdog.stages.label import choose, label_corpus
from underdog.text.corpus import write_documents
from underdog.text.labels import read_labels
from underdog.text.signals import SIGNALS


def corpus(folder, count):
    rows = [
        {"id": f"{n}", "source": "a" if n % 2 else "b", "text": f"Text {n}.", "tier": None, "score": n / count}
        for n in range(count)
    ]
    write_documents(folder, [pa.Table.from_pylist(rows)])
    return folder


def test_documents_are_labelled_over_http(tmp_path, scripted, serving):
    answer = json.dumps(dict.fromkeys(SIGNALS, 6))
    with serving(scripted(answer)) as (address, _):
        teacher = Remote(f"{address}/v1")
        path = tmp_path / "labels.jsonl"
        done = label_corpus(corpus(tmp_path, 12), teacher, path, 4)
        again = label_corpus(tmp_path, teacher, path, 4)
    assert (done.labelled, done.failed) == (4, 0)
    assert (again.labelled, again.known) == (0, 4)
    assert all(set(found.scores) == set(SIGNALS) for found in read_labels(path))


def test_documents_come_from_every_source_and_height():
    rows = [(source, f"{source}{n}", n / 10) for source in "ab" for n in range(10)]
    assert choose(rows, 4) == ["a2", "a7", "b2", "b7"]
    assert len(choose(rows, 100)) == 20
