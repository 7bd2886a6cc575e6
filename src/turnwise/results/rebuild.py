"""The SDK's result of a committed turn, rebuilt from the turn's items and its record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any, cast

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
from turnwise.durable.digests import began_with
from turnwise.durable.responses import pack_response, unpack_usage
from turnwise.durable.stream_events import response_events
from turnwise.durable.tool_outputs import unpack_output
from turnwise.errors import AlreadyCommitted, TurnIdReused
from turnwise.journal_entries import ToolOutput
from turnwise.results.record import (
    Record,
    RecordedItem,
    RecordedResponse,
    last_text,
    typed_text,
    unpack_record,
)

_KINDS: dict[str, Any] = {
    kind.type: kind
    for kind in vars(sdk_items).values()
    if isinstance(kind, type) and issubclass(kind, sdk_items.RunItemBase) and hasattr(kind, "type")
}


class RebuiltRun:
    """A run that was committed, and does not run again.

    Args:
        committed: what the store has of the turn.
        agent: the starting agent. Without one, the result's agents have names only.
        input: what the run was started with, compared with what the turn began with. None: not.
        before: the history before the turn, as the run got it.

    Raises:
        TurnIdReused: the turn began with another agent or input.
        AlreadyCommitted: `committed` itself, if its result cannot be rebuilt.
    """

    def __init__(
        self,
        committed: AlreadyCommitted,
        agent: Agent[Any] | None,
        input: object,
        before: Sequence[Any],
    ) -> None:
        record = unpack_record(committed.payload, committed.items)
        if record is None or record.items != len(committed.items):
            raise committed
        if agent is not None and input is not None:
            _check(committed, record, agent, input)
        self._record = record
        self._items = committed.items
        self._agents = _agents(agent, record.agents)
        self.new_items = [self._item(item) for item in record.new_items]
        self.responses = [self._response(response) for response in record.responses]
        self.last_agent = self._agents[record.last_agent]
        self.usage = self._usage()
        self.final_output = self._final_output()
        self.input = [*before, *committed.items[: self._input_items()]]

    def result(self, context: Any) -> RunResult:
        """The result that the run returned, except context, guardrail results and tracing."""
        return sdk.completed_result(
            input=self.input,
            new_items=self.new_items,
            raw_responses=self.responses,
            final_output=self.final_output,
            context_wrapper=_wrapper(context, self.usage),
            last_agent=self.last_agent,
        )

    def fill(self, result: RunResultStreaming) -> None:
        """Give the result of a stream that did not run what the committed run gave."""
        result.input = self.input
        result.new_items = self.new_items
        result.raw_responses = self.responses
        result.final_output = self.final_output
        result.current_agent = self.last_agent
        result.current_turn = len(self.responses)
        result.is_complete = True
        result.context_wrapper.usage = self.usage

    def events(self) -> Iterator[StreamEvent]:
        """The events of the run. Each text and each call comes in one piece."""
        agent: Agent[Any] | None = None
        left = list(self.new_items)
        for response in self.responses:
            items = self._take_items(left, response)
            if items and items[0].agent is not agent:
                agent = items[0].agent
                yield AgentUpdatedStreamEvent(new_agent=agent)
            for event in response_events(pack_response(response)):
                yield RawResponsesStreamEvent(data=event)
            yield from sdk.item_events(items)
        yield from sdk.item_events(left)

    @staticmethod
    def _take_items(left: list[RunItem], response: ModelResponse) -> list[RunItem]:
        """Take from `left` the items of a response, with the outputs of its calls."""
        own = {id(output) for output in response.output}
        count = 0
        for item in left:
            is_output = isinstance(item, ToolCallOutputItem | HandoffOutputItem)
            if not is_output and id(item.raw_item) not in own:
                break
            count += 1
        taken, left[:] = left[:count], left[count:]
        return taken

    def _input_items(self) -> int:
        """How many of the turn's items are the run's input: those before the first run item."""
        indexes = [item.index for item in self._record.new_items if item.index >= 0]
        return min(indexes, default=len(self._items))

    def _item(self, recorded: RecordedItem) -> RunItem:
        agent, details = self._agents[recorded.agent], recorded.details
        raw = deepcopy(details.raw if recorded.index < 0 else self._items[recorded.index])
        if not details.is_dict:
            raw = sdk.output_item(raw)
        fields: dict[str, Any] = {"agent": agent, "raw_item": raw}
        kind = _KINDS[recorded.kind]
        if kind is ToolCallOutputItem:
            output = details.output
            fields["output"] = raw.get("output") if output is None else unpack_output(output)
        if kind is HandoffOutputItem:
            fields["source_agent"] = self._agents[cast(int, details.source)]
            fields["target_agent"] = self._agents[cast(int, details.target)]
        if kind is ToolCallItem:
            fields |= sdk.described(agent, raw)
        return cast(RunItem, kind(**fields))

    def _response(self, recorded: RecordedResponse) -> ModelResponse:
        output = [
            self.new_items[item].raw_item if isinstance(item, int) else sdk.output_item(item)
            for item in recorded.output
        ]
        usage = unpack_usage(recorded.usage)
        response = ModelResponse([], usage, recorded.response_id, recorded.request_id)
        response.output = cast(Any, output)
        return response

    def _usage(self) -> Usage:
        if self._record.usage is not None:
            return unpack_usage(self._record.usage)
        total = Usage()
        for response in self.responses:
            total.add(response.usage)
        return total

    def _final_output(self) -> Any:
        final = self._record.final_output
        if isinstance(final, ToolOutput):
            return unpack_output(final)
        if isinstance(final, tuple):
            index, as_text = final
            output = cast(ToolCallOutputItem, self.new_items[index]).output
            return str(output) if as_text else output
        text = last_text(self.new_items)
        if final == "text" or text is None:
            return text
        typed = typed_text(self.last_agent, text)
        return text if typed is None else typed


def _check(committed: AlreadyCommitted, record: Record, agent: Agent[Any], input: object) -> None:
    name, digest = began_with(agent, input)
    what = None
    if record.starting_agent != name:
        what = f"began with agent {record.starting_agent!r}, not {name!r}"
    elif record.input_digest != digest:
        what = "had another input"
    if what is not None:
        raise TurnIdReused(
            f"turn {committed.turn_id!r} is part of the history already, but it {what}. Choose "
            "another turn_id for another run",
            session_id=committed.session_id,
        )


def _agents(starting: Agent[Any] | None, names: Sequence[str]) -> list[Agent[Any]]:
    """The agents of these names, as far as handoffs lead to them; else agents with names only."""
    known: dict[str, Agent[Any]] = {}
    reached: list[Any] = [starting]
    while reached:
        agent = reached.pop()
        if isinstance(agent, Handoff):
            agent = sdk.target_of(agent)
        if isinstance(agent, Agent) and agent.name not in known:
            known[agent.name] = agent
            reached += agent.handoffs
    return [known.get(name) or Agent(name=name) for name in names]


def _wrapper(context: Any, usage: Usage) -> RunContextWrapper[Any]:
    if isinstance(context, RunContextWrapper):
        context = context.context
    return RunContextWrapper(context=context, usage=usage)
