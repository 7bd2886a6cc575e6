"""What the record of a committed turn keeps of its run, so that the SDK's result can be rebuilt.

The history has the items. The record has what they do not say: which agent made each, the usage and
id of each response, and where the final output comes from. It refers to the long strings that the
items have (shared_strings.py), and is compressed if it is long all the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec
from agents import Agent, ItemHelpers, RunItem
from agents.items import (
    HandoffOutputItem,
    MessageOutputItem,
    ToolApprovalItem,
    ToolCallItem,
    ToolCallOutputItem,
)
from agents.result import RunResultBase
from pydantic import BaseModel
from pydantic_core import to_json as to_json_text

from turnwise.call_pairs import paired
from turnwise.codec import MAX_RAW, DecodeError, Zstd
from turnwise.durable import sdk
from turnwise.durable.responses import COUNTS, pack_usage, to_json
from turnwise.durable.tool_outputs import pack_output
from turnwise.journal_entries import ToolOutput, usage_in
from turnwise.results.names import AgentName, Origins, named_agents
from turnwise.results.shared_strings import SharedStrings
from turnwise.types import TokenUsage

VERSION = 1
_COMPRESSED_FROM = 1024
_COMPRESSED = (b"\x11", b"\x12")
MODES: tuple[Literal["preserve_all"], Literal["normalized"]] = ("preserve_all", "normalized")
"""Of the SDK's `to_input_list`."""
_log = logging.getLogger("turnwise")


