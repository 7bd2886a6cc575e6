"""Invokes operations on workers, and records each invocation with its outcome."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import Any

import httpx

from chaos.clients import Failed, Site, Unknown
from chaos.history import History, Invocation, SessionKind, now
from chaos.operations import OperationKind
from chaos.operations.http import HttpKind
from chaos.protocol import Request
from chaos.worker_pool import WorkerDied, WorkerPool, WorkerProcess

RETRYABLE = {
    *("LeaseLost", "HistoryChanged", "SessionGone", "StoreUnavailable", "StoreRefused"),
    "Overloaded",
}
"""Failures after which a caller retries."""

_CLIENT_PATIENCE = 20.0
"""Seconds after which a client gives up."""
_MAX_IN_FLIGHT = 48
"""Invocations that one worker may execute at a time."""


def should_retry(invocation: Invocation) -> bool:
    """Whether a caller with this outcome retries."""
    return invocation.outcome == "info" or invocation.error in RETRYABLE


def session_kind_of(session: str) -> SessionKind:
    """A session's name begins with its kind."""
    return session.partition("-")[0]  # type: ignore[return-value]  # one of the literals


@dataclass(frozen=True)
class Operation:
    """One operation, however often it is invoked."""

    kind: OperationKind
    op: str
    session: str
    turn_id: str | None
    params: dict[str, Any]


def _request(invocation: Invocation) -> Request:
    return Request(
        invocation.id,
        invocation.op,
        invocation.kind,
        invocation.session,
        invocation.turn_id,
        invocation.params,
    )


class Invoker:
    """`rng` chooses the worker of each invocation. `site` is asked what goes over HTTP."""

    def __init__(
        self, pool: WorkerPool, history: History, rng: random.Random, site: Site | None = None
    ) -> None:
        self._pool = pool
        self._site = site
        self._history = history
        self._rng = rng
        pool.takeover_listeners.append(history.takeovers.append)

    async def invoke(self, operation: Operation, worker: WorkerProcess | None = None) -> Invocation:
        """Return when the worker responds or dies."""
        if isinstance(operation.kind, HttpKind):
            return await self._ask(operation, operation.kind)
        if worker is None:
            worker = await self._choose_worker()
        invocation = self._record(operation, worker.name)
        try:
            response = await worker.execute(_request(invocation))
        except WorkerDied:
            invocation.complete("info", "WorkerDied")
        else:
            invocation.complete(
                response.outcome,
                response.error,
                value=response.value,
                granted=response.granted,
                active_until=response.active_until,
                attempt=response.attempt,
            )
        return invocation

    async def _ask(self, operation: Operation, kind: HttpKind) -> Invocation:
        """Let a client ask. What it does not know is unknown; what it did not expect is told."""
        assert self._site is not None
        invocation = self._record(operation, "client")
        try:
            async with asyncio.timeout(_CLIENT_PATIENCE):
                value = await kind.ask(self._site, _request(invocation))
        except Failed as failure:
            invocation.complete("fail", f"Failed: {failure}")
        except Unknown as unknown:
            invocation.complete("info", str(unknown))
        except (TimeoutError, httpx.TransportError) as error:
            invocation.complete("info", type(error).__name__)
        except Exception as error:
            invocation.complete("info", f"! {type(error).__name__}: {error}"[:2000])
        else:
            invocation.complete("ok", value=value)
        return invocation

    async def invoke_hedged(self, operation: Operation, delay: float, share: float) -> Invocation:
        """Invoke it; a `share` of those without a response after `delay` is invoked once more."""
        first = asyncio.create_task(self.invoke(operation))
        await asyncio.wait({first}, timeout=delay)
        if first.done() or self._rng.random() > share:
            return await first
        second = await self.invoke(operation)
        invocation = await first
        return second if should_retry(invocation) else invocation

    async def _choose_worker(self) -> WorkerProcess:
        """One below its limit: a paused worker does not block the others."""
        while True:
            free = [one for one in self._pool.workers if len(one.in_flight) < _MAX_IN_FLIGHT]
            worker = self._rng.choice(free) if free else None
            if worker is not None and not worker.exited.is_set():
                return worker
            await asyncio.sleep(0.01)

    def _record(self, operation: Operation, worker: str) -> Invocation:
        invocation = Invocation(
            id=len(self._history.invocations),
            op=operation.op,
            kind=operation.kind.name,
            session_kind=session_kind_of(operation.session),
            session=operation.session,
            turn_id=operation.turn_id,
            worker=worker,
            invoked=now(),
            params=operation.params,
        )
        self._history.invocations.append(invocation)
        return invocation
