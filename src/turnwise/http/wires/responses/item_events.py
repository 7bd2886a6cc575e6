"""How items of the output are told in events."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from copy import deepcopy
from typing import Any, NamedTuple

from turnwise.http.wires.responses.items import Item, begun, content_part, ended

Wire = dict[str, Any]
"""An event as the client gets it."""
PART_ADDED, PART_DONE = "response.content_part.added", "response.content_part.done"


class _Delta(NamedTuple):
    """What a delta grows: the one of an item's `parts` that the event's field `place` names."""

    parts: str
    place: str
    begins: str
    empty: Item

    @property
    def text(self) -> str:
        """The field that grows."""
        return "refusal" if "refusal" in self.empty else "text"


_TEXT = content_part({"type": "output_text"})
_SUMMARY = "response.reasoning_summary"
_DELTAS = {
    "response.output_text.delta": _Delta("content", "content_index", PART_ADDED, _TEXT),
    "response.refusal.delta": _Delta(
        "content", "content_index", PART_ADDED, {"type": "refusal", "refusal": ""}
    ),
    "response.reasoning_text.delta": _Delta(
        "content", "content_index", PART_ADDED, {"type": "reasoning_text", "text": ""}
    ),
    f"{_SUMMARY}_text.delta": _Delta(
        "summary", "summary_index", f"{_SUMMARY}_part.added", {"type": "summary_text", "text": ""}
    ),
}


def whole_item_events(item: Item) -> Iterator[Wire]:
    """An item that comes in one piece."""
    yield {"type": "response.output_item.added", "item": begun(item)}
    yield from content_events(item)
    yield {"type": "response.output_item.done", "item": item}


def content_events(item: Item) -> Iterator[Wire]:
    """The content of an item that comes in one piece."""
    kind = item["type"]
    if kind == "message":
        for index, part in enumerate(item["content"]):
            yield from _part_events(part, {"content_index": index})
    elif kind == "reasoning":
        for index, part in enumerate(item["summary"]):
            yield from _summary_events(part, {"summary_index": index})
    elif kind == "function_call":
        yield from _argument_events("response.function_call_arguments", item)
    elif kind == "mcp_call":
        yield {"type": "response.mcp_call.in_progress"}
        yield from _argument_events("response.mcp_call_arguments", item)
        yield {"type": "response.mcp_call.completed"}


def untold_part(item: Item, wire: Mapping[str, Any]) -> Wire | None:
    """The beginning of the part that a delta is of, if the model did not tell it.

    Clients add a delta to a part that was begun, and fail if there is none.
    """
    found = _DELTAS.get(wire["type"])
    if found is None or wire[found.place] != len(item.get(found.parts, ())):
        return None
    return {"type": found.begins, found.place: wire[found.place], "part": deepcopy(found.empty)}


def part_ends(item: Item, open_parts: Collection[int]) -> Iterator[Wire]:
    """The ends of parts of a message that were begun and not ended."""
    parts = item.get("content") or []
    for index in sorted(open_parts):
        if index < len(parts):
            yield from _part_ended(parts[index], {"content_index": index})


def void_events(item: Item, open_parts: Collection[int]) -> Iterator[Wire]:
    """An item that was shown, and is not part of the response after all."""
    yield from part_ends(item, open_parts)
    yield {"type": "response.output_item.done", "item": ended(item, "incomplete")}


def accumulate(item: Item, wire: Mapping[str, Any]) -> None:
    """Add to an item what an event of its content says."""
    kind = str(wire["type"]).removeprefix("response.")
    if kind in ("content_part.added", "content_part.done"):
        _put(item.setdefault("content", []), wire["content_index"], wire["part"])
    elif kind in ("reasoning_summary_part.added", "reasoning_summary_part.done"):
        _put(item["summary"], wire["summary_index"], wire["part"])
    elif (found := _DELTAS.get(wire["type"])) is not None:
        _grow(item.get(found.parts, []), wire[found.place], found.text, wire["delta"])
    elif kind == "function_call_arguments.delta":
        item["arguments"] = item.get("arguments", "") + wire["delta"]


def _part_events(part: Item, at: Wire) -> Iterator[Wire]:
    name = {"output_text": "text", "refusal": "refusal"}.get(part["type"])
    if name is None:
        return
    kind = f"response.{part['type']}.delta"
    logprobs: Wire = {"logprobs": []} if name == "text" else {}
    yield {"type": PART_ADDED, "part": part | {name: ""}} | at
    yield {"type": kind, "delta": part[name]} | at | logprobs
    yield from _part_ended(part, at)


def _part_ended(part: Item, at: Wire) -> Iterator[Wire]:
    if part["type"] == "output_text":
        yield {"type": "response.output_text.done", "text": part["text"], "logprobs": []} | at
    elif part["type"] == "refusal":
        yield {"type": "response.refusal.done", "refusal": part.get("refusal", "")} | at
    yield {"type": PART_DONE, "part": part} | at


def _summary_events(part: Item, at: Wire) -> Iterator[Wire]:
    yield {"type": f"{_SUMMARY}_part.added", "part": part | {"text": ""}} | at
    yield {"type": f"{_SUMMARY}_text.delta", "delta": part["text"]} | at
    yield {"type": f"{_SUMMARY}_text.done", "text": part["text"]} | at
    yield {"type": f"{_SUMMARY}_part.done", "part": part} | at


def _argument_events(kind: str, item: Item) -> Iterator[Wire]:
    yield {"type": f"{kind}.delta", "delta": item["arguments"]}
    yield {"type": f"{kind}.done", "arguments": item["arguments"], "name": item["name"]}


def _put(parts: list[Item], index: int, part: Mapping[str, Any]) -> None:
    parts[index : index + 1] = [dict(part)]


def _grow(parts: list[Item], index: int, name: str, delta: str) -> None:
    if index < len(parts):
        parts[index][name] = parts[index].get(name, "") + delta