class ItemDetails(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the history's item does not say of a run item.

    `raw` is the item as JSON, where the turn has no equal one. `is_dict`: the run had it as a dict,
    not as an object of the SDK. `output` is a tool's output, where the item has it as text only.
    `source` and `target` are the agents of a handoff. `described` is a call's description, title
    and origin, where its agent's tools do not tell them; `origin` that of an output, where its call
    has another; `custom_data` what the application attached to an output.
    """

    raw: Any = None
    is_dict: bool = False
    output: ToolOutput | None = None
    source: int | None = None
    target: int | None = None
    described: list[Any] | None = None
    origin: dict[str, Any] | None = None
    custom_data: Any = None


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
    raw_usage: dict[str, Any] | None = None


OutputOf = tuple[int, bool]
"""A tool's output, by the index of its run item, and whether as text."""
FinalOutput = ToolOutput | OutputOf | Literal["text", "typed_text"]
"""A value, a tool's output, the last message's text, or that as the agent's output type reads it.
"""

Given = Callable[[], Sequence[Any]]


class Rewritten(msgspec.Struct, array_like=True, frozen=True):
    """The input of a run whose handoffs rewrote it, and what `to_input_list` adds to it.

    `all` and `normalized`, for its two modes, hold indexes of run items, or items as JSON.
    """

    input: Any
    all: list[Any]
    normalized: list[Any]


class Record(msgspec.Struct, array_like=True):
    """A run. `agents` are those of its items; other fields hold indexes into it.

    `starting_agent` and `input_digest` are what the turn began with: whoever sends it again must
    bring the same. `items` counts the turn's items. `usage` is the whole run's, where that differs
    from the sum of its responses (agents as tools, say). `metadata` is that of the message.
    `parked`: how often the turn was parked.
    """

    version: int
    starting_agent: str
    input_digest: str
    items: int
    agents: list[AgentName]
    last_agent: int
    new_items: list[RecordedItem]
    responses: list[RecordedResponse]
    usage: dict[str, Any] | None
    final_output: FinalOutput
    rewritten: Rewritten | None = None
    metadata: dict[str, Any] | None = None
    parked: int = 0


_decode = msgspec.msgpack.Decoder(Record).decode
_zstd = Zstd()


def pack_record(
    result: RunResultBase,
    agent: Agent[Any],
    began: tuple[str, str],
    items: Sequence[Any],
    given: Given,
    *,
    metadata: Mapping[str, Any] | None = None,
    parked: int = 0,
) -> bytes:
    """The payload of a turn's record.

    Args:
        result: what the SDK's run returned.
        agent: the starting agent.
        began: the starting agent's name and the digest of the input that the turn began with.
        items: the items that the turn adds to the history.
        given: returns what the run was given of the history before them.
        metadata: that of the message that it answers.
        parked: how often the turn was parked.

    Returns:
        The payload. Empty if the run is interrupted, or cannot be recorded: the turn is committed
        all the same, but the result cannot be rebuilt.
    """
    if getattr(result, "interruptions", None):
        return b""
    try:
        record = _Recorder(result, agent, items, given).record(*began)
        record.metadata, record.parked = dict(metadata) if metadata else None, parked
        raw = msgspec.msgpack.encode(record, enc_hook=str)
        return _zstd.compress(raw) if _COMPRESSED_FROM <= len(raw) <= MAX_RAW else raw
    except Exception:
        _log.exception("a turn is committed, but its result cannot be rebuilt for a retry")
        return b""


def unpack_record(payload: bytes, items: Sequence[Any] | None = None) -> Record | None:
    """The record of a payload; None if there is none that this version can read.

    Without the turn's `items`, long strings that they share with it are missing.
    """
    try:
        raw = _zstd.decompress(payload) if payload[:1] in _COMPRESSED else payload
        if items is None:
            record = _decode(raw)
        else:
            shared = SharedStrings(items)
            record = msgspec.msgpack.decode(raw, type=Record, ext_hook=shared.at)
    except (msgspec.MsgspecError, DecodeError, IndexError):
        return None
    return record if record.version == VERSION else None


def usages_in(payload: bytes) -> list[TokenUsage]:
    """What each response of a committed run consumed; empty if the payload does not say."""
    record = unpack_record(payload) if payload else None
    return [] if record is None else [usage_in(response.usage) for response in record.responses]


def times_parked_in(payload: bytes) -> int:
    """How often a committed turn had been parked; 0 if the payload does not say."""
    record = unpack_record(payload) if payload else None
    return 0 if record is None else record.parked


def record_differs(payload: bytes, began: tuple[str, str]) -> bool:
    """Whether the payload is of a turn that is known to have begun with something else."""
    record = unpack_record(payload) if payload else None
    return record is not None and (record.starting_agent, record.input_digest) != began


class _Recorder:
    """Refers to what the turn's items hold already."""

    def __init__(
        self,
        result: RunResultBase,
        agent: Agent[Any],
        items: Sequence[Any],
        given: Given,
    ) -> None:
        self._result = result
        self._items = items
        self._shared = SharedStrings(items)
        self._given = given
        self._names = {id(known): name for name, known in named_agents(agent).items()}
        self._agents: list[AgentName] = []
        self._origins = Origins()
        self._next = 0

    def record(self, starting_agent: str, input_digest: str) -> Record:
        result = self._result
        run_items = [item for item in result.new_items if not isinstance(item, ToolApprovalItem)]
        indexes = {id(item.raw_item): index for index, item in enumerate(run_items)}
        new_items = [self._item(item) for item in run_items]
        return Record(
            version=VERSION,
            starting_agent=starting_agent,
            input_digest=input_digest,
            items=len(self._items),
            last_agent=self._agent(result.last_agent),
            new_items=new_items,
            responses=[self._response(response, indexes) for response in result.raw_responses],
            agents=self._agents,
            usage=self._usage(),
            final_output=self._final_output(run_items),
            rewritten=self._rewritten(run_items, input_count(new_items, self._items)),
        )

    def _agent(self, agent: Agent[Any]) -> int:
        name = self._names.get(id(agent), agent.name)
        if name not in self._agents:
            self._agents.append(name)
        return self._agents.index(name)

    def _item(self, item: RunItem) -> RecordedItem:
        raw = to_json(item.raw_item)
        index = self._index(raw)
        agent = self._agent(item.agent)
        known: dict[str, Any] = {}
        if isinstance(item, ToolCallItem):
            known["described"] = self._described(item)
        if isinstance(item, ToolCallOutputItem):
            known["custom_data"] = item.custom_data
            known["origin"] = self._origins.differs(item)
            if item.output != _output(raw):
                known["output"] = self._value(item.output)
        if isinstance(item, HandoffOutputItem):
            known["source"] = self._agent(item.source_agent)
            known["target"] = self._agent(item.target_agent)
        details = ItemDetails(
            raw=self._shared.without(raw) if index < 0 else None,
            is_dict=not isinstance(item.raw_item, BaseModel),
            **known,
        )
        return RecordedItem(item.type, agent, index, details)

    def _described(self, call: ToolCallItem) -> list[Any] | None:
        """What the call says of its tool, unless the agent's tools say the same."""
        self._origins.add(call)
        said = {
            "description": call.description,
            "title": call.title,
            "tool_origin": call.tool_origin,
        }
        known = dict.fromkeys(said) | sdk.described(call.agent, call.raw_item)
        if said == known:
            return None
        origin = call.tool_origin
        return [call.description, call.title, origin and origin.to_json_dict()]

    def _rewritten(self, run_items: Sequence[RunItem], count: int) -> Rewritten | None:
        """What to_input_list returns, if handoffs made that something else than all items."""
        if len(self._agents) == 1:
            return None
        input_items = ItemHelpers.input_to_new_input_list(self._result.input)
        plain = [item.to_input_item() for item in run_items]
        views = [self._result.to_input_list(mode=mode)[len(input_items) :] for mode in MODES]
        given = [*paired(self._given(), later=self._items), *self._items[:count]]
        if views == [plain, plain] and input_items == given:
            return None
        places = [[plain.index(i) if i in plain else to_json(i) for i in view] for view in views]
        return Rewritten(list(map(to_json, input_items)), *places)

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
        return RecordedResponse(
            response.response_id, response.request_id, usage, output, response.raw_usage
        )

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
        return _typed(self._result.last_agent, final) or self._value(final)

    def _value(self, value: Any) -> ToolOutput:
        packed = pack_output(value, None, None)
        return ToolOutput(packed.kind, self._shared.without(packed.value))


def _typed(agent: Agent[Any], final: Any) -> ToolOutput | None:
    """A final output that no message has, as JSON that the agent's output type reads."""
    if sdk.output_schema_of(agent) is None:
        return None
    raw = to_json_text(final, serialize_unknown=True).decode()
    for text in (raw, f'{{"response": {raw}}}'):  # the SDK wraps what is not an object
        if typed_text(agent, text) == final:
            return ToolOutput("typed", text)
    return None


def input_count(new_items: Sequence[RecordedItem], items: Sequence[Any]) -> int:
    """How many of the turn's items are the run's input: those before the first run item."""
    indexes = [item.index for item in new_items if item.index >= 0]
    return min(indexes, default=len(items))


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
