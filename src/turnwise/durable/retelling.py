"""A committed run, told again: the SDK's result from the turn's items and its record."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any, cast

import msgspec
from agents import (
    Agent,
    AgentUpdatedStreamEvent,
    Handoff,
    ModelResponse,
    RawResponsesStreamEvent,
    RunContextWrapper,
    RunItem,
    RunResult,
    RunResultStreaming,
    StreamEvent,
    Usage,
)
from agents import items as sdk_items
from agents.items import HandoffOutputItem, ToolCallItem, ToolCallOutputItem

from turnwise.durable import sdk
from turnwise.durable.answer import Answer, Given, Told, last_text, typed, unpacked_answer
from turnwise.durable.context import digest
from turnwise.durable.outputs import value_of
from turnwise.durable.responses import packed_response, usage_of
from turnwise.durable.stream_events import events_of
from turnwise.errors import AlreadyCommitted, TurnIdReused
from turnwise.journal_entries import ToolOutput

_KINDS: dict[str, Any] = {
    kind.type: kind
    for kind in vars(sdk_items).values()
    if isinstance(kind, type) and issubclass(kind, sdk_items.RunItemBase) and hasattr(kind, "type")
}


class RebuiltRun:
    """A run that is not run again. Raises TurnIdReused, or `committed` if it cannot be told.

    `before` is the history in front of the turn, as the run was given it. Without an `agent` its
    agents are only names, and nothing is checked.
    """

    def __init__(
        self,
        committed: AlreadyCommitted,
        agent: Agent[Any] | None,
        input: object,
        before: Sequence[Any],
    ) -> None:
        answer = unpacked_answer(committed.payload)
        if answer is None or answer.items != len(committed.items):
            raise committed
        if agent is not None and input is not None:
            _check(committed, answer, agent, input)
        self._answer = answer
        self._items = committed.items
        self._agents = _agents(agent, answer.agents)
        self.new_items = [self._item(told) for told in answer.new]
        self.responses = [self._response(given) for given in answer.responses]
        self.last_agent = self._agents[answer.last]
        self.usage = self._usage()
        self.final_output = self._final()
        self.input = [*before, *committed.items[: self._first()]]

    def result(self, context: Any) -> RunResult:
        """The result as the run gave it, but for context, guardrail results and tracing."""
        return RunResult(
            input=self.input,
            new_items=self.new_items,
            raw_responses=self.responses,
            final_output=self.final_output,
            input_guardrail_results=[],
            output_guardrail_results=[],
            tool_input_guardrail_results=[],
            tool_output_guardrail_results=[],
            context_wrapper=_wrapper(context, self.usage),
            _last_agent=self.last_agent,
            _current_turn=len(self.responses),
        )

    def fill(self, result: RunResultStreaming) -> None:
        """Make the result of a stream that did not run the one that the run gave."""
        result.input = self.input
        result.new_items = self.new_items
        result.raw_responses = self.responses
        result.final_output = self.final_output
        result.current_agent = self.last_agent
        result.current_turn = len(self.responses)
        result.is_complete = True
        result.context_wrapper.usage = self.usage

    def events(self) -> Iterator[StreamEvent]:
        """The events of the run: each text and each call in one piece."""
        agent: Agent[Any] | None = None
        left = list(self.new_items)
        for response in self.responses:
            answered = self._taken(left, response)
            if answered and answered[0].agent is not agent:
                agent = answered[0].agent
                yield AgentUpdatedStreamEvent(new_agent=agent)
            for event in events_of(packed_response(response)):
                yield RawResponsesStreamEvent(data=event)
            yield from _of_items(answered)
        yield from _of_items(left)

    @staticmethod
    def _taken(left: list[RunItem], response: ModelResponse) -> list[RunItem]:
        """The items from a response up to the next one's."""
        own = {id(output) for output in response.output}
        count, was_own = 0, True
        for item in left:
            is_output = isinstance(item, ToolCallOutputItem | HandoffOutputItem)
            was_own = id(item.raw_item) in own or (was_own and is_output) or is_output
            if not was_own:
                break
            count += 1
        taken, left[:] = left[:count], left[count:]
        return taken

    def _first(self) -> int:
        """How many items the turn has before those of the run: its input."""
        places = [told.place for told in self._answer.new if told.place >= 0]
        return min(places, default=len(self._items))

    def _item(self, told: Told) -> RunItem:
        agent = self._agents[told.agent]
        raw = deepcopy(told.more["raw"] if told.place < 0 else self._items[told.place])
        if "plain" not in told.more:
            raw = sdk.output_item(raw)
        fields: dict[str, Any] = {"agent": agent, "raw_item": raw}
        kind = _KINDS[told.kind]
        if kind is ToolCallOutputItem:
            packed = told.more.get("output")
            fields["output"] = (
                value_of(msgspec.convert(packed, ToolOutput)) if packed else raw.get("output")
            )
        if kind is HandoffOutputItem:
            fields["source_agent"] = self._agents[told.more["from"]]
            fields["target_agent"] = self._agents[told.more["to"]]
        if kind is ToolCallItem:
            fields |= sdk.described(agent, raw)
        return cast(RunItem, kind(**fields))

    def _response(self, given: Given) -> ModelResponse:
        output = [
            self.new_items[item].raw_item if isinstance(item, int) else sdk.output_item(item)
            for item in given.output
        ]
        response = ModelResponse([], usage_of(given.usage), given.id, given.request)
        response.output = cast(Any, output)
        return response

    def _usage(self) -> Usage:
        if self._answer.usage is not None:
            return usage_of(self._answer.usage)
        total = Usage()
        for response in self.responses:
            total.add(response.usage)
        return total

    def _final(self) -> Any:
        final = self._answer.final
        if isinstance(final, ToolOutput):
            return value_of(final)
        text = last_text(self.new_items)
        found = None if final == "text" or text is None else typed(self.last_agent, text)
        return text if found is None else found


def _check(committed: AlreadyCommitted, answer: Answer, agent: Agent[Any], input: object) -> None:
    what = None
    if answer.starting != agent.name:
        what = f"began with agent {answer.starting!r}, not {agent.name!r}"
    elif answer.input != digest(input):
        what = "had another input"
    if what is not None:
        raise TurnIdReused(
            f"turn {committed.turn_id!r} is part of the history already, but it {what}. Choose "
            "another turn_id for another run",
            session_id=committed.session_id,
        )


def _agents(starting: Agent[Any] | None, names: Sequence[str]) -> list[Agent[Any]]:
    """The agents of these names that can be reached; one without content for any that is gone."""
    known: dict[str, Agent[Any]] = {}
    waiting: list[Any] = [starting]
    while waiting:
        agent = waiting.pop()
        if isinstance(agent, Handoff):
            agent = sdk.target_of(agent)
        if isinstance(agent, Agent) and agent.name not in known:
            known[agent.name] = agent
            waiting += agent.handoffs
    return [known.get(name) or Agent(name=name) for name in names]


def _wrapper(context: Any, usage: Usage) -> RunContextWrapper[Any]:
    if isinstance(context, RunContextWrapper):
        context = context.context
    return RunContextWrapper(context=context, usage=usage)


def _of_items(items: list[RunItem]) -> Iterator[StreamEvent]:
    queue: asyncio.Queue[StreamEvent] = asyncio.Queue()
    sdk.put_events(items, queue)
    while not queue.empty():
        yield queue.get_nowait()
