import pytest

from underdog.errors import UserError
from underdog.generate.options import ContextFull, OptionError
from underdog.generate.remote import ServerError
from underdog.serve.errors import refusal


@pytest.mark.parametrize(
    ("problem", "status", "param", "code"),
    [
        (UserError("No.", hint="Try yes."), 400, None, "invalid_value"),
        (OptionError("top_p", "No."), 400, "the top_p", "invalid_value"),
        (ContextFull("input", "No."), 400, "the input", "context_length_exceeded"),
        (ServerError("It broke off."), 502, None, "upstream_error"),
        (ServerError("It knows no such key.", 401), 502, None, "upstream_error"),
        (ServerError("It was silent.", 408), 504, None, "upstream_error"),
        (ServerError("It is busy.", 429), 429, None, "upstream_error"),
        (ServerError("It takes no top_k.", 400), 400, None, "upstream_error"),
    ],
)
def test_what_a_client_is_told(problem, status, param, code):
    told = refusal(problem, lambda option: f"the {option}")
    error = told.body["error"]
    assert (told.status, error["param"], error["code"]) == (status, param, code)
    assert error["type"] == ("invalid_request_error" if status < 500 else "server_error")
