"""Ending a turn from anywhere: its worker is asked to, and not waited for if it does not answer."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from functools import partial

from turnwise.hooks import TurnCancelled
from turnwise.turns.equipment import Equipment
from turnwise.turns.ids import check_session_id, check_turn_id
from turnwise.turns.settings import check_number
from turnwise.turns.shield import settled
from turnwise.turns.stopped import running_tools
from turnwise.types import Absent, Cancellation, Cancelled, Duplicate, Running

GRACE = 1.0
"""How long (s) a turn's worker may take to end it."""
_SOON, _LATER = 0.004, 0.02
_log = logging.getLogger("turnwise")


async def cancel(
    worker: Equipment,
    session_id: str,
    turn_id: str | None = None,
    *,
    keep: bool = False,
    reason: str | None = None,
    timeout: float = GRACE,
) -> Cancellation:
    """End the turn, or without a turn_id the one that is open; by force after `timeout` seconds.

    `keep` lets its worker commit what it has finished. Raises StoreError.
    """
    check_session_id(session_id)
    if turn_id is not None:
        check_turn_id(session_id, turn_id)
    check_number("timeout", timeout)
    found = await _Canceller(worker, session_id, keep=keep).ended(turn_id, timeout)
    log = _log.info if found.outcome in ("cancelled", "dropped", "forced") else _log.debug
    said = found.turn_id, session_id, found.outcome, reason or "no reason given"
    log("cancel of turn %r of session %r: %s (%s)", *said)
    return replace(found, reason=reason)


class _Canceller:
    def __init__(self, worker: Equipment, session_id: str, *, keep: bool) -> None:
        self._worker = worker
        self._session_id = session_id
        self._keep = keep

    async def ended(self, turn_id: str | None, timeout: float) -> Cancellation:
        until = self._worker.now() + timeout
        answer = await self._ask(turn_id, force=False)
        while isinstance(answer, Cancelled) and answer.outcome == "flagged":
            found = await self._followed(answer, until)
            if found is not None:
                return found
            # It is parked by now, or its time is over.
            force = self._worker.now() >= until
            again = await self._ask(answer.turn_id, force=force)
            if force and isinstance(again, Cancelled) and again.outcome == "dropped":
                self._tell(again)
                return Cancellation(
                    "forced", answer.turn_id, answer.worker or again.worker, running_tools=None
                )
            answer = again
        if isinstance(answer, Duplicate):
            return _finished(turn_id or "", "", answer)
        if answer.outcome == "dropped":
            self._tell(answer)
            return Cancellation("dropped", answer.turn_id, answer.worker)
        # Of a turn that was flagged a moment ago this says that it has been rolled back.
        return Cancellation("absent", answer.turn_id or turn_id or "")

    async def _ask(self, turn_id: str | None, *, force: bool) -> Cancelled | Duplicate:
        store, session_id = self._worker.store, self._session_id
        call = partial(store.cancel, session_id, turn_id, keep=self._keep, force=force)
        return await settled(call)

    async def _followed(self, asked: Cancelled, until: float) -> Cancellation | None:
        """What became of it; None if it waits for an approval, or runs still when time is over."""
        pause = _SOON
        while True:
            status = await self._worker.store.status(self._session_id, asked.turn_id)
            if isinstance(status, Duplicate):
                return _finished(asked.turn_id, asked.worker, status)
            if isinstance(status, Absent):
                return Cancellation("ended", asked.turn_id, asked.worker)
            if not isinstance(status, Running) or self._worker.now() >= until:
                return None
            await asyncio.sleep(min(pause, max(0.0, until - self._worker.now())))
            pause = min(2 * pause, _LATER)

    def _tell(self, answer: Cancelled) -> None:
        self._worker.tell(TurnCancelled(self._session_id, answer.turn_id, 0, 0, 0.0))


def _finished(turn_id: str, worker: str, answer: Duplicate) -> Cancellation:
    record = answer.record
    if record is None or record.kind not in ("cancelled", "turn"):
        return Cancellation("ended", turn_id, worker)
    if record.kind == "turn":
        return Cancellation("committed", turn_id, worker, record.items)
    told = running_tools(record.payload) if record.payload else None
    return Cancellation("cancelled", turn_id, worker, record.items, told)
