"""What an operation finds in its worker: sessions, an agent with tools, and the ledger."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import agents
from agents import Agent, function_tool
from agents.tool_context import ToolContext

from chaos import script
from chaos.history import Execution, now
from chaos.ledger import Ledger
from chaos.protocol import Begun, Order, Setup
from chaos.script import Scripted
from turnwise.durable import idempotency_key, repeatable
from turnwise.hooks import TurnBegun, TurnEvent
from turnwise.session import Session

agents.set_tracing_disabled(True)  # there is nobody to send traces to


@dataclass
class Doing:
    """An order that is being carried out. `granted`: when the store gave it its turn.

    `held`: when it last worked on it.
    """

    order: Order
    granted: float | None = None
    held: float | None = None
    attempt: int = 0


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
            name="agent", model=Scripted(), tools=[self._tool("look_up"), self._tool("charge")]
        )
        self.session: Session

    def hear(self, event: TurnEvent) -> None:
        """A hook: the turn of an order has begun."""
        here = doing.get()
        if here is None or not isinstance(event, TurnBegun):
            return
        here.granted, here.attempt = now(), event.attempt
        if event.attempt > 1:
            self._tell(Begun(here.order.call, event.turn_id, event.attempt, here.granted))

    def close(self) -> None:
        self.ledger.close()

    def _tool(self, name: str) -> agents.FunctionTool:
        async def work(context: ToolContext[Any]) -> str:
            here = doing.get()
            assert here is not None
            self.ledger.write(
                Execution(
                    here.order.call,
                    here.order.op,
                    here.order.turn_id or "",
                    context.tool_call_id,
                    name,
                    here.attempt,
                    idempotency_key(),
                    now(),
                )
            )
            await asyncio.sleep(here.order.params.get("slow", 0.0) * random.random())
            still_here()
            return script.output(context.tool_call_id, here.order.call)

        tool = function_tool(work, name_override=name, failure_error_function=None)
        return repeatable(tool) if name == "look_up" else tool
