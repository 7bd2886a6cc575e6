"""What a record keeps of a run beside its items, so that the run can be answered again.

It does not hold the items, which the history has, but what they do not tell: the agent of each,
usage and id of each response, and how the final output came about.
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

from turnwise.durable import sdk
from turnwise.durable.context import digest
from turnwise.durable.outputs import packed_value
from turnwise.durable.responses import COUNTS, dumped, packed_usage
from turnwise.journal_entries import ToolOutput


class Told(msgspec.Struct, array_like=True):
    """One new item. `place` is where it is in the turn, -1 if it is not there as it is.

    `more` holds what the item in the history does not tell.
    """

    kind: str
    agent: int
    place: int
    more: dict[str, Any] = {}


class Given(msgspec.Struct, array_like=True):
    """One response; of its output the places among the new items, or what is not there."""

    id: str | None
    request: str | None
    usage: dict[str, Any]
    output: list[Any]


class Answer(msgspec.Struct, array_like=True):
    """A run, for whoever sends it again. `agents` are names; the other fields point to them."""

    version: int
    starting: str
    input: str
    items: int
    agents: list[str]
    last: int
    new: list[Told]
    responses: list[Given]
    usage: dict[str, Any] | None
    final: ToolOutput | Literal["text", "typed_text"]


VERSION = 1
_log = logging.getLogger("turnwise")
_decode = msgspec.msgpack.Decoder(Answer).decode


def packed_answer(
    result: RunResultBase, agent: Agent[Any], input: object, items: Sequence[Any]
) -> bytes:
    """The payload of a run's record; `items` are those that its turn adds.

    Empty for a run that waits for an approval: it has no answer yet.
    """
    if getattr(result, "interruptions", None):
        return b""
    try:
        answer = _Telling(result, items).answer(agent, input)
        return msgspec.msgpack.encode(answer, enc_hook=str)
    except Exception:
        _log.exception("a run is committed, but cannot be told again to who sends it again")
        return b""


def unpacked_answer(payload: bytes) -> Answer | None:
    """The answer of a payload; None if there is none that this version can read."""
    try:
        answer = _decode(payload)
    except msgspec.MsgspecError:
        return None
    return answer if answer.version == VERSION else None


def answer_differs(payload: bytes, agent: str, input: object) -> bool:
    """Whether the run of this payload is known to have begun with another agent or input."""
    answer = unpacked_answer(payload) if payload else None
    return answer is not None and (answer.starting, answer.input) != (agent, digest(input))


class _Telling:
    """Finds each thing where the history has it already."""

    def __init__(self, result: RunResultBase, items: Sequence[Any]) -> None:
        self._result = result
        self._items = items
        self._agents: list[str] = []
        self._next = 0

    def answer(self, agent: Agent[Any], input: object) -> Answer:
        result = self._result
        shown = [item for item in result.new_items if not isinstance(item, ToolApprovalItem)]
        places = {id(item.raw_item): index for index, item in enumerate(shown)}
        new = [self._told(item) for item in shown]
        return Answer(
            version=VERSION,
            starting=agent.name,
            input=digest(input),
            items=len(self._items),
            agents=self._agents,
            last=self._agent(result.last_agent),
            new=new,
            responses=[self._given(response, places) for response in result.raw_responses],
            usage=self._usage(),
            final=self._final(shown),
        )

    def _agent(self, agent: Agent[Any]) -> int:
        if agent.name not in self._agents:
            self._agents.append(agent.name)
        return self._agents.index(agent.name)

    def _told(self, item: RunItem) -> Told:
        raw = dumped(item.raw_item)
        place = self._place(raw)
        more: dict[str, Any] = {} if place >= 0 else {"raw": raw}
        if not isinstance(item.raw_item, BaseModel):
            more["plain"] = True
        if isinstance(item, ToolCallOutputItem) and item.output != _output(raw):
            more["output"] = packed_value(item.output, None, None)
        if isinstance(item, HandoffOutputItem):
            more["from"] = self._agent(item.source_agent)
            more["to"] = self._agent(item.target_agent)
        return Told(item.type, self._agent(item.agent), place, more)

    def _place(self, raw: Any) -> int:
        for place in (*range(self._next, len(self._items)), *range(self._next)):
            if self._items[place] == raw:
                self._next = place + 1
                return int(place)
        return -1

    def _given(self, response: Any, places: dict[int, int]) -> Given:
        output = [places.get(id(item), dumped(item)) for item in response.output]
        usage = packed_usage(response.usage)
        return Given(response.response_id, response.request_id, usage, output)

    def _usage(self) -> dict[str, Any] | None:
        """What the run cost, if that is not what its responses did: agents as tools, say."""
        used = self._result.context_wrapper.usage
        known = [response.usage for response in self._result.raw_responses]
        same = all(sum(getattr(usage, n) for usage in known) == getattr(used, n) for n in COUNTS)
        return None if same else packed_usage(used)

    def _final(self, shown: Sequence[RunItem]) -> ToolOutput | Literal["text", "typed_text"]:
        final = self._result.final_output
        said = last_text(shown)
        if isinstance(final, str) and final == said:
            return "text"
        if said is not None and final == typed(self._result.last_agent, said):
            return "typed_text"
        return packed_value(final, None, None)


def _output(raw: Any) -> Any:
    return raw.get("output") if isinstance(raw, dict) else None


def last_text(items: Sequence[RunItem]) -> str | None:
    """What a model said last."""
    for item in reversed(items):
        if isinstance(item, MessageOutputItem):
            return ItemHelpers.text_message_output(item)
    return None


def typed(agent: Agent[Any], text: str) -> Any:
    """The text as the agent's output type reads it; None if it has none, or cannot."""
    schema = sdk.output_schema_of(agent)
    if schema is None:
        return None
    try:
        return schema.validate_json(text)
    except Exception:  # the type is the application's, and so is what it raises
        return None
