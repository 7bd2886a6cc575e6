"""The SDK's result of a committed turn, rebuilt from the turn's items and its record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any, cast

from agents import (
    Agent,
    AgentUpdatedStreamEvent,
    ModelResponse,
    RawResponsesStreamEvent,
    RunContextWrapper,
    RunItem,
    RunResult,
    RunResultStreaming,
    StreamEvent,
    ToolOrigin,
    Usage,
)
from agents import items as sdk_items
from agents.items import HandoffOutputItem, ToolCallItem, ToolCallOutputItem
from agents.result import RunResultBase
from agents.run import DEFAULT_MAX_TURNS

from turnwise.durable import sdk
from turnwise.durable.digests import began_with
from turnwise.durable.responses import pack_response, unpack_usage
from turnwise.durable.stream_events import response_events
from turnwise.durable.tool_outputs import unpack_output
from turnwise.errors import AlreadyCommitted, TurnIdReused
from turnwise.journal_entries import ToolOutput
from turnwise.results.names import AgentName, Origins, named_agents
from turnwise.results.record import (
    MODES,
    ItemDetails,
    Record,
    RecordedItem,
    RecordedResponse,
    Rewritten,
    input_count,
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
        self._origins = Origins()
        self.new_items = [self._item(item) for item in record.new_items]
        self.responses = [self._response(response) for response in record.responses]
        self.last_agent = self._agents[record.last_agent]
        self.usage = self._usage()
        self.final_output = self._final_output()
        self.metadata = record.metadata or {}
        self.given = committed.items[: input_count(record.new_items, committed.items)]
        self.input = [*before, *self.given]
        if record.rewritten is not None:
            self.input = record.rewritten.input

    def result(self, context: Any = None, max_turns: int | None = DEFAULT_MAX_TURNS) -> RunResult:
        """The result that the run returned, except context, guardrail results and tracing.

        Context and `max_turns` are those of the call that gets it.
        """
        result = sdk.completed_result(
            input=self.input,
            new_items=self.new_items,
            raw_responses=self.responses,
            final_output=self.final_output,
            context_wrapper=_wrapper(context, self.usage),
            last_agent=self.last_agent,
            max_turns=max_turns,
        )
        if self._record.rewritten is not None:
            result.__class__ = RebuiltResult
            vars(result)["_rewritten"] = self._views(self._record.rewritten)
        return result

    def _views(self, rewritten: Rewritten) -> dict[str, list[Any]]:
        """What `to_input_list` returns in each mode."""
        added = zip(MODES, (rewritten.all, rewritten.normalized), strict=True)
        return {mode: [*self.input, *map(self._input_item, view)] for mode, view in added}

    def _input_item(self, place: Any) -> Any:
        return self.new_items[place].to_input_item() if isinstance(place, int) else place

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
        if self._record.rewritten is not None:
            vars(result)["_rewritten"] = self._views(self._record.rewritten)

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
            fields["custom_data"] = details.custom_data
            fields["tool_origin"] = self._origins.of(raw)
            if details.origin is not None:
                fields["tool_origin"] = ToolOrigin.from_json_dict(details.origin)
        if kind is HandoffOutputItem:
            fields["source_agent"] = self._agents[cast(int, details.source)]
            fields["target_agent"] = self._agents[cast(int, details.target)]
        if kind is ToolCallItem:
            fields |= _described(agent, raw, details)
        item = cast(RunItem, kind(**fields))
        if isinstance(item, ToolCallItem):
            self._origins.add(item)
        return item

    def _response(self, recorded: RecordedResponse) -> ModelResponse:
        output = [
            self.new_items[item].raw_item if isinstance(item, int) else sdk.output_item(item)
            for item in recorded.output
        ]
        usage = unpack_usage(recorded.usage)
        response = ModelResponse([], usage, recorded.response_id, recorded.request_id)
        response.raw_usage = recorded.raw_usage
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
            return self._typed(final.value) if final.kind == "typed" else unpack_output(final)
        if isinstance(final, tuple):
            index, as_text = final
            output = cast(ToolCallOutputItem, self.new_items[index]).output
            return str(output) if as_text else output
        text = last_text(self.new_items)
        return text if final == "text" or text is None else self._typed(text)

    def _typed(self, text: str) -> Any:
        """The text as the agent's output type reads it; as it is where the agent is not known."""
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


def _agents(starting: Agent[Any] | None, names: Sequence[AgentName]) -> list[Agent[Any]]:
    """The agents of these names, as far as handoffs lead to them; else agents with names only."""
    known = named_agents(starting)
    plain = [name if isinstance(name, str) else name[0] for name in names]
    return [
        known.get(name) or known.get(as_text) or Agent(name=as_text)
        for name, as_text in zip(names, plain, strict=True)
    ]


def _described(agent: Agent[Any], call: Any, details: ItemDetails) -> dict[str, Any]:
    if details.described is None:
        return sdk.described(agent, call)
    description, title, origin = details.described
    return {
        "description": description,
        "title": title,
        "tool_origin": ToolOrigin.from_json_dict(origin),
    }


class Rebuildable(RunResultBase):
    """A result that may be rebuilt: where handoffs rewrote its input, the record says into what."""

    def to_input_list(self, *, mode: Any = "preserve_all") -> list[Any]:
        rewritten: dict[str, list[Any]] = vars(self).get("_rewritten", {})
        if mode in rewritten:
            return deepcopy(rewritten[mode])
        return super().to_input_list(mode=mode)


class RebuiltResult(Rebuildable, RunResult):
    """A result whose input handoffs rewrote."""


def _wrapper(context: Any, usage: Usage) -> RunContextWrapper[Any]:
    if isinstance(context, RunContextWrapper):
        context = context.context
    return RunContextWrapper(context=context, usage=usage)
