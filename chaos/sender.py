"""Sends operations to workers, and records what was asked and what was answered."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import Any

from chaos.crew import Crew, Member, WorkerDied
from chaos.history import Call, History, Home, Takeover, now
from chaos.operations import Operation
from chaos.protocol import Begun, Order

AGAIN = {"LeaseLost", "HistoryChanged", "SessionGone", "StoreUnavailable", "StoreRefused"}
"""Failures after which a sender sends again."""

_MOST_AT_ONCE = 48
"""Orders that one worker may have in hand."""


def is_doubtful(call: Call) -> bool:
    """Whether whoever got this answer sends again."""
    return call.outcome == "unknown" or call.error in AGAIN


def home_of(session: str) -> Home:
    """Sessions are named by what they are for."""
    return session.partition("-")[0]  # type: ignore[return-value]  # one of the words


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
        crew.listeners.append(self._hear)

    async def send(self, request: Request, member: Member | None = None) -> Call:
        """Return when it is answered, or its worker is gone."""
        if member is None:
            member = await self._member()
        call = self._recorded(request, member.name)
        order = Order(call.call, call.op, call.kind, call.session, call.turn_id, call.params)
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
                held=answer.held,
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

    async def _member(self) -> Member:
        """One that has not too much to do: a worker that stands still does not stop the others."""
        while True:
            free = [one for one in self._crew.members if len(one.waiting) < _MOST_AT_ONCE]
            member = self._rng.choice(free) if free else None
            if member is not None and not member.gone.is_set():
                return member
            await asyncio.sleep(0.01)

    def _recorded(self, request: Request, worker: str) -> Call:
        operation = request.operation
        call = Call(
            call=len(self._history.calls),
            op=request.op,
            kind=operation.kind,
            home=home_of(request.session),
            session=request.session,
            turn_id=request.turn_id,
            worker=worker,
            invoked=now(),
            params=request.params,
        )
        self._history.calls.append(call)
        return call

    def _hear(self, begun: Begun) -> None:
        self._history.takeovers.append(
            Takeover(begun.call, begun.session, begun.turn_id, begun.attempt, begun.at)
        )
