"""The objects of the API, besides items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from turnwise.http.wires.responses.ids import ResponseId
from turnwise.http.wires.responses.items import Item
from turnwise.http.wires.responses.requests import CreateResponse

_DEFAULTS: dict[str, Any] = {
    "instructions": None,
    "tools": [],
    "tool_choice": "auto",
    "truncation": "disabled",
    "parallel_tool_calls": True,
    "text": {"format": {"type": "text"}},
    "top_p": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "top_logprobs": 0,
    "temperature": 1.0,
    "reasoning": {"effort": None, "summary": None},
    "max_output_tokens": None,
    "max_tool_calls": None,
    "service_tier": "default",
    "metadata": {},
    "safety_identifier": None,
    "prompt_cache_key": None,
    "user": None,
}
"""What a response says of its request, where that did not say otherwise."""


def echo_of(request: CreateResponse, created_at: int) -> dict[str, Any]:
    """What is kept of a request, for the response to say it again."""
    said = request.model_dump(exclude_unset=True)
    kept = {name: said[name] for name in _DEFAULTS if said.get(name) is not None}
    previous = request.previous_response_id
    more = {"previous_response_id": previous} if previous else {}
    return {"model": request.model, "created_at": created_at} | more | kept


def response_object(
    response_id: ResponseId, echo: Mapping[str, Any], status: str
) -> dict[str, Any]:
    """A response before it has any output."""
    conversation = response_id.conversation
    found = _DEFAULTS | {"previous_response_id": None} | dict(echo)
    if not found["text"].get("format"):
        found["text"] = found["text"] | {"format": {"type": "text"}}
    found["tools"] = [_tool(tool) for tool in found["tools"]]
    return {
        "id": str(response_id),
        "object": "response",
        "status": status,
        "background": response_id.background,
        "store": response_id.store,
        "conversation": None if conversation is None else {"id": conversation},
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "output": [],
        "usage": None,
        **found,
    }


def deleted_response(response_id: str) -> dict[str, Any]:
    return {"id": response_id, "object": "response", "deleted": True}


def conversation_object(
    conversation_id: str, created_at: float, metadata: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "id": conversation_id,
        "object": "conversation",
        "created_at": int(created_at),
        "metadata": dict(metadata),
    }


def list_object(items: Sequence[Item], *, has_more: bool = False) -> dict[str, Any]:
    return {
        "object": "list",
        "data": list(items),
        "first_id": items[0]["id"] if items else None,
        "last_id": items[-1]["id"] if items else None,
        "has_more": has_more,
    }


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    """A function with all that clients expect of one."""
    if tool.get("type") != "function":
        return dict(tool)
    return {"description": None, "parameters": None, "strict": False} | dict(tool)
