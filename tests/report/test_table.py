import json

import pytest

from underdog.report.table import Interval, difference, held_out_loss, sentence, summary_rows


def test_rows_follow_the_run_and_gather_the_evaluations(finished):
    rows = summary_rows(finished.artifacts)
    stages = ["problems", "curate", "tokenize", "pretrain", "sft", "reinforce", "control", "export", "evaluate"]
    assert [row.stage for row in rows] == stages
    by_stage = {row.stage: row for row in rows}
    look = finished.artifacts["evaluate-sft"].metrics
    assert by_stage["sft"].sampled == Interval(**look["sampled"])
    assert by_stage["sft"].greedy == Interval(**look["greedy"])
    assert by_stage["evaluate"].seconds == pytest.approx(56, abs=1)
    assert sum(row.seconds for row in rows) == pytest.approx(sum(a.seconds for a in finished.artifacts.values()))


def test_held_out_loss_is_that_of_the_last_phase(finished):
    by_phase = finished.artifacts["pretrain"].metrics["held_out_loss"]
    assert held_out_loss(finished.artifacts["pretrain"]) == by_phase["decay"] != by_phase["quality"]
    assert held_out_loss(finished.artifacts["sft"]) is None


def test_cells_are_what_a_terminal_prints(finished):
    rows = {row.stage: row.cells() for row in summary_rows(finished.artifacts)}
    assert rows["reinforce"] == ("Reinforcement", "2:51", "45.8\xa0% [43.0, 48.6]", "36.9\xa0% [31.9, 41.9]", "")
    assert rows["pretrain"][-1] == "3.104"
    assert rows["export"][2:] == ("", "", "")


def test_time_to_the_model_leaves_out_control_evaluation_and_export(finished):
    shorter = {stage: a for stage, a in finished.artifacts.items() if stage not in ("control", "export")}
    assert "9\xa0minutes" in sentence(finished.artifacts)
    assert "9\xa0minutes" in sentence(shorter)


def test_difference_is_paired_by_problem(tmp_path, finished):
    def look(name, rewards):
        folder = tmp_path / name
        folder.mkdir()
        lines = [json.dumps({"problem": p, "sampled_rewards": r}) for p, r in rewards.items()]
        (folder / "samples.jsonl").write_text("\n".join(lines))
        return type(finished.artifacts["sft"])(folder, {})

    before = look("before", {"a": [0, 0], "b": [1, 0], "c": [1, 1], "only here": [1, 1]})
    after = look("after", {"c": [1, 1], "b": [1, 1], "a": [1, 0]})
    found = difference(before, after)
    # gains 0.5, 0.5, 0: standard error sqrt(0.25 / 3 / 3) = 1/6
    assert (found.mean, found.low, found.high) == pytest.approx((1 / 3, 1 / 3 - 1.96 / 6, 1 / 3 + 1.96 / 6))
    assert difference(before, look("one", {"a": [1, 1]})) is None
    assert difference(before, finished.artifacts["sft"]) is None
