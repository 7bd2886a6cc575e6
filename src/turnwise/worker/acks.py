"""What becomes of a session's claims after a visit: they are acked or requeued."""

from __future__ import annotations

import asyncio
import math
import random
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from turnwise.background import Visit
from turnwise.limits import ACK_IDLE_AFTER_MS
from turnwise.turns import Runtime, end_if_expired
from turnwise.types import Absent, Claim, Duplicate, Info

_BUSY_PAUSE, _MAX_BUSY_PAUSE, _BUSY_GROWTH = 0.02, 30.0, 4
_LEAST = 0.8
"""The shortest pause as a share of the longest: those that came together part."""
_ERROR_PAUSE, _MAX_ERROR_PAUSE = 0.5, 15.0
_HIDDEN, _MAX_HIDDEN = 0.02, 5.0
_PAUSED_PAUSE = 60.0
"""Seconds until a session is looked at again whose agent is paused: should its worker die."""
_REMEMBERED = 10_000
"""Of how many turns and sessions a worker remembers something: other workers have them by now."""


K = TypeVar("K")
V = TypeVar("V")


class Recent(OrderedDict[K, V]):
    """A dict of what was set last."""

    def __setitem__(self, key: K, value: V) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        if len(self) > _REMEMBERED:
            self.popitem(last=False)


@dataclass
class _Trouble:
    """A session that this worker could not serve.

    Attributes:
        pause: seconds from the next failure to the visit after it.
        due: when it is visited again.
        hidden: for how many seconds its claims are hidden from all workers, if they come before.
    """

    pause: float = _ERROR_PAUSE
    due: float = 0.0
    hidden: float = _HIDDEN


