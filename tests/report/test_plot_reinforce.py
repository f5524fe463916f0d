from underdog.report.plot_reinforce import panels, pass_rates


def test_a_panel_for_each_figure_that_was_logged(finished):
    log = finished.artifacts["reinforce"].log()
    assert [panel["title"] for panel in panels(log)] == [
        "Reward",
        "Validation pass@1",
        "Solved at least once",
        "Entropy",
        "KL to the reference",
        "Length of right answers",
        "Length of wrong answers",
        "Ran into the limit",
        "Groups kept",
        "Clipped",
        "Sampler against trainer",
    ]
    without = [{key: value for key, value in record.items() if key != "kl_to_reference"} for record in log]
    assert len(panels(without)) == 10
    assert panels([]) == []


def test_the_trend_does_not_smear_a_reset():
    log = [{"step": step, "kl_to_reference": float(step < 20)} for step in range(40)]
    before = panels(log)[0]
    after = panels([*log, {"step": 20, "reset": "20 steps since the last"}])[0]
    assert (after["first"], after["last"]) == ("1", "0")
    assert "reset" in after["svg"] and "reset" not in before["svg"]
    assert after["svg"].count("<path") > before["svg"].count("<path")


def test_constant_and_zero_figures_can_be_drawn():
    log = [{"step": step, "reward": 0.0, "entropy": 0.5, "kept": 0.0} for step in range(3)]
    assert [panel["last"].replace("\xa0", " ") for panel in panels(log)] == ["0.0 %", "0.5", "0.0 %"]


def test_domains_have_panels_of_their_own():
    figures = {"reward": 0.5, "reward_code": 0.25, "reward_instruction-following": 0.75}
    log = [{"step": step, **figures} for step in range(3)]
    assert [(panel["title"], panel["last"].replace("\xa0", " ")) for panel in panels(log)] == [
        ("Reward", "50.0 %"),
        ("Reward: code", "25.0 %"),
        ("Reward: instruction following", "75.0 %"),
    ]


def test_pass_rates_are_bars_as_high_as_there_are_problems():
    def bars(rates):
        return pass_rates({"step": 3, "pool": {"rates": rates}})

    assert bars([0] * 10) != bars([5, *[0] * 9]) == bars([5, *[0] * 9])
    assert "before step 3" in bars([0] * 10)
