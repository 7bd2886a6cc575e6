"""What models and tools do in a turn, in the words of the AI SDK; AG-UI is made from it too."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

Chunk = dict[str, Any]
Item = Mapping[str, Any]

_TEXTS = {"output_text": "text", "refusal": "refusal"}
"""Kinds of a message's content, and where each has its text."""
_NOT_INPUT = {"id", "type", "status", "call_id", "result", "output", "error"}


class Call(NamedTuple):
    """A call of a tool.

    Attributes:
        id: The part of the client's message.
        name: The tool.
        input: What it was given.
        hosted: Whether the provider ran it, so that the call itself carries its output.
    """

    id: str
    name: str
    input: Any
    hosted: bool


def call_of(item: Item) -> Call | None:
    """The call that an item is; None if it is none."""
    kind, call_id = item.get("type", ""), item.get("call_id")
    if kind == "function_call":
        return Call(str(call_id), item["name"], parsed(item.get("arguments", "")), False)
    if kind == "custom_tool_call":
        return Call(str(call_id), item["name"], item.get("input", ""), False)
    if kind == "mcp_approval_request":
        return Call(item["id"], item["name"], parsed(item.get("arguments", "")), False)
    if not kind.endswith("_call"):
        return None
    given = {name: value for name, value in item.items() if name not in _NOT_INPUT}
    name = item["name"] if kind == "mcp_call" else kind.removesuffix("_call")
    return Call(str(call_id or item.get("id")), name, given, call_id is None)


def parsed(arguments: str) -> Any:
    """A call's arguments; the text itself where a model wrote no JSON."""
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments


class Steps:
    """Turns what a run says into chunks: a step for each response of a model.

    A model's response comes in pieces or as a whole, and a run that nobody streamed says only which
    items it made. Each item becomes the same chunks in either way, once.

    Attributes:
        calls: The ids of the calls that have a part in the client's message. What is there before
            the first step is given.
    """

    def __init__(self, calls: Iterable[str] = ()) -> None:
        self.calls = set(calls)
        self._parts: dict[Hashable, str] = {}
        """The parts of the current response, by what the provider calls them."""
        self._inputs: dict[Any, str] = {}
        self._open: dict[str, str] = {}
        """The kinds of the parts that have not ended."""
        self._count = 0
        self._in_step = False
        self._in_response = False
        self._begins_step = True
        self._came_in_pieces = False
        self._told: Counter[Hashable] = Counter()
        """Items of the current response, which the run names again."""

    def response(self, event: Item) -> Iterator[Chunk]:
        """An event of a model's stream."""
        kind = event["type"].removeprefix("response.")
        if kind == "created" or not self._in_response:
            self._begin_response()
        if kind in _DELTAS:
            part, place = _DELTAS[kind]
            yield from self._delta(part, (event["output_index"], place, event[place]), event)
        elif kind in ("function_call_arguments.delta", "custom_tool_call_input.delta"):
            yield from self._input_delta(event)
        elif kind == "output_item.added":
            yield from self._call_begun(event["output_index"], event["item"])
        elif kind == "output_item.done":
            self._came_in_pieces = True
            yield from self._done(event["output_index"], event["item"])
        elif kind in ("completed", "incomplete", "failed"):
            yield from self._response_over(event["response"].get("output") or ())

    def item(self, item: Item) -> Iterator[Chunk]:
        """An item that the run made."""
        if item.get("type", "").endswith("_output"):
            yield from self._output(item)
        elif self._told[_name(item)]:
            self._told[_name(item)] -= 1
        else:
            yield from self._done(object(), item)
            self._told[_name(item)] -= 1

    def call(self, call: Call) -> Iterator[Chunk]:
        """A call with its whole input."""
        if call.id not in self.calls:
            yield from self._start_call(call.id, call.name, call.hosted)
        yield {
            "type": "tool-input-available",
            "toolCallId": call.id,
            "toolName": call.name,
            "input": call.input,
            **_executed(call.hosted),
        }

    def close(self) -> Iterator[Chunk]:
        """End what is open."""
        for part_id in list(self._open):
            yield from self._end(part_id)
        if self._in_step:
            self._in_step = False
            yield {"type": "finish-step"}
        self._begins_step = True

    def _begin_response(self) -> None:
        self._in_response = self._begins_step = True
        self._came_in_pieces = False
        self._parts.clear()
        self._inputs.clear()
        self._told.clear()

    def _response_over(self, output: Any) -> Iterator[Chunk]:
        if not self._came_in_pieces:
            for index, item in enumerate(output):
                yield from self._done(index, item)
        self._in_response = False

    def _begin_content(self) -> Iterator[Chunk]:
        if self._begins_step:
            yield from self.close()
            yield {"type": "start-step"}
            self._in_step, self._begins_step = True, False

    def _delta(self, kind: str, name: Hashable, event: Item) -> Iterator[Chunk]:
        if event["delta"]:
            yield from self._start(kind, name)
            part = self._parts[name]
            yield {"type": f"{kind}-delta", "id": part, "delta": event["delta"]}

    def _start(self, kind: str, name: Hashable) -> Iterator[Chunk]:
        if name in self._parts:
            return
        yield from self._begin_content()
        self._count += 1
        part = self._parts[name] = f"{kind}-{self._count}"
        self._open[part] = kind
        yield {"type": f"{kind}-start", "id": part}

    def _end(self, part_id: str) -> Iterator[Chunk]:
        if kind := self._open.pop(part_id, None):
            yield {"type": f"{kind}-end", "id": part_id}

    def _whole(self, kind: str, name: Hashable, text: str) -> Iterator[Chunk]:
        """A text of which all has come, in pieces or not."""
        if name not in self._parts and text:
            yield from self._delta(kind, name, {"delta": text})
        if name in self._parts:
            yield from self._end(self._parts[name])

    def _input_delta(self, event: Item) -> Iterator[Chunk]:
        call_id = self._inputs.get(event["output_index"])
        if call_id is not None and event["delta"]:
            yield {
                "type": "tool-input-delta",
                "toolCallId": call_id,
                "inputTextDelta": event["delta"],
            }

    def _call_begun(self, index: int, item: Item) -> Iterator[Chunk]:
        call = call_of(item)
        if call is not None:
            self._inputs[index] = call.id
            yield from self._start_call(call.id, call.name, call.hosted)

    def _start_call(self, call_id: str, name: str, hosted: bool) -> Iterator[Chunk]:
        yield from self._begin_content()
        self.calls.add(call_id)
        yield {
            "type": "tool-input-start",
            "toolCallId": call_id,
            "toolName": name,
            **_executed(hosted),
        }

    def _done(self, index: Hashable, item: Item) -> Iterator[Chunk]:
        """An item of which all has come."""
        self._told[_name(item)] += 1
        kind = item.get("type", "message")
        if kind == "message":
            yield from self._message(index, item)
        elif kind == "reasoning":
            yield from self._reasoning(index, item)
        elif (call := call_of(item)) is not None:
            if index not in self._inputs:
                self.calls.discard(call.id)  # a call of an earlier response may have this id
            yield from self.call(call)
            if call.hosted:
                yield from _hosted_output(call, item)

    def _message(self, index: Hashable, item: Item) -> Iterator[Chunk]:
        for place, part in enumerate(item.get("content") or ()):
            field = _TEXTS.get(part["type"])
            if field is not None:
                name = (index, "content_index", place)
                yield from self._whole("text", name, part.get(field) or "")
            for note in part.get("annotations") or ():
                if note["type"] == "url_citation":
                    source = {"url": note["url"], "title": note.get("title") or note["url"]}
                    self._count += 1
                    yield {"type": "source-url", "sourceId": f"source-{self._count}", **source}

    def _reasoning(self, index: Hashable, item: Item) -> Iterator[Chunk]:
        for place, part in enumerate(item.get("summary") or ()):
            yield from self._whole("reasoning", (index, "summary_index", place), part["text"])
        for place, part in enumerate(item.get("content") or ()):
            yield from self._whole("reasoning", (index, "content_index", place), part["text"])

    def _output(self, item: Item) -> Iterator[Chunk]:
        """What a tool returned. Without a model's stream the next item begins a step."""
        if not self._in_response:
            self._begins_step = True
        call_id = item.get("call_id")
        if call_id in self.calls:
            output = {"toolCallId": call_id, "output": item.get("output")}
            yield {"type": "tool-output-available", **output}


_DELTAS = {
    "output_text.delta": ("text", "content_index"),
    "refusal.delta": ("text", "content_index"),
    "reasoning_summary_text.delta": ("reasoning", "summary_index"),
    "reasoning_text.delta": ("reasoning", "content_index"),
}
"""Pieces of texts, and what names the text within its item."""


def _name(item: Item) -> Hashable:
    """What a response's item and the run's item have in common."""
    return item.get("type", "message"), item.get("call_id") or item.get("id")


def _executed(hosted: bool) -> dict[str, bool]:
    return {"providerExecuted": True} if hosted else {}


def _hosted_output(call: Call, item: Item) -> Iterator[Chunk]:
    if item["type"] == "image_generation_call" and item.get("result"):
        media = f"image/{item.get('output_format') or 'png'}"
        yield {"type": "file", "url": f"data:{media};base64,{item['result']}", "mediaType": media}
    output = {name: item[name] for name in ("status", "output", "error") if item.get(name)}
    yield {
        "type": "tool-output-available",
        "toolCallId": call.id,
        "output": output,
        **_executed(True),
    }
