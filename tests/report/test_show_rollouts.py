import pytest

from underdog.errors import UserError
from underdog.report.show_rollouts import show_rollouts


def test_the_last_rollouts_of_a_run_unless_a_step_is_named(finished, capsys):
    show_rollouts(finished, None)
    said = capsys.readouterr().out
    assert "step 30, of 0, 30" in said
    assert "What is 17 * 3? (step 30)" in said and "products: 3 answers, mean reward 0.33" in said
    assert "<think>17*3</think>51" in said and "reward 1.00, right: 51 is right (7 tokens)" in said
    assert "[bold]50" in said  # what a model writes is no markup
    show_rollouts(finished, 0)
    assert "(step 0)" in capsys.readouterr().out


def test_control_characters_do_not_reach_the_terminal(run_of, capsys):
    show_rollouts(run_of("sft", "reinforce", hostile="\x1b[2J\x07"), None)
    said = capsys.readouterr().out
    assert "\x1b" not in said and "\x07" not in said and "51" in said


def test_what_is_not_there_is_said(finished, run_of):
    with pytest.raises(UserError, match="no rollouts of step 7") as told:
        show_rollouts(finished, 7)
    assert told.value.hint == "There are of 0, 30."
    with pytest.raises(UserError, match="has no rollouts"):
        show_rollouts(run_of("sft"), None)
