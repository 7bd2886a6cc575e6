"""Output items: what a model or a tool made, as the client is shown it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

Item = dict[str, Any]

FAKE_ID = "__fake_id__"
"""What the SDK's models for other APIs put where an item's id should be."""
LOCAL_CALLS = frozenset(
    {
        "function_call",
        "custom_tool_call",
        "shell_call",
        "local_shell_call",
        "apply_patch_call",
        "computer_call",
    }
)
"""Calls that somebody has to carry out: here the server. No client must take them for its own."""
_PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "mcp_call": "mcp",
    "mcp_approval_request": "mcpr",
}
APPROVAL_PREFIX = "mcpr_"
_EMPTY: dict[str, Item] = {
    "message": {"content": []},
    "reasoning": {"summary": []},
    "function_call": {"arguments": ""},
    "mcp_call": {"arguments": "", "output": None},
}


class ItemIds:
    """The ids of a response's items: the provider's where it gave one, else computed.

    The same turn gives the same ids on any replica.
    """

    def __init__(self, turn_id: str, part: int, used: Iterable[str] = ()) -> None:
        self._names = turn_id, part
        self._used = set(used)

    def of(self, item: Mapping[str, Any], place: int) -> str:
        """The id of the item at this place of the output. No two items get the same one."""
        own = item.get("id")
        if isinstance(own, str) and own not in ("", FAKE_ID, *self._used):
            self._used.add(own)
            return own
        made = _prefixed(item, *self._names, place)
        if made not in self._used:
            self._used.add(made)
            return made
        return self.other(item)

    def other(self, item: Mapping[str, Any]) -> str:
        """Another id for an item whose own is that of a void one."""
        made = _prefixed(item, *self._names, "other", len(self._used))
        self._used.add(made)
        return made


def _prefixed(item: Mapping[str, Any], *parts: object) -> str:
    return f"{_PREFIXES.get(str(item.get('type')), 'item')}_{digest(*parts)}"


def digest(*parts: object) -> str:
    """A short name for these, in hexadecimal."""
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()


def begun(item: Item) -> Item:
    """The item before its content has come."""
    found = item | deepcopy(_EMPTY.get(item["type"], {}))
    return found | {"status": "in_progress"} if _has_status(item) else found


def ended(item: Item, status: str = "completed") -> Item:
    """The item with this status, if such items have one."""
    return item | {"status": status} if _has_status(item) else item


def whole(raw: Mapping[str, Any], item_id: str) -> Item:
    """A model's output item with all that clients expect of one."""
    item = {key: value for key, value in raw.items() if value is not None} | {"id": item_id}
    if item["type"] == "message":
        item |= {"role": item.get("role", "assistant"), "status": item.get("status", "completed")}
        item["content"] = [content_part(part) for part in item.get("content") or ()]
    elif item["type"] == "reasoning":
        item["summary"] = list(item.get("summary") or ())
    elif item["type"] == "function_call":
        item["status"] = item.get("status", "completed")
    return item


def content_part(part: Mapping[str, Any]) -> Item:
    """A part of a message's content."""
    if part.get("type") == "output_text":
        lists = {name: list(part.get(name) or ()) for name in ("annotations", "logprobs")}
        return {**part, "text": part.get("text") or "", **lists}
    return dict(part)


def mcp_call(call: Mapping[str, Any], server: str, output: object, approval_id: str | None) -> Item:
    """A tool that the server ran: clients know it from servers of MCP, and do not run it again."""
    return {
        "id": "",
        "type": "mcp_call",
        "server_label": server,
        "name": call_name(call),
        "arguments": call_arguments(call),
        "output": output_text(output),
        "error": None,
        "status": "completed",
        "approval_request_id": approval_id,
    }


def approval_request(approval: Mapping[str, Any]) -> Item:
    """A call that waits for a decision."""
    return {
        "id": APPROVAL_PREFIX + str(approval["id"]),
        "type": "mcp_approval_request",
        "server_label": approval["agent_name"],
        "name": approval["tool_name"],
        "arguments": approval["arguments"],
    }


def call_name(call: Mapping[str, Any]) -> str:
    """The tool that it calls."""
    return str(call.get("name") or str(call["type"]).removesuffix("_call"))


def call_arguments(call: Mapping[str, Any]) -> str:
    """What it calls the tool with, as text."""
    for name in ("arguments", "input", "action", "operation"):
        if (value := call.get(name)) is not None:
            return value if isinstance(value, str) else json.dumps(value)
    return ""


def output_text(output: object) -> str:
    """A tool's output as text."""
    if isinstance(output, str):
        return output
    if isinstance(output, list):
        texts = [part.get("text") for part in output if isinstance(part, Mapping)]
        if len(texts) == len(output) and all(isinstance(text, str) for text in texts):
            return "".join(map(str, texts))
    return json.dumps(output)


def same_content(one: Item, other: Item) -> bool:
    """Whether two items differ by nothing but their ids."""
    return _without_id(one) == _without_id(other)


def history_items(items: Iterable[Mapping[str, Any]], session_id: str, first: int) -> list[Item]:
    """Items of a conversation, with ids. `first` is the place of the first of them in it."""
    return [as_history_item(item, session_id, place) for place, item in enumerate(items, first)]


def as_history_item(item: Mapping[str, Any], session_id: str, place: int) -> Item:
    """An item of a conversation, with all that clients expect of one.

    Its id is its own, or computed of its place: it stays as long as what comes before stays.
    """
    found = dict(item)
    kind = found.setdefault("type", "message")
    own = found.get("id")
    if not isinstance(own, str) or own in ("", FAKE_ID):
        found["id"] = _prefixed(found, session_id, place)
    if kind == "message":
        _complete_message(found)
    elif _has_status(found):
        found.setdefault("status", "completed")
    return found


def _complete_message(message: Item) -> None:
    message.setdefault("status", "completed")
    content = message.get("content")
    if isinstance(content, str):
        kind = "output_text" if message.get("role") == "assistant" else "input_text"
        content = [{"type": kind, "text": content}]
    message["content"] = [content_part(part) for part in content or ()]


def _has_status(item: Mapping[str, Any]) -> bool:
    kind = item["type"]
    return kind not in ("reasoning", "mcp_approval_request", "mcp_approval_response")


def _without_id(item: Item) -> Item:
    return {key: value for key, value in item.items() if key not in ("id", "status")}
