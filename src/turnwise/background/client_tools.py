"""Functions that a message's sender runs itself: the agent calls them, and its turn is parked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agents import Agent, FunctionTool

from turnwise.errors import UsageError

_NOT_RUN = "The client that runs this tool gave no output."
_ANY: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": True}


def checked_tools(session_id: str, tools: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What is stored of them. Raises UsageError."""
    found = [_checked(session_id, tool) for tool in tools]
    names = [tool["name"] for tool in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise UsageError(f"two tools are named {min(twice)!r}", session_id=session_id)
    return found


def _checked(session_id: str, tool: Mapping[str, Any]) -> dict[str, Any]:
    name, parameters = tool.get("name"), tool.get("parameters")
    if not isinstance(name, str) or not name:
        raise UsageError("each of the tools needs a name", session_id=session_id)
    if not isinstance(parameters, Mapping | None):
        raise UsageError(
            f"the parameters of tool {name!r} are no JSON schema: use a dict", session_id=session_id
        )
    described = {"description": str(tool.get("description") or "")}
    return {"name": name} | described | {"parameters": dict(parameters or _ANY)}


def with_client_tools(agent: Agent[Any], tools: Sequence[Mapping[str, Any]]) -> Agent[Any]:
    """The agent with these tools too; where it has one of that name, its own stays."""
    if not tools:
        return agent
    own = {tool.name for tool in agent.tools}
    added = [_client_tool(tool) for tool in tools if tool["name"] not in own]
    return agent.clone(tools=[*agent.tools, *added])


def _client_tool(tool: Mapping[str, Any]) -> FunctionTool:
    return FunctionTool(
        name=tool["name"],
        description=tool["description"],
        params_json_schema=dict(tool["parameters"]),
        on_invoke_tool=_not_run,
        strict_json_schema=False,
        needs_approval=True,
    )


async def _not_run(context: Any, arguments: str) -> str:
    """Somebody approved the call, instead of answering it."""
    return _NOT_RUN
