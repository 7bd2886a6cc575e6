"""Sends operations to workers, and records what was asked and what was answered."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import Any

from chaos.crew import Crew, WorkerDied
from chaos.history import Call, History, Takeover, now
from chaos.operations import Operation
from chaos.protocol import Begun, Order

AGAIN = {"LeaseLost", "HistoryChanged", "SessionGone", "StoreUnavailable", "StoreRefused"}
"""Failures after which a sender sends again."""


def is_doubtful(call: Call) -> bool:
    """Whether whoever got this answer sends again."""
    return call.outcome == "unknown" or call.error in AGAIN


@dataclass(frozen=True)
class Request:
    """One operation, however often it is sent."""

    operation: Operation
    op: str
    session: str
    turn_id: str | None
    params: dict[str, Any]


class Sender:
    """To a worker that `rng` chooses, each time."""

    def __init__(self, crew: Crew, history: History, rng: random.Random) -> None:
        self._crew = crew
        self._history = history
        self._rng = rng
        self._tasks: set[asyncio.Task[Call]] = set()
        crew.listeners.append(self._hear)

    async def send(self, request: Request) -> Call:
        """Return when it is answered, or its worker is gone."""
        member = self._rng.choice(self._crew.members)
        while member.gone.is_set():
            await asyncio.sleep(0.02)
            member = self._rng.choice(self._crew.members)
        call = self._recorded(request, member.name)
        order = Order(
            call.call, call.op, call.kind, call.session, call.turn_id, call.params
        )
        try:
            answer = await member.ask(order)
        except WorkerDied:
            call.finish("unknown", "WorkerDied")
        else:
            call.finish(
                answer.outcome,
                answer.error,
                value=answer.value,
                granted=answer.granted,
                attempt=answer.attempt,
            )
        return call

    async def send_impatiently(self, request: Request, patience: float, share: float) -> Call:
        """At times it is sent elsewhere as well, when no answer comes."""
        first = asyncio.create_task(self.send(request))
        await asyncio.wait({first}, timeout=patience)
        if first.done() or self._rng.random() > share:
            return await first
        second = await self.send(request)
        call = await first
        return second if is_doubtful(call) else call

    def _recorded(self, request: Request, worker: str) -> Call:
        operation = request.operation
        call = Call(
            call=len(self._history.calls),
            op=request.op,
            kind=operation.kind,
            home=operation.home,
            session=request.session,
            turn_id=request.turn_id,
            worker=worker,
            invoked=now(),
            params=request.params,
        )
        self._history.calls.append(call)
        return call

    def _hear(self, begun: Begun) -> None:
        session = self._history.calls[begun.call].session
        self._history.takeovers.append(
            Takeover(begun.call, session, begun.turn_id, begun.attempt, begun.at)
        )
