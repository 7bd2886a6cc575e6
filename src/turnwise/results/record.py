"""What the record of a committed turn keeps of its run, so that the SDK's result can be rebuilt.

The history has the items. The record has what they do not say: which agent made each, the usage and
id of each response, and where the final output comes from. It refers to the long strings that the
items have (shared_strings.py), and is compressed if it is long all the same.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from agents import Agent, ItemHelpers, RunItem
from agents.items import HandoffOutputItem, MessageOutputItem, ToolApprovalItem, ToolCallOutputItem
from agents.result import RunResultBase
from pydantic import BaseModel

from turnwise.codec import MAX_RAW, DecodeError, Zstd
from turnwise.durable import sdk
from turnwise.durable.responses import COUNTS, pack_usage, to_json
from turnwise.durable.tool_outputs import pack_output
from turnwise.journal_entries import ToolOutput
from turnwise.results.shared_strings import SharedStrings

VERSION = 1
_COMPRESSED_FROM = 1024
_COMPRESSED = (b"\x11", b"\x12")
_log = logging.getLogger("turnwise")


class ItemDetails(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the history's item does not say of a run item.

    `raw` is the item as JSON, where the turn has no equal one. `is_dict`: the run had it as a dict,
    not as an object of the SDK. `output` is a tool's output, where the item has it as text only.
    `source` and `target` are the agents of a handoff.
    """

    raw: Any = None
    is_dict: bool = False
    output: ToolOutput | None = None
    source: int | None = None
    target: int | None = None


class RecordedItem(msgspec.Struct, array_like=True, frozen=True):
    """A run item. `index` is its place among the turn's items; -1: `details.raw` has the item."""

    kind: str
    agent: int
    index: int
    details: ItemDetails


class RecordedResponse(msgspec.Struct, array_like=True, frozen=True):
    """A model's response. Its output: indexes of run items, or items as JSON that are none."""

    response_id: str | None
    request_id: str | None
    usage: dict[str, Any]
    output: list[Any]


OutputOf = tuple[int, bool]
"""A tool's output, by the index of its run item, and whether as text."""
FinalOutput = ToolOutput | OutputOf | Literal["text", "typed_text"]
"""A value, a tool's output, the last message's text, or that as the agent's output type reads it.
"""


class Record(msgspec.Struct, array_like=True):
    """A run. `agents` are names; other fields hold indexes into it.

    `starting_agent` and `input_digest` are what the turn began with: whoever sends it again must
    bring the same. `items` counts the turn's items. `usage` is the whole run's, where that differs
    from the sum of its responses (agents as tools, say).
    """

    version: int
    starting_agent: str
    input_digest: str
    items: int
    agents: list[str]
    last_agent: int
    new_items: list[RecordedItem]
    responses: list[RecordedResponse]
    usage: dict[str, Any] | None
    final_output: FinalOutput


_decode = msgspec.msgpack.Decoder(Record).decode
_zstd = Zstd()


def pack_record(result: RunResultBase, began: tuple[str, str], items: Sequence[Any]) -> bytes:
    """The payload of a turn's record.

    Args:
        result: what the SDK's run returned.
        began: the starting agent's name and the digest of the input that the turn began with.
        items: the items that the turn adds to the history.

    Returns:
        The payload. Empty if the run is interrupted, or cannot be recorded: the turn is committed
        all the same, but the result cannot be rebuilt.
    """
    if getattr(result, "interruptions", None):
        return b""
    try:
        record = _Recorder(result, items).record(*began)
        raw = msgspec.msgpack.encode(record, enc_hook=str)
        return _zstd.shrink(raw) if _COMPRESSED_FROM <= len(raw) <= MAX_RAW else raw
    except Exception:
        _log.exception("a turn is committed, but its result cannot be rebuilt for a retry")
        return b""


def unpack_record(payload: bytes, items: Sequence[Any] | None = None) -> Record | None:
    """The record of a payload; None if there is none that this version can read.

    Without the turn's `items`, long strings that they share with it are missing.
    """
    try:
        raw = _zstd.expand(payload) if payload[:1] in _COMPRESSED else payload
        if items is None:
            record = _decode(raw)
        else:
            shared = SharedStrings(items)
            record = msgspec.msgpack.decode(raw, type=Record, ext_hook=shared.at)
    except (msgspec.MsgspecError, DecodeError, IndexError):
        return None
    return record if record.version == VERSION else None


