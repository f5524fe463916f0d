"""Tools of an MCP server for `toolbox.converse`: a command that is started here, or an address.

with McpServer(["python", "weather_server.py"]) as server:
    converse(model, messages, server)
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from underdog.errors import UserError, extra
from underdog.tokens.messages import Message, ToolCall


class McpServer:
    """See `toolbox.Tools`. A server is trusted as far as the one who names it trusts it: its tools run there."""

    def __init__(self, server: Sequence[str] | str | Any):
        """`server`: a command with its arguments, an http(s) address, or what the mcp library takes."""
        self._server = server
        self._open = ExitStack()
        self._tools: tuple[Mapping[str, Any], ...] = ()

    def __enter__(self) -> "McpServer":
        """Raises UserError: the server cannot be reached or started."""
        with extra("mcp", "An MCP server"):
            import mcp
            from anyio.from_thread import start_blocking_portal
        server = self._server
        if not isinstance(server, str) and isinstance(server, Sequence):
            server = mcp.StdioServerParameters(command=server[0], args=list(server[1:]))
        try:
            self._portal = self._open.enter_context(start_blocking_portal())
            self._client = self._open.enter_context(self._portal.wrap_async_context_manager(mcp.Client(server)))
            self._tools = tuple(_written(tool) for tool in self._portal.call(self._client.list_tools).tools)
        except Exception as problem:
            self._open.close()
            raise UserError(f"The MCP server {self._server} does not answer: {problem}.") from None
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.close()

    def tools(self) -> tuple[Mapping[str, Any], ...]:
        return self._tools

    def call(self, call: ToolCall) -> Message:
        try:
            result = self._portal.call(self._client.call_tool, call.name, dict(call.arguments))
            texts = [part.text for part in result.content if part.type == "text"]
            said = "\n".join(texts)
        except Exception as problem:  # the server is somebody else's: the loop outlives it
            said = f"error: {problem}"
        return Message("tool", said, tool_call_id=call.id, name=call.name)


def _written(tool: Any) -> dict[str, Any]:
    said = tool.model_dump(by_alias=True)
    function = {"name": said["name"], "description": said.get("description") or "", "parameters": said["inputSchema"]}
    return {"type": "function", "function": function}
