"""A turn's events in the dialect of the chat wire: few, and each says one thing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from turnwise.http.following import Event
from turnwise.http.sse import frame

RETRY = 1000
"""Milliseconds after which a reader whose stream broke comes back."""

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""Made once: `json.dumps` makes an encoder for each call with options."""

_DELTAS = {
    "response.output_text.delta": "delta",
    "response.refusal.delta": "delta",
    "response.reasoning_text.delta": "reasoning",
    "response.reasoning_summary_text.delta": "reasoning",
}


def chat_frame(
    event: str, data: Mapping[str, Any], id: str | None = None, retry: int | None = None
) -> str:
    """One event of the chat wire."""
    return frame(_encode(data), event=event, id=id, retry=retry)


FAREWELL = chat_frame("reconnect", {}, retry=RETRY // 4)
"""Tells the reader to come back at once: another server goes on with the stream."""


def encoded(event_id: str, event: Event) -> str:
    """The frame for an event of the run; "" for one that this wire does not tell.

    Where the turn stands (parked, stopped, finished) the wire tells itself: it asks the store.
    """
    kind = event["type"]
    if kind == "raw_response_event":
        return _raw(event_id, event["data"])
    if kind == "run_item_stream_event":
        return _item(event_id, event["item"])
    if kind == "agent_updated_stream_event":
        return chat_frame("agent", {"name": event["new_agent"]}, event_id)
    if kind in ("turn.reset", "turn.retry"):
        return chat_frame("reset", {}, event_id or None)
    if kind == "turn.resumed":
        return chat_frame("resumed", {}, event_id)
    return ""


def _raw(event_id: str, data: Mapping[str, Any]) -> str:
    name = _DELTAS.get(data.get("type", ""))
    return "" if name is None else chat_frame(name, {"text": data["delta"]}, event_id)


def _item(event_id: str, item: Mapping[str, Any]) -> str:
    kind, raw = item["type"], item["raw_item"]
    if kind == "message_output_item":
        return chat_frame("message", {"agent": item["agent"], "text": _text(raw)}, event_id)
    if kind == "tool_call_item":
        return chat_frame("tool_call", _call(raw), event_id)
    if kind == "tool_call_output_item":
        told = {"call_id": raw.get("call_id"), "output": raw.get("output")}
        return chat_frame("tool_output", told, event_id)
    return ""


def _text(message: Mapping[str, Any]) -> str:
    parts = message.get("content") or []
    return "".join(part.get("text") or part.get("refusal") or "" for part in parts)


def _call(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A hosted tool has no arguments, and maybe no call id."""
    return {
        "call_id": raw.get("call_id", raw.get("id")),
        "name": raw.get("name", raw.get("type")),
        "arguments": raw.get("arguments", raw.get("input")),
    }
