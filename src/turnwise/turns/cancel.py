"""Ending a turn from anywhere: its worker is asked to, and not waited for if it does not answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from turnwise.errors import UsageError
from turnwise.hooks import TurnCancelledEvent
from turnwise.turns.ids import check_session_id, check_turn_id, size
from turnwise.turns.runtime import Runtime
from turnwise.turns.settings import check_number
from turnwise.turns.shielding import resend_if_cancelled
from turnwise.turns.stopped import note, reason_in, running_tools
from turnwise.types import Absent, Cancellation, Cancelled, Duplicate, Running

GRACE = 1.0
"""How long (s) a turn's worker may take to end it."""
REASON_BYTES = 1000
"""The most that a reason may take in UTF-8."""
_SOON, _LATER = 0.004, 0.02
_CANCELLED = "cancelled", "forced", "dropped"
_log = logging.getLogger("turnwise")


async def cancel(
    runtime: Runtime,
    session_id: str,
    turn_id: str | None = None,
    *,
    keep: bool = False,
    reason: str | None = None,
    timeout: float = GRACE,
    open_only: bool = False,
) -> Cancellation:
    """End the turn, or without a turn_id the one that is open; by force after `timeout` seconds.

    `keep` lets its worker commit what it has finished. `open_only` spares a message that waits in
    the queue. `reason` stays with the turn, unless another was given before. Raises StoreError.
    """
    check_session_id(session_id)
    if turn_id is not None:
        check_turn_id(session_id, turn_id)
    check_number("timeout", timeout)
    reason = _checked(session_id, reason)
    how = {"keep": keep, "open_only": open_only}
    canceller = _Canceller(runtime, session_id, how, note(reason))
    found = await canceller.ended(turn_id, timeout)
    if found.outcome not in _CANCELLED:
        found = replace(found, reason=reason)
    log = _log.info if found.outcome in _CANCELLED else _log.debug
    said = found.turn_id, session_id, found.outcome, found.reason or "no reason given"
    log("cancel of turn %r of session %r: %s (%s)", *said)
    return found


async def make_way(
    runtime: Runtime, session_id: str, turn_id: str, busy: str, by: str
) -> Cancellation:
    """End the turn for the one called `by`: busy is "interrupt", which keeps it, or "rollback".

    A message that waits is spared, also one whose turn was given up since it was seen.
    """
    keep = busy == "interrupt"
    reason = f"{'interrupted' if keep else 'rolled back'} by turn {by}"
    return await cancel(runtime, session_id, turn_id, keep=keep, reason=reason, open_only=True)


def _checked(session_id: str, reason: object) -> str | None:
    if reason is None or reason == "":
        return None
    if isinstance(reason, str) and size(reason) <= REASON_BYTES:
        return reason
    raise UsageError(
        f"a reason is a text of at most {REASON_BYTES} bytes in UTF-8, for it is stored with the "
        "turn; say it shorter",
        session_id=session_id,
    )


class _Canceller:
    def __init__(
        self, runtime: Runtime, session_id: str, how: Mapping[str, bool], note: str
    ) -> None:
        self._runtime = runtime
        self._session_id = session_id
        self._how = how
        self._note = note

    async def ended(self, turn_id: str | None, timeout: float) -> Cancellation:
        until = self._runtime.now() + timeout
        answer = await self._ask(turn_id, force=False)
        while isinstance(answer, Cancelled) and answer.outcome == "flagged":
            found = await self._followed(answer, until)
            if found is not None:
                return found
            # It is parked by now, or its time is over.
            force = self._runtime.now() >= until
            again = await self._ask(answer.turn_id, force=force)
            if force and isinstance(again, Cancelled) and again.outcome == "dropped":
                worker = answer.worker or again.worker
                found = Cancellation("forced", answer.turn_id, worker, running_tools=None)
                return self._told(found, again.payload)
            answer = again
        if isinstance(answer, Duplicate):
            return _finished(turn_id or "", "", answer)
        if answer.outcome == "dropped":
            found = Cancellation("dropped", answer.turn_id, answer.worker)
            return self._told(found, answer.payload)
        # Of a turn that was flagged a moment ago this says that it has been rolled back.
        return Cancellation("absent", answer.turn_id or turn_id or "")

    async def _ask(self, turn_id: str | None, *, force: bool) -> Cancelled | Duplicate:
        store, session_id = self._runtime.store, self._session_id
        how: Any = {**self._how, "force": force}
        return await resend_if_cancelled(
            partial(store.cancel, session_id, turn_id, **how, reason=self._note)
        )

    async def _followed(self, asked: Cancelled, until: float) -> Cancellation | None:
        """What became of it; None if it waits for an approval, or runs still when time is over."""
        pause = _SOON
        while True:
            status = await self._runtime.store.status(self._session_id, asked.turn_id)
            if isinstance(status, Duplicate):
                return _finished(asked.turn_id, asked.worker, status)
            if isinstance(status, Absent):
                return Cancellation("ended", asked.turn_id, asked.worker)
            if not isinstance(status, Running) or self._runtime.now() >= until:
                return None
            await asyncio.sleep(min(pause, max(0.0, until - self._runtime.now())))
            pause = min(2 * pause, _LATER)

    def _told(self, found: Cancellation, payload: bytes) -> Cancellation:
        reason = reason_in(payload)
        event = TurnCancelledEvent(self._session_id, found.turn_id, 0, 0, 0.0, reason or "")
        self._runtime.emit(event)
        return replace(found, reason=reason)


def _finished(turn_id: str, worker: str, answer: Duplicate) -> Cancellation:
    record = answer.record
    if record is None or record.kind not in ("cancelled", "turn"):
        return Cancellation("ended", turn_id, worker)
    if record.kind == "turn":
        return Cancellation("committed", turn_id, worker, record.items)
    told, reason = running_tools(record.payload), reason_in(record.payload)
    return Cancellation("cancelled", turn_id, worker, record.items, told, reason)
