import io
import signal

import pytest
from rich.console import Console

from underdog.errors import UserError
from underdog.generate.options import Options
from underdog.serve.terminal import chat, chat_once


def talk(served, *lines, **more):
    """What the terminal shows while a person types these lines."""
    typed = iter(lines)

    def ask():
        line = next(typed, EOFError)
        if isinstance(line, type):
            raise line
        return line

    shown = io.StringIO()
    chat(served, ask, Console(file=shown, width=80), **more)
    return shown.getvalue()


def test_questions_and_answers(scripted):
    served = scripted("<think>hm</think>yes")
    assert talk(served, "really?", "", "sure?").split("\n")[1:] == ["hm", "", "yes", "hm", "", "yes", ""]
    first, second = served.engine.prompts
    assert first == "user\nreally?\nassistant\n"
    assert second == "user\nreally?\nassistant\nyes\nuser\nsure?\nassistant\n"


def test_commands(scripted):
    served = scripted("yes")
    shown = talk(served, "one", "/new", "two", "/help", "/bye now", " /slash", "/quit", "never", system="Be kind.")
    assert [prompt.removeprefix("system\nBe kind.\n") for prompt in served.engine.prompts] == [
        "user\none\nassistant\n",
        "user\ntwo\nassistant\n",
        "user\ntwo\nassistant\nyes\nuser\n /slash\nassistant\n",
    ]
    assert "/quit  leave" in shown
    assert 'There is no command "/bye"; /help lists them.' in shown


def test_an_answer_cut_off_in_its_reasoning_is_told_and_left_out(scripted):
    served = scripted("<think>hm hm hm hm")
    shown = talk(served, "one", "two", options=Options(max_new_tokens=3))
    assert shown.count("There is no answer: the limit of 3 new tokens was reached while the model") == 2
    assert shown.count("The question is left out of the conversation.") == 2
    assert served.engine.prompts[1] == "user\ntwo\nassistant\n"


def test_a_full_context_is_told_and_the_conversation_goes_on(tiny_served):
    shown = talk(tiny_served, "long " * 300, "short", options=Options(max_new_tokens=2, seed=1))
    assert "the model's context holds 256" in shown and "/new starts another conversation." in shown
    assert shown.count("the limit of 2 new tokens was reached") == 1


def test_ctrl_c_stops_the_answer_and_not_the_program(scripted):
    served = scripted("a b c d e f")
    draw = served.engine.stream

    def interrupted(prompt, sampling):
        for i, drawn in enumerate(draw(prompt, sampling)):
            if i == 6 and len(served.engine.prompts) == 1:
                signal.raise_signal(signal.SIGINT)
            yield drawn

    served.engine.stream = interrupted
    shown = talk(served, "one", KeyboardInterrupt, "two").split("\n")
    said = shown[1]
    assert len(said) > 2 and "a b c d e f".startswith(said) and len(said) < 11
    assert shown[2:] == ["Stopped.", "", "/quit or Ctrl-D leaves.", "a b c d e f", ""]
    assert f"assistant\n{said}\n" in served.engine.prompts[1]  # what was said stays said


def test_control_characters_are_shown_and_not_obeyed(scripted):
    shown = talk(scripted("\x1b[2J\x07 [bold]x[/bold] :smile:\x9b"), "go")
    assert "␛[2J␇ [bold]x[/bold] :smile:�" in shown


def test_a_pipe_is_a_person_too(scripted, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("one\ntwo\udc80\n"))
    served = scripted("yes")
    chat(served)
    assert capsys.readouterr().out.split("\n")[1:] == ["yes", "yes", ""]
    assert "two?" in served.engine.prompts[1]


def test_a_single_question_keeps_the_answer_clean(scripted, capsys):
    served = scripted("<think>hm</think>yes")
    message = chat_once(served, "really?", system="Be kind.")
    out, err = capsys.readouterr()
    assert served.engine.prompts == ["system\nBe kind.\nuser\nreally?\nassistant\n"]
    assert (out, err.split()) == ("yes\n", ["hm"])
    assert (message.content, message.reasoning) == ("yes", "hm")


def test_a_single_question_without_an_answer_is_told(scripted, capsys):
    assert chat_once(scripted("<think>hm"), "really?") is None
    out, err = capsys.readouterr()
    assert out == "" and "There is no answer: the model ended its turn inside its reasoning." in err
    with pytest.raises(UserError, match="context"):
        chat_once(scripted(""), "long " * 5000)
