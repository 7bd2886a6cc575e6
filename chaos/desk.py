"""What an operation finds in its worker: sessions, an agent with tools, and the ledger."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import agents
from agents import Agent, function_tool
from agents.tool_context import ToolContext

from chaos import script
from chaos.history import ATTEMPT, Execution, now
from chaos.ledger import Ledger
from chaos.protocol import Begun, Order, Setup
from chaos.script import Scripted
from turnwise.background import Message
from turnwise.durable import idempotency_key, repeatable
from turnwise.hooks import TurnBegunEvent, TurnEvent
from turnwise.session import Session

agents.set_tracing_disabled(True)  # there is nobody to send traces to


@dataclass
class Doing:
    """An order that is being carried out. `granted`: when the store gave it its turn.

    `held`: when it last worked on it. `queued`: it is no order of the parent's, but a message.
    """

    order: Order
    granted: float | None = None
    held: float | None = None
    attempt: int = 0
    queued: bool = False


doing: ContextVar[Doing | None] = ContextVar("doing", default=None)


def still_here() -> None:
    """The turn at hand was still worked on now."""
    here = doing.get()
    if here is not None:
        here.held = now()


class Desk:
    """`tell` sends a message to the parent at once."""

    def __init__(self, setup: Setup, tell: Callable[[Begun], None]) -> None:
        self.ledger = Ledger(setup.ledger)
        self._tell = tell
        self.agent: Agent[Any] = Agent(
            name="agent",
            model=Scripted(),
            tools=[self._tool("look_up"), self._tool("charge"), self._tool("pay")],
        )
        self.session: Session

    def hear(self, event: TurnEvent) -> None:
        """A hook: the turn of an order has begun."""
        if not isinstance(event, TurnBegunEvent):
            return
        here = doing.get()
        if here is None or here.queued:  # the queue worker begins the next message
            here = Doing(_of_message(event), queued=True)
            doing.set(here)
        here.granted, here.attempt = now(), event.attempt
        if event.taken_over or (here.queued and event.attempt > 1):
            call = -1 if here.queued else here.order.call
            told = event.session_id, event.turn_id, event.attempt, here.granted
            self._tell(Begun(call, *told))

    def taken(self, message: Message) -> None:
        """A message is about to be run: the world outside counts it."""
        here = doing.get()
        assert here is not None
        here.order.params.update(message.metadata)
        self._note(here, ATTEMPT, f"{here.order.op}.{ATTEMPT}{here.order.call}", str(uuid4()))

    def close(self) -> None:
        self.ledger.close()

    def _tool(self, name: str) -> agents.FunctionTool:
        is_repeatable = name == script.TOOLS["r"]

        async def work(context: ToolContext[Any]) -> str:
            here = doing.get()
            assert here is not None
            self._note(here, name, context.tool_call_id, idempotency_key())
            await asyncio.sleep(here.order.params.get("slow", 0.0) * random.random())
            still_here()
            stumbles = here.order.params.get("stumbles") == name
            if stumbles and (here.attempt == 1 or not is_repeatable):
                raise script.Stumbled(context.tool_call_id)
            return script.output(context.tool_call_id, here.order.call)

        tool = function_tool(
            work,
            name_override=name,
            failure_error_function=None,
            needs_approval=name == script.TOOLS["a"],
        )
        return repeatable(tool) if is_repeatable else tool

    def _note(self, here: Doing, what: str, call_id: str, key: str) -> None:
        order = here.order
        turn_id = order.turn_id or ""
        self.ledger.write(
            Execution(order.call, order.op, turn_id, call_id, what, here.attempt, key, now())
        )


def _of_message(event: TurnBegunEvent) -> Order:
    """Nobody ordered it: each attempt gets a number that no call has."""
    op = event.turn_id.removeprefix("t")
    call = -1 - random.getrandbits(48)
    return Order(call, op, "message", event.session_id, event.turn_id, {})
