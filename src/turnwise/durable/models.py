"""Models that answer from the journal first."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any

from agents import Model, ModelProvider, ModelResponse, Tool, Usage
from agents.items import TResponseStreamEvent
from openai.types.responses import ResponseCompletedEvent, ResponseOutputItemDoneEvent

from turnwise.durable.context import Restart, Run
from turnwise.durable.digests import input_shape
from turnwise.durable.progress import Response
from turnwise.durable.proxy import ObjectProxy, make_proxy
from turnwise.durable.responses import packed_response, packed_stream, response_of, usage_of
from turnwise.durable.stream_events import events_of
from turnwise.durable.tools import make_durable
from turnwise.journal_entries import ResponseEntry, StoredResponse


class DurableProvider(ObjectProxy):
    """A model provider whose models are durable."""

    __slots__ = ()

    def get_model(self, model_name: str | None) -> Model:
        original: ModelProvider = self._turnwise_original
        return durable_model(original.get_model(model_name), self._turnwise_context)


class DurableModel(ObjectProxy):
    """A model whose responses go to the journal of its turn."""

    __slots__ = ()

    async def get_response(
        self,
        system_instructions: str | None,
        input: str | list[Any],
        model_settings: Any,
        tools: list[Tool],
        *args: Any,
        **options: Any,
    ) -> ModelResponse:
        step = Step(self._turnwise_context, input, tools)
        earlier = await step.earlier()
        if earlier is not None:
            return response_of(earlier)
        original: Model = self._turnwise_original
        response = await original.get_response(
            system_instructions, input, model_settings, tools, *args, **options
        )
        step.finished(packed_response(response), lambda: response.usage)
        return response

    async def stream_response(
        self,
        system_instructions: str | None,
        input: str | list[Any],
        model_settings: Any,
        tools: list[Tool],
        *args: Any,
        **options: Any,
    ) -> AsyncIterator[TResponseStreamEvent]:
        step = Step(self._turnwise_context, input, tools)
        earlier = await step.earlier()
        if earlier is not None:
            for event in events_of(earlier):
                yield event
            return
        original: Model = self._turnwise_original
        stream = original.stream_response(
            system_instructions, input, model_settings, tools, *args, **options
        )
        output: list[Any] = []
        try:
            async for event in stream:
                if isinstance(event, ResponseOutputItemDoneEvent):
                    output.append(event.item)
                elif isinstance(event, ResponseCompletedEvent):
                    packed = packed_stream(event.response, output)
                    step.finished(packed, partial(usage_of, packed.usage))
                yield event
        finally:
            close = getattr(stream, "aclose", None)
            if close is not None:
                await close()


def durable_model(model: Model, run: Run) -> Model:
    """The model as this run calls it; the same one for the same model."""
    if isinstance(model, DurableModel) and model._turnwise_context is run:
        return model
    if id(model) not in run.models:
        run.models[id(model)] = make_proxy(model, DurableModel, run)
    known: Model = run.models[id(model)]
    return known


class Step:
    """One response of a run: given by an earlier attempt, or by the model now."""

    def __init__(self, run: Run, input: str | Sequence[Any], tools: Sequence[Tool]) -> None:
        self._run = run
        self._agent = run.agent.name
        self._tools = [tool.name for tool in tools]
        self._input = input_shape(input)
        for tool in tools:
            make_durable(tool)

    async def earlier(self) -> StoredResponse | None:
        """The response of an earlier attempt; None if the model is to be called.

        Raises ReplayMismatch, Restart, and what ended the turn.
        """
        run, replay = self._run, await self._run.open()
        path = run.path
        run.check()
        await replay.check()
        entry = replay.responses.get((path, run.responses))
        if entry is not None and (difference := self._difference(entry)):
            await self._start_again(difference)
            entry = None
        elif entry is None and not run.is_known and run.responses == 0:
            await self._look_for_strays()
        if entry is None:
            replay.send()
            return None
        self._count(entry.response, partial(usage_of, entry.response.usage))
        replay.turn.emit_replayed("response", run.agent.name)
        return entry.response

    def finished(self, response: StoredResponse, usage: Callable[[], Usage]) -> None:
        run = self._run
        entry = ResponseEntry(
            run=run.path,
            number=run.responses,
            agent=self._agent,
            tools=self._tools,
            input=self._input,
            response=response,
        )
        run.replay.write_later(entry)
        self._count(response, usage)

    def _count(self, response: StoredResponse, usage: Callable[[], Usage]) -> None:
        run, replay = self._run, self._run.replay
        run.count(response.output, usage)
        if run.above is None:
            place = run.path, run.responses
            replay.progress.responded(Response(*place, response.output, replay.turn.changes))

    def _difference(self, entry: ResponseEntry) -> str | None:
        if entry.agent != self._agent:
            return f"agent {entry.agent!r} was asked then, {self._agent!r} is now"
        if entry.tools != self._tools:
            return f"its tools were {entry.tools} then and are {self._tools} now"
        if entry.input != self._input:
            return "the model is given other items, or in another order, than then"
        return None

    async def _start_again(self, difference: str) -> None:
        run, replay = self._run, self._run.replay
        first = run.responses == 0
        if not run.may_repeat(replay.ran([run.path])) or (run.streamed and not first):
            raise replay.mismatch(difference, [run.path])
        await replay.restart(run.path)
        if not first:
            raise Restart(run)

    async def _look_for_strays(self) -> None:
        """A run that nobody knows, where another was known: it has another input than then."""
        run, replay = self._run, self._run.replay
        strays = replay.strays(run.path)
        if not strays:
            return
        if not run.may_repeat(replay.ran(strays)):
            raise replay.mismatch("it is given another input, or another agent", strays)
        for path in strays:
            await replay.restart(path)
