"""Messages of a chat completion as items of a conversation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from turnwise.http.wires.responses.errors import invalid

Item = dict[str, Any]
Message = Mapping[str, Any]


def last_user_message(messages: Sequence[Message]) -> Item:
    """The new message. What comes before it, the session knows.

    Raises:
        OpenAIError: 400: the last message is not the user's.
    """
    last = messages[-1]
    if last.get("role") != "user":
        raise invalid("In a session the last message has to be the user's.", "messages")
    return _message(last, len(messages) - 1)


def items_of(messages: Sequence[Message]) -> list[Item]:
    """All messages, for an answer outside of any session."""
    items: list[Item] = []
    for place, message in enumerate(messages):
        role = message.get("role")
        if role == "tool":
            output = {"call_id": str(message.get("tool_call_id")), "output": _text(message)}
            items.append({"type": "function_call_output"} | output)
            continue
        if message.get("content") is not None:
            items.append(_message(message, place))
        items += [_call(call, place) for call in message.get("tool_calls") or ()]
    return items


def function_tools(tools: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The functions that the client runs, as `Session.submit` takes them."""
    found = [tool.get("function") for tool in tools if tool.get("type") == "function"]
    return [dict(function) for function in found if isinstance(function, Mapping)]


def _message(message: Message, place: int) -> Item:
    role, content = message.get("role"), message.get("content")
    if role not in ("user", "assistant", "system", "developer"):
        raise invalid(f"Invalid value for 'messages[{place}].role'.", f"messages[{place}].role")
    if isinstance(content, list):
        content = [_part(part, role, f"messages[{place}].content") for part in content]
    elif not isinstance(content, str):
        name = f"messages[{place}].content"
        raise invalid(f"Invalid type for '{name}'.", name, "invalid_type")
    return {"role": role, "content": content}


def _part(part: Any, role: str, where: str) -> Item:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "text":
        name = "output_text" if role == "assistant" else "input_text"
        return {"type": name, "text": str(part.get("text", ""))}
    if kind == "refusal":
        return {"type": "refusal", "refusal": str(part.get("refusal", ""))}
    if kind == "image_url" and isinstance(image := part.get("image_url"), Mapping):
        detail = image.get("detail") or "auto"
        return {"type": "input_image", "image_url": image.get("url"), "detail": detail}
    raise invalid(f"'{where}' holds a part of type {kind!r}: use text and image_url.", where)


def _call(call: Any, place: int) -> Item:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping):
        name = f"messages[{place}].tool_calls"
        raise invalid(f"Invalid value for '{name}'.", name)
    said = {"name": str(function.get("name")), "arguments": str(function.get("arguments") or "")}
    return {"type": "function_call", "call_id": str(call.get("id"))} | said


def _text(message: Message) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping))
    return content if isinstance(content, str) else json.dumps(content)
