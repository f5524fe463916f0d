from underdog.report.live import result_line


def test_every_stage_has_one_thing_to_say(finished):
    lines = {stage: result_line(artifact) for stage, artifact in finished.artifacts.items()}
    assert lines["reinforce"] == "60 steps, 2,400 problems tried"
    assert lines["export"] == "q4_k_m: not written: its \\[rows] & more"
    assert lines["curate"].endswith("documents") and "held-out loss" in lines["pretrain"]
    assert all("pass@1" in line for stage, line in lines.items() if stage.startswith("evaluate"))
