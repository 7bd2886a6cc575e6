"""What items say, as people read a conversation: who, and in which words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Side = Literal["user", "assistant", "system", "call", "output", "reasoning", "other"]
_ROLES: dict[str, Side] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
}
_GIVEN = ("arguments", "input", "code")
"""Where a call has what the model gave; one that has none of them is given its other fields."""
_RESULTS = ("output", "outputs", "results", "result", "tools", "error")
"""Where an output has what came of the call, and a call that the model's provider ran."""
_PLUMBING = {"type", "id", "call_id", "name", "status", "caller", "encrypted_content", *_RESULTS}
_NOT_SHOWN = "(not shown)"


@dataclass(frozen=True, slots=True)
class ItemText:
    """A call, an output, or another item.

    Attributes:
        side: Whose it is.
        who: A role, a tool, "output", "approval", or what kind of item it is.
        text: What it says; an image or a file by its type only.
        call_id: Of a call, or of an output; "" for others.
    """

    side: Side
    who: str
    text: str
    call_id: str = ""


def item_texts(item: Mapping[str, Any]) -> Iterator[ItemText]:
    """What an item says, whatever is in it: a call that has its output says both."""
    kind = _text(item.get("type") or "message")
    if kind == "message":
        role = _text(item.get("role"))
        yield ItemText(_ROLES.get(role, "other"), role, _content(item.get("content")))
    elif kind == "reasoning":
        text = _content(item.get("summary") or item.get("content") or _NOT_SHOWN)
        yield ItemText("reasoning", kind, text)
    elif kind == "mcp_approval_response":
        yield ItemText("output", "approval", _verdict(item), _text(item.get("approval_request_id")))
    elif kind.endswith("_output"):
        yield ItemText("output", "output", _result(kind, item) or _status(item), _call_id(item))
    elif kind.endswith("_call") or kind in ("program", "mcp_approval_request"):
        yield ItemText("call", _text(item.get("name") or kind), _given(item), _call_id(item))
        if result := _result(kind, item):
            yield ItemText("output", "output", result, _call_id(item))
    else:
        text = "\n".join(filter(None, (_rest(item), _result(kind, item))))
        yield ItemText("other", kind, text or _text(item.get("id") or _NOT_SHOWN))


def _call_id(item: Mapping[str, Any]) -> str:
    return _text(item.get("call_id") or item.get("id") or "")


def _given(item: Mapping[str, Any]) -> str:
    for field in _GIVEN:
        if item.get(field) is not None:
            return _text(item[field])
    return _rest(item)


def _result(kind: str, item: Mapping[str, Any]) -> str:
    """What came of a call; "" if the item does not say."""
    if kind == "image_generation_call" and isinstance(item.get("result"), str):
        return "[image]"
    found = (item[field] for field in _RESULTS if item.get(field) is not None)
    return "\n".join(map(_content, found))


def _verdict(item: Mapping[str, Any]) -> str:
    verdict = "approved" if item.get("approve") is True else "rejected"
    reason = item.get("reason")
    return f"{verdict}: {_text(reason)}" if reason else verdict


def _status(item: Mapping[str, Any]) -> str:
    return _text(item.get("status") or _NOT_SHOWN)


def _rest(item: Mapping[str, Any]) -> str:
    """The fields that are neither plumbing nor a result; "" if there are none."""
    rest = {key: item[key] for key in item if key not in _PLUMBING}
    return _json(rest) if rest else ""


def _content(content: Any) -> str:
    """The text of a message or an output, part by part."""
    if isinstance(content, str):
        return content
    if isinstance(content, Mapping):
        return _part(content)
    if isinstance(content, Sequence):
        return "\n".join(map(_part, content))
    return _json(content)


def _part(part: Any) -> str:
    """Its text; what is no text, by its type and name."""
    if not isinstance(part, Mapping):
        return _text(part)
    for field in ("text", "refusal", "logs", "message"):
        if isinstance(part.get(field), str):
            return str(part[field])
    names = [_text(part[field]) for field in ("type", "name", "filename") if part.get(field)]
    return f"[{' '.join(names)}]" if names else _json(part)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
