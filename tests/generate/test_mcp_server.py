import sys

import pytest

pytest.importorskip("mcp")

from underdog.errors import UserError
from underdog.generate.mcp_server import McpServer
from underdog.generate.tools import Offer
from underdog.tokens.messages import ToolCall

SERVER = """
from mcp.server import MCPServer
server = MCPServer("weather")

@server.tool()
def weather(city: str, days: int = 1) -> str:
    "The weather of a city."
    return f"{city}: {10 + days}"

server.run()
"""


def test_the_tools_of_a_server_that_is_started_here(tmp_path):
    (tmp_path / "server.py").write_text(SERVER)
    with McpServer([sys.executable, str(tmp_path / "server.py")]) as server:
        (tool,) = server.tools()
        assert tool["function"]["name"] == "weather" and Offer((tool,)).rules()
        assert server.call(ToolCall("weather", {"city": "Rome", "days": 2}, "1")).content == "Rome: 12"
        assert "error" in server.call(ToolCall("weather", {"days": 2}, "2")).content.lower()


def test_a_server_that_does_not_answer_is_named():
    with pytest.raises(UserError, match="does not answer"), McpServer([sys.executable, "-c", "pass"]):
        pass
