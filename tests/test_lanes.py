import subprocess
import sys
import threading
import time

import pytest
import torch

from underdog import lanes


@pytest.fixture(params=[1, 3])
def open_lanes(request):
    threads = torch.get_num_threads()
    lanes.open_lanes(request.param)
    yield request.param
    lanes.open_lanes(1)
    torch.set_num_threads(threads)


def test_results_come_in_the_order_of_the_items(open_lanes):
    def slow_first(item):
        time.sleep(0.02 * (item == 0))
        return item

    assert list(lanes.side_by_side(slow_first, range(20))) == list(range(20))
    assert list(lanes.side_by_side(slow_first, [])) == []


def test_pieces_are_worked_on_together_and_not_far_ahead(open_lanes):
    begun, together = [], threading.Barrier(open_lanes, timeout=20)

    def piece(item):
        begun.append(item)
        together.wait()

    results = lanes.side_by_side(piece, range(open_lanes * 4))
    next(results)
    assert len(begun) <= open_lanes + 1
    list(results)


def test_an_error_ends_the_other_pieces(open_lanes):
    ended = []

    def piece(item):
        if item == 0:
            raise ValueError("no")
        try:
            while True:
                lanes.check()
                time.sleep(0.001)
        finally:
            ended.append(item)

    with pytest.raises(ValueError, match="no"):
        list(lanes.side_by_side(piece, range(5)))
    assert len(ended) <= open_lanes
    assert list(lanes.side_by_side(abs, [-1])) == [1], "the lanes are free again"


def test_what_pieces_yield_comes_while_they_go_on(open_lanes):
    """The reader of a piece's first result lets it make the second."""
    seen = threading.Semaphore(0)

    def piece(item):
        yield item, 0
        assert seen.acquire(timeout=20)
        yield item, 1

    found = []
    for result in lanes.as_they_come(piece, range(3)):
        found.append(result)
        seen.release()
    assert sorted(found) == [(item, part) for item in range(3) for part in range(2)]
    assert all(found.index((item, 0)) < found.index((item, 1)) for item in range(3))


def test_an_error_in_a_piece_that_yields_ends_the_others(open_lanes):
    def piece(item):
        if item == 0:
            raise ValueError("no")
        while True:
            lanes.check()
            time.sleep(0.001)
            yield item

    with pytest.raises(ValueError, match="no"):
        list(lanes.as_they_come(piece, range(3)))
    for _ in lanes.as_they_come(piece, [1, 2]):
        break
    assert list(lanes.side_by_side(abs, [-1])) == [1], "the lanes are free again"


def test_a_lane_computes_on_one_core(open_lanes):
    assert set(lanes.side_by_side(lambda _: torch.get_num_threads(), range(8))) == {1}


def test_ctrl_c_is_not_kept_waiting():
    code = """
import os, signal, threading, time
from underdog import lanes
lanes.open_lanes(2)
def endless(item):
    while True:
        lanes.check()
        time.sleep(0.001)
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
list(lanes.side_by_side(endless, range(4)))
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert "KeyboardInterrupt" in ended.stderr