class Acks:
    """Acks only claims that may be acked (see `contracts.Ready`), and requeues the others."""

    def __init__(self, runtime: Runtime) -> None:
        self._store = runtime.store
        self._runtime = runtime
        self._finished = Recent[tuple[str, str], None]()
        self._troubles = Recent[str, _Trouble]()
        self._waits = Recent[str, float]()
        self._expiries = Recent[str, float]()
        self._left = Recent[str, None]()

    async def too_soon(self, session_id: str, claims: list[Claim]) -> bool:
        """Whether a visit failed a moment ago and the next is not due; requeues the claims then.

        Other workers, which may be able to serve the session, get them sooner.
        """
        trouble = self._troubles.get(session_id)
        if trouble is None or (left := trouble.due - asyncio.get_running_loop().time()) <= 0:
            return False
        await self._requeue(claims, min(left, trouble.hidden))
        trouble.hidden = min(_MAX_HIDDEN, 2 * trouble.hidden)
        return True

    async def visited(self, session_id: str, claims: list[Claim], visit: Visit) -> None:
        """After a visit. Raises StoreError; the claims then time out."""
        self._remember(session_id, visit.finished)
        if visit.state == "unfit":
            await self.failed(session_id, claims)
            return
        self._troubles.pop(session_id, None)
        if visit.state == "busy":
            pause = self._wait(session_id)
            if pause < _LEAST * _MAX_BUSY_PAUSE:  # its worker may die and let its lease run out
                pause = min(pause, visit.pause + _BUSY_PAUSE)
            await self._requeue(claims, pause)
            return
        self._waits.pop(session_id, None)
        if visit.state == "failed":
            await self._requeue(claims, visit.pause)
        elif visit.state == "idle":
            await self._ack_if(self._is_settled, claims)
        elif visit.state == "paused":
            self._left[session_id] = None
            await self._requeue(claims, _PAUSED_PAUSE * random.uniform(_LEAST, 1))
        elif visit.state == "parked":
            if visit.pause < math.inf:  # nobody else looks when it expires
                self._expiries[session_id] = asyncio.get_running_loop().time() + visit.pause
            await self._ack_if(self._is_queued, claims)
        else:
            await self._requeue(claims, 0)

    async def recall(self, session_id: str | None = None) -> None:
        """Offer again what was left since its agent was paused, or this one. Raises StoreError."""
        left = list(self._left) if session_id is None else [session_id]
        await self._store.ready.recall(left)
        for one in left:  # not those that were left meanwhile
            self._left.pop(one, None)

    def _wait(self, session_id: str) -> float:
        """Seconds until the next visit of a busy session: each time more.

        What it waits for is published when it comes, so a visit finds only what was missed.
        """
        pause = self._waits.pop(session_id, _BUSY_PAUSE)
        self._waits[session_id] = min(_MAX_BUSY_PAUSE, _BUSY_GROWTH * pause)
        return pause * random.uniform(_LEAST, 1)

    async def end_expired(self) -> None:
        """End the parked turns that were found, and have expired meanwhile. Raises StoreError."""
        now = asyncio.get_running_loop().time()
        for session_id, due in [item for item in self._expiries.items() if item[1] <= now]:
            found, parked = await self._store.info(session_id), None
            if isinstance(found, Info) and found.open_turn is not None:
                turn_id = found.open_turn.turn_id
                parked = await end_if_expired(self._runtime, session_id, turn_id)
            if self._expiries.get(session_id) != due:
                continue  # a visit has found another one meanwhile
            if parked is not None and parked.expires_in < math.inf:  # it was parked anew
                self._expiries[session_id] = asyncio.get_running_loop().time() + parked.expires_in
            else:
                del self._expiries[session_id]

    async def failed(
        self, session_id: str, claims: list[Claim], *, transient: bool = False
    ) -> None:
        """After a visit that raised, or of a message for workers of another version.

        The pause before the next visit doubles, unless the failure is `transient`. Others get the
        claims at once.

        Raises StoreError; the claims then time out.
        """
        trouble = self._troubles.pop(session_id, None) or _Trouble()
        self._troubles[session_id] = trouble
        pause, trouble.hidden = trouble.pause, _HIDDEN
        trouble.due = asyncio.get_running_loop().time() + pause
        if not transient:
            trouble.pause = min(_MAX_ERROR_PAUSE, 2 * pause)
        await self._requeue(claims, pause if transient else 0)

    def _remember(self, session_id: str, turn_ids: list[str]) -> None:
        for turn_id in turn_ids:
            self._finished[session_id, turn_id] = None

    async def _ack_if(
        self, is_settled: Callable[[Claim], Awaitable[bool]], claims: list[Claim]
    ) -> None:
        settled = [claim for claim in claims if _is_old(claim) or await is_settled(claim)]
        if settled:
            await self._store.ready.ack(self._runtime.name, settled)
        for claim in claims:
            if claim not in settled:
                # The message is about to arrive, or its submitter has died: look again, each time
                # after as long as the announcement is old by then.
                await self._requeue([claim], max(_BUSY_PAUSE, claim.age_ms / 1000))

    async def _is_settled(self, claim: Claim) -> bool:
        """Whether the announced message is finished."""
        assert claim.turn_id is not None
        if (claim.session_id, claim.turn_id) in self._finished:
            return True
        status = await self._store.status(claim.session_id, claim.turn_id)
        return isinstance(status, Duplicate) and status.record is not None

    async def _is_queued(self, claim: Claim) -> bool:
        """Whether the announced message has come. Who ends the parked turn announces it again."""
        assert claim.turn_id is not None
        return not isinstance(await self._store.status(claim.session_id, claim.turn_id), Absent)

    async def _requeue(self, claims: list[Claim], delay: float) -> None:
        await self._store.ready.requeue(self._runtime.name, claims, math.ceil(delay * 1000))


def _is_old(claim: Claim) -> bool:
    """Whether the announced message is in the queue by now, or will not arrive any more."""
    return claim.turn_id is None or claim.age_ms >= ACK_IDLE_AFTER_MS
