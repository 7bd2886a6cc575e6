"""A conversation as people read one: who says what, in bubbles."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

CUT = 4000
"""How many characters of a text a page shows at first; the rest is behind `whole`."""
Side = Literal["user", "assistant", "system", "call", "output", "reasoning", "other"]
_ROLES: dict[str, Side] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
}


@dataclass(frozen=True)
class Said:
    """One item.

    Attributes:
        side: How it is drawn.
        who: A role, a tool, or what kind of item it is.
        text: What it says.
        call_id: Of a call, or of an output; "" for others.
    """

    side: Side
    who: str
    text: str
    call_id: str = ""

    @property
    def start(self) -> str:
        return self.text[:CUT]

    @property
    def rest(self) -> str:
        """What a page shows only to who asks."""
        return self.text[CUT:]


def said(item: Mapping[str, Any]) -> Said:
    """What an item says, whatever is in it."""
    kind = _text(item.get("type") or "message")
    call_id = _text(item.get("call_id") or "")
    if kind == "message":
        role = _text(item.get("role"))
        return Said(_ROLES.get(role, "other"), role, _content(item.get("content")))
    if kind == "reasoning":
        return Said("reasoning", "reasoning", _content(item.get("summary") or "(not shown)"))
    if kind.endswith("_output"):
        return Said("output", "output", _content(item.get("output")), call_id)
    if kind.endswith("_call"):
        return Said("call", _text(item.get("name") or kind), _arguments(item), call_id)
    return Said("other", kind, _json(item))


def _arguments(item: Mapping[str, Any]) -> str:
    arguments = item.get("arguments")
    if isinstance(arguments, str):
        return arguments
    rest = {key: item[key] for key in item if key not in ("type", "id", "call_id", "name")}
    return _json(rest)


def _content(content: Any) -> str:
    """The text of a message or an output; what is no text, by its type."""
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence):
        return _json(content)
    return "\n".join(map(_part, content))


def _part(part: Any) -> str:
    if not isinstance(part, Mapping):
        return _text(part)
    text = part.get("text", part.get("refusal"))
    return text if isinstance(text, str) else f"[{_text(part.get('type'))}]"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