def record_differs(payload: bytes, began: tuple[str, str]) -> bool:
    """Whether the payload is of a turn that is known to have begun with something else."""
    record = unpack_record(payload) if payload else None
    return record is not None and (record.starting_agent, record.input_digest) != began


class _Recorder:
    """Refers to what the turn's items hold already."""

    def __init__(self, result: RunResultBase, items: Sequence[Any]) -> None:
        self._result = result
        self._items = items
        self._shared = SharedStrings(items)
        self._agents: list[str] = []
        self._next = 0

    def record(self, starting_agent: str, input_digest: str) -> Record:
        result = self._result
        run_items = [item for item in result.new_items if not isinstance(item, ToolApprovalItem)]
        indexes = {id(item.raw_item): index for index, item in enumerate(run_items)}
        return Record(
            version=VERSION,
            starting_agent=starting_agent,
            input_digest=input_digest,
            items=len(self._items),
            last_agent=self._agent(result.last_agent),
            new_items=[self._item(item) for item in run_items],
            responses=[self._response(response, indexes) for response in result.raw_responses],
            agents=self._agents,
            usage=self._usage(),
            final_output=self._final_output(run_items),
        )

    def _agent(self, agent: Agent[Any]) -> int:
        if agent.name not in self._agents:
            self._agents.append(agent.name)
        return self._agents.index(agent.name)

    def _item(self, item: RunItem) -> RecordedItem:
        raw = to_json(item.raw_item)
        index = self._index(raw)
        agent = self._agent(item.agent)
        output = source = target = None
        if isinstance(item, ToolCallOutputItem) and item.output != _output(raw):
            output = self._value(item.output)
        if isinstance(item, HandoffOutputItem):
            source, target = self._agent(item.source_agent), self._agent(item.target_agent)
        details = ItemDetails(
            raw=self._shared.without(raw) if index < 0 else None,
            is_dict=not isinstance(item.raw_item, BaseModel),
            output=output,
            source=source,
            target=target,
        )
        return RecordedItem(item.type, agent, index, details)

    def _index(self, raw: Any) -> int:
        """Where the turn's items have this one. They come in order, so the search begins there."""
        for index in (*range(self._next, len(self._items)), *range(self._next)):
            if self._items[index] == raw:
                self._next = index + 1
                return int(index)
        return -1

    def _response(self, response: Any, indexes: dict[int, int]) -> RecordedResponse:
        output = [
            self._shared.without(to_json(item))
            if (index := indexes.get(id(item))) is None
            else index
            for item in response.output
        ]
        usage = pack_usage(response.usage)
        return RecordedResponse(response.response_id, response.request_id, usage, output)

    def _usage(self) -> dict[str, Any] | None:
        used = self._result.context_wrapper.usage
        known = [response.usage for response in self._result.raw_responses]
        same = all(sum(getattr(usage, n) for usage in known) == getattr(used, n) for n in COUNTS)
        return None if same else pack_usage(used)

    def _final_output(self, run_items: Sequence[RunItem]) -> FinalOutput:
        final = self._result.final_output
        text = last_text(run_items)
        if isinstance(final, str) and final == text:
            return "text"
        if text is not None and final == typed_text(self._result.last_agent, text):
            return "typed_text"
        for index, item in enumerate(run_items):
            if isinstance(item, ToolCallOutputItem):
                as_text = isinstance(final, str) and final == str(item.output)
                if as_text or final is item.output:
                    return index, as_text
        return self._value(final)

    def _value(self, value: Any) -> ToolOutput:
        packed = pack_output(value, None, None)
        return ToolOutput(packed.kind, self._shared.without(packed.value))


def _output(raw: Any) -> Any:
    return raw.get("output") if isinstance(raw, dict) else None


def last_text(items: Sequence[RunItem]) -> str | None:
    """The text of the last message; None if there is none."""
    for item in reversed(items):
        if isinstance(item, MessageOutputItem):
            return ItemHelpers.text_message_output(item)
    return None


def typed_text(agent: Agent[Any], text: str) -> Any:
    """The text as the agent's output type reads it; None if it has none, or cannot."""
    schema = sdk.output_schema_of(agent)
    if schema is None:
        return None
    try:
        return schema.validate_json(text)
    except Exception:  # the type is the application's, and so is what it raises
        return None
