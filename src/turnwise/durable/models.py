"""Models of a durable run: a response comes from the journal, or the model gives it now."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

from agents import Model, ModelProvider, ModelResponse, Tool
from agents.items import TResponseStreamEvent
from openai.types.responses import ResponseCompletedEvent, ResponseOutputItemDoneEvent

from turnwise.durable.context import Restart, Run
from turnwise.durable.digests import input_shape
from turnwise.durable.progress import LastResponse
from turnwise.durable.proxy import ObjectProxy, make_proxy
from turnwise.durable.responses import pack_response, pack_streamed_response, unpack_response
from turnwise.durable.stream_events import response_events
from turnwise.durable.tools import make_durable
from turnwise.journal_entries import ResponseEntry, StoredResponse


class DurableProvider(ObjectProxy):
    """A model provider whose models are durable."""

    __slots__ = ()

    def get_model(self, model_name: str | None) -> Model:
        original: ModelProvider = self._turnwise_original
        return durable_model(original.get_model(model_name), self._turnwise_context)


class DurableModel(ObjectProxy):
    """A model whose responses are journaled."""

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
        call = _ModelCall(self._turnwise_context, input, tools)
        journaled = await call.journaled()
        if journaled is not None:
            return unpack_response(journaled)
        original: Model = self._turnwise_original
        response = await original.get_response(
            system_instructions, input, model_settings, tools, *args, **options
        )
        call.journal(pack_response(response))
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
        call = _ModelCall(self._turnwise_context, input, tools)
        journaled = await call.journaled()
        if journaled is not None:
            for event in response_events(journaled):
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
                    call.journal(pack_streamed_response(event.response, output))
                yield event
        finally:
            close = getattr(stream, "aclose", None)
            if close is not None:
                await close()


def durable_model(model: Model, run: Run) -> Model:
    """The model's durable proxy in this run; always the same one for a model."""
    if isinstance(model, DurableModel) and model._turnwise_context is run:
        return model
    if id(model) not in run.models:
        run.models[id(model)] = make_proxy(model, DurableModel, run)
    proxy: Model = run.models[id(model)]
    return proxy


class _ModelCall:
    """One call of a model in a run."""

    def __init__(self, run: Run, input: str | Sequence[Any], tools: Sequence[Tool]) -> None:
        self._run = run
        self._agent = run.agent.name
        self._tools = [tool.name for tool in tools]
        self._input = input_shape(input)
        self._began = time.monotonic()
        for tool in tools:
            make_durable(tool)

    async def journaled(self) -> StoredResponse | None:
        """The response of an earlier attempt; None if the model has to be called.

        Raises:
            ReplayMismatch: an earlier attempt called the model with something else.
            Restart: the same, and the run may start again.
            LimitError: the history cannot take what the turn holds, so that no model is paid.
            TurnwiseError: what ended the turn.
        """
        run, replay = self._run, await self._run.open()
        path = run.path
        run.check()
        await replay.check()
        entry = replay.responses.get((path, run.responses))
        if entry is not None and (difference := self._difference(entry)):
            await self._restart(difference)
            entry = None
        elif entry is None and not run.is_in_journal and run.responses == 0:
            await self._restart_unclaimed()
        if entry is None:
            if run.adds_items:  # else a wrapped session may yet make it smaller
                replay.turn.check_can_add([])
            replay.flush()
            return None
        self._add(entry.response)
        replay.turn.emit_replayed("response", run.agent.name)
        return entry.response

    def journal(self, response: StoredResponse) -> None:
        """Journal what the model has answered."""
        run = self._run
        entry = ResponseEntry(
            run=run.path,
            number=run.responses,
            agent=self._agent,
            tools=self._tools,
            input=self._input,
            response=response,
            seconds=round(time.monotonic() - self._began, 3),
        )
        run.replay.write_later(entry)
        run.replay.turn.count_response(response)
        self._add(response)

    def _add(self, response: StoredResponse) -> None:
        run, replay = self._run, self._run.replay
        run.add_response(response)
        if run.parent is None:
            of_call = run.path, run.responses
            replay.progress.responded(LastResponse(*of_call, response.output, replay.turn.changes))

    def _difference(self, entry: ResponseEntry) -> str | None:
        if entry.agent != self._agent:
            return f"agent {entry.agent!r} was asked then, {self._agent!r} is now"
        if missing := Counter(entry.tools) - Counter(self._tools):
            return f"it had the tools {sorted(missing)} then, and lacks them now"
        if entry.input != self._input:
            return "the model gets other items than then, or in another order"
        return None

    async def _restart(self, difference: str) -> None:
        run, replay = self._run, self._run.replay
        is_first = run.responses == 0
        started = replay.started_under([run.path])
        if not run.may_repeat(started) or (run.streamed and not is_first):
            raise replay.mismatch(difference, [run.path])
        await replay.restart(run.path)
        if not is_first:
            raise Restart(run)

    async def _restart_unclaimed(self) -> None:
        """If the journal has another run here, this one has another agent or input than then."""
        run, replay = self._run, self._run.replay
        others = replay.unclaimed_beside(run.path)
        if not others:
            return
        if not run.may_repeat(replay.started_under(others)):
            raise replay.mismatch("it gets another input, or another agent", others)
        for path in others:
            await replay.restart(path)
