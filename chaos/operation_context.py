"""What an operation uses in its worker: the sessions, an agent with tools, the execution log."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import agents
from agents import Agent, ModelResponse, function_tool
from agents.items import TResponseStreamEvent
from agents.tool_context import ToolContext

from chaos import script
from chaos.execution_log import ExecutionLog
from chaos.history import ATTEMPT, Execution, Takeover, now
from chaos.protocol import Request, WorkerConfig
from chaos.script import ScriptedModel
from chaos.speaker import Speaker
from turnwise.background import Message
from turnwise.durable import idempotency_key, repeatable
from turnwise.hooks import TurnBegunEvent, TurnEvent
from turnwise.session import Session

agents.set_tracing_disabled(True)  # no traces leave the machine


@dataclass
class RunningOperation:
    """A request in execution. `granted`: the time at which the store granted its turn.

    `active_until`: the last time at which it certainly worked on the turn. `from_queue`: the
    request comes from a message in the queue, not from the parent.
    """

    request: Request
    granted: float | None = None
    active_until: float | None = None
    attempt: int = 0
    from_queue: bool = False


current_operation: ContextVar[RunningOperation | None] = ContextVar(
    "current_operation", default=None
)


def mark_active() -> None:
    """Record that the worker works on the current turn now."""
    running = current_operation.get()
    if running is not None:
        running.active_until = now()


class Provider(ScriptedModel):
    """The scripted model; in some runs it is overloaded now and then, once a tool has run."""

    async def get_response(self, *args: Any, **options: Any) -> ModelResponse:
        _raise_if_overloaded(options["input"] if "input" in options else args[1])
        return await super().get_response(*args, **options)

    async def stream_response(
        self, *args: Any, **options: Any
    ) -> AsyncIterator[TResponseStreamEvent]:
        _raise_if_overloaded(options["input"] if "input" in options else args[1])
        async for event in super().stream_response(*args, **options):
            yield event


def _raise_if_overloaded(given: Any) -> None:
    running = current_operation.get()
    has_output = not isinstance(given, str) and given[-1].get("type") == "function_call_output"
    share = running.request.params.get("overloaded", 0.0) if running is not None else 0.0
    if has_output and random.random() < share:
        raise script.Overloaded


class OperationContext:
    """`report_takeover` sends a takeover to the parent at once."""

    def __init__(self, config: WorkerConfig, report_takeover: Callable[[Takeover], None]) -> None:
        self.execution_log = ExecutionLog(config.execution_log)
        self._report_takeover = report_takeover
        model = Speaker() if config.port else Provider()
        self.agent: Agent[Any] = Agent(
            name="agent", model=model, tools=[*map(self._tool, script.TOOLS.values())]
        )
        self.session: Session

    def on_event(self, event: TurnEvent) -> None:
        """A hook: record the grant when a turn begins."""
        if not isinstance(event, TurnBegunEvent):
            return
        running = current_operation.get()
        if running is None or running.from_queue:  # the queue worker begins the next message
            running = RunningOperation(_request_of_message(event), from_queue=True)
            current_operation.set(running)
        running.granted, running.attempt = now(), event.attempt
        if event.taken_over or (running.from_queue and event.attempt > 1):
            invocation = -1 if running.from_queue else running.request.invocation
            self._report_takeover(
                Takeover(
                    invocation, event.session_id, event.turn_id, event.attempt, running.granted
                )
            )

    def on_message(self, message: Message) -> None:
        """Log an attempt of a message, just before it runs."""
        running = current_operation.get()
        assert running is not None
        request = running.request
        request.params.update(message.metadata)
        call_id = f"{request.op}.{ATTEMPT}{request.invocation}"
        self._log_execution(running, ATTEMPT, call_id, str(uuid4()))

    def close(self) -> None:
        self.execution_log.close()

    def _tool(self, name: str) -> agents.FunctionTool:
        is_repeatable = name == script.TOOLS["r"]

        async def work(context: ToolContext[Any]) -> str:
            running = current_operation.get()
            assert running is not None
            self._log_execution(running, name, context.tool_call_id, idempotency_key())
            params = running.request.params
            await asyncio.sleep(params.get("slow", 0.0) * random.random())
            mark_active()
            fails = params.get("failing_tool") == name
            if fails and (running.attempt == 1 or not is_repeatable):
                raise script.ToolFailed(context.tool_call_id)
            return script.output(context.tool_call_id, running.request.invocation)

        tool = function_tool(
            work,
            name_override=name,
            failure_error_function=None,
            needs_approval=name == script.TOOLS["a"],
        )
        return repeatable(tool) if is_repeatable else tool

    def _log_execution(self, running: RunningOperation, tool: str, call_id: str, key: str) -> None:
        request, attempt = running.request, running.attempt
        turn_id = request.turn_id or ""
        self.execution_log.append(
            Execution(request.invocation, request.op, turn_id, call_id, tool, attempt, key, now())
        )


def _request_of_message(event: TurnBegunEvent) -> Request:
    """No invocation sent it: each attempt gets a negative number of its own."""
    op = event.turn_id.removeprefix("t")
    invocation = -1 - random.getrandbits(48)
    return Request(invocation, op, "message", event.session_id, event.turn_id, {})
