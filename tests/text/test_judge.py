import pickle

import numpy as np
import pyarrow as pa

from underdog.recipe.schema import Curate
from underdog.text.judge import Judge

TEXTS = ["A heap is a tree. It is kept in a list, because that is fast.", "x = 1\ny = 2", "", "Привет, мир!"]


def test_the_cut_into_batches_and_a_trip_to_another_process_change_nothing():
    judge = Judge(Curate())
    whole = judge.measure(pa.array(TEXTS))
    copy = pickle.loads(pickle.dumps(judge))
    parts = [copy.measure(pa.array([text])) for text in TEXTS]
    assert pa.Table.from_batches([whole]).equals(pa.Table.from_batches(parts).combine_chunks())


def test_scores_come_from_the_columns():
    judge = Judge(Curate())
    scored = judge.score(judge.measure(TEXTS))
    assert scored.scores.shape == (len(TEXTS), len(judge.signals))
    assert np.argmax(scored.quality) == 0
