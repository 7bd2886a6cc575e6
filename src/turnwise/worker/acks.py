"""What becomes of a session's wake-ups after a visit: acked, or requeued."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict

from turnwise.background import Visit
from turnwise.limits import ACK_IDLE_AFTER_MS
from turnwise.turns import Runtime
from turnwise.types import Claim, Duplicate

_BUSY = (0.02, 1.0)
_WAITING = 2.0
_REFUSED = (0.5, 15.0)
_REMEMBERED = 10_000


class Acks:
    """Settles only what may be acknowledged (see `contracts.Ready`); looks again at the rest."""

    def __init__(self, runtime: Runtime) -> None:
        self._store = runtime.store
        self._runtime = runtime
        self._finished: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._not_before: dict[str, float] = {}
        self._busy: dict[str, float] = {}
        self._refused: dict[str, float] = {}

    async def too_soon(self, session_id: str, claims: list[Claim]) -> bool:
        """Whether it could not be served a moment ago; it is put off then."""
        due = self._not_before.get(session_id)
        if due is None:
            return False
        left = due - asyncio.get_running_loop().time()
        if left <= 0:
            del self._not_before[session_id]
            return False
        await self._later(claims, left)
        return True

    async def visit(self, session_id: str, claims: list[Claim], visit: Visit) -> None:
        """Raises StoreError; the wake-ups then come back by themselves."""
        self._remember(session_id, visit.finished)
        self._refused.pop(session_id, None)
        busy = self._busy.pop(session_id, _BUSY[0])
        if visit.state == "busy":
            self._busy[session_id] = min(_BUSY[1], 2 * busy)
            await self._later(claims, min(busy, visit.pause + _BUSY[0]))
        elif visit.state == "failed":
            await self._later(claims, visit.pause)
        elif visit.state == "idle":
            await self._found_idle(session_id, claims)
        else:
            await self._later(claims, _WAITING if visit.state == "waiting" else 0)

    async def refused(self, session_id: str, claims: list[Claim], *, passing: bool) -> None:
        """The visit failed: looked at again, each time later, unless the reason is a `passing` one.

        Raises StoreError; the wake-ups then come back by themselves.
        """
        pause = self._refused.get(session_id, _REFUSED[0])
        self._refused[session_id] = pause if passing else min(_REFUSED[1], 2 * pause)
        self._not_before[session_id] = asyncio.get_running_loop().time() + pause
        await self._later(claims, pause)

    def _remember(self, session_id: str, turn_ids: list[str]) -> None:
        for turn_id in turn_ids:
            self._finished[session_id, turn_id] = None
        while len(self._finished) > _REMEMBERED:
            self._finished.popitem(last=False)

    async def _found_idle(self, session_id: str, claims: list[Claim]) -> None:
        settled = [claim for claim in claims if await self._is_settled(claim)]
        if settled:
            await self._store.ready.ack(self._runtime.name, settled)
        for claim in claims:
            if claim not in settled:
                # Its message is on its way, or its sender has died: looked at again and again,
                # each time after as long as it has been waited for already.
                await self._later([claim], max(_BUSY[0], claim.age_ms / 1000))

    async def _is_settled(self, claim: Claim) -> bool:
        if claim.turn_id is None or claim.age_ms >= ACK_IDLE_AFTER_MS:
            return True
        if (claim.session_id, claim.turn_id) in self._finished:
            return True
        status = await self._store.status(claim.session_id, claim.turn_id)
        return isinstance(status, Duplicate) and status.record is not None

    async def _later(self, claims: list[Claim], delay: float) -> None:
        await self._store.ready.requeue(self._runtime.name, claims, math.ceil(delay * 1000))
