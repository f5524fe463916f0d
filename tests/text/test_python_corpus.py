"""The built-in corpora, read for real, and whether the scores tell their good parts from the bad ones."""

import importlib.util

import numpy as np
import pytest

from underdog.recipe.schema import Curate
from underdog.text.duplicates import exact_duplicates, exact_keys
from underdog.text.judge import Judge
from underdog.text.kernels.tokens import hash_tokens
from underdog.text.python_corpus import SHORTEST, package_docs, python_docs, python_rest
from underdog.text.readers.formats import read_span

EVERY = 6  # scored: one document in so many


@pytest.fixture(scope="module")
def corpora():
    return {
        name: [document for span in spans() for document in read_span(span)]
        for name, spans in {
            "python-docs": python_docs,
            "package-docs": package_docs,
            "python-rest": python_rest,
        }.items()
    }


def test_there_is_enough_for_a_demonstration_and_not_more(corpora):
    characters = {name: sum(len(d.text) for d in documents) for name, documents in corpora.items()}
    assert 6e6 < sum(characters.values()) < 14e6
    assert characters["python-rest"] > 0.15 * sum(characters.values())


def test_documents_say_where_they_come_from(corpora):
    for name, documents in corpora.items():
        assert {d.source for d in documents} == {name}
        assert all(d.origin for d in documents)


def test_docstrings_are_read_with_their_qualified_names(corpora):
    origins = {d.origin: d.text for d in corpora["python-docs"]}
    text = origins["graphlib.py TopologicalSorter.add"]
    assert text.startswith("Add a new node and its predecessors to the graph.")
    assert "\n    " not in text  # without the indentation of the code around it
    assert len(text) >= SHORTEST


def test_the_rest_holds_licences_changes_tables_and_code(corpora):
    origins = " ".join(d.origin for d in corpora["python-rest"])
    change_logs = ["NEWS.txt"] if importlib.util.find_spec("idlelib") else []  # some systems pack it apart
    for part in ("LICENSE", "encodings/", "urllib/", *change_logs):
        assert part in origins


def test_reading_again_gives_the_same(corpora):
    assert [document for span in python_rest() for document in read_span(span)] == corpora["python-rest"]


def test_scores_tell_documentation_from_the_rest_by_the_text_alone(corpora):
    documents = [d for members in corpora.values() for d in members]
    kept = exact_duplicates(exact_keys(hash_tokens([d.text for d in documents])))
    documents = [d for d, same in zip(documents, kept, strict=True) if same is None][::EVERY]
    judge = Judge(Curate(groups=[]))
    score = judge.score(judge.measure([d.text for d in documents])).quality
    rest = np.array([d.source == "python-rest" for d in documents])
    better = (score[~rest][:, None] > score[rest]) + 0.5 * (score[~rest][:, None] == score[rest])
    assert better.mean() > 0.88  # area under the ROC curve
