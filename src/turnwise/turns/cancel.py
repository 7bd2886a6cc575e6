"""Cancelling a turn from any process: its worker ends it, or, if it does not, the store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from turnwise.errors import UsageError
from turnwise.hooks import TurnCancelledEvent
from turnwise.printable import printable
from turnwise.turns.cancelled import reason_in, request_payload, running_tools
from turnwise.turns.ids import check_session_id, check_turn_id, utf8_size
from turnwise.turns.runtime import Runtime
from turnwise.turns.settings import check_number
from turnwise.turns.shielding import resend_if_cancelled
from turnwise.types import Absent, Cancellation, Cancelled, Duplicate, Running

GRACE = 1.0
"""Seconds that a turn's worker has to end it, by default."""
_MAX_REASON_BYTES = 1000
_FIRST_POLL, _POLL = 0.004, 0.02
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
    """End a turn, whichever process runs it.

    Args:
        runtime: the process's store, codec, cache and settings.
        session_id: the session.
        turn_id: the turn; None for the one that is open.
        keep: let its worker commit what the turn has finished.
        reason: at most 1,000 bytes in UTF-8, stored with the turn unless an earlier request gave
            one.
        timeout: seconds that its worker has to end it; then it is ended without the worker, which
            can commit nothing any more.
        open_only: leave a message that waits in the queue alone.

    Returns:
        What became of the turn.

    Raises:
        UsageError: an id, the reason or the timeout is invalid.
        StoreError: the store did not answer, or refused.
    """
    check_session_id(session_id)
    if turn_id is not None:
        check_turn_id(session_id, turn_id)
    check_number("timeout", timeout)
    reason = checked_reason(session_id, reason)
    how = {"keep": keep, "open_only": open_only}
    canceller = _Canceller(runtime, session_id, how, request_payload(reason))
    found = await canceller.cancel(turn_id, timeout)
    if found.outcome in ("dropped", "forced") and found.worker:
        # The turn may have been parked or stopped, so that workers have left the session.
        await runtime.wake_workers(session_id)
    if found.outcome not in _CANCELLED:
        found = replace(found, reason=reason)
    level = logging.INFO if found.outcome in _CANCELLED else logging.DEBUG
    why = printable(found.reason or "no reason given")
    fields = found.turn_id, session_id, found.outcome, why
    _log.log(level, "cancel of turn %r of session %r: %s (%s)", *fields)
    return found


async def make_way(
    runtime: Runtime, session_id: str, turn_id: str, busy: str, by: str
) -> Cancellation:
    """End a turn so that turn `by` can begin: "interrupt" keeps what it has finished.

    A message that waits in the queue is left alone, and so is one that was released meanwhile.
    """
    keep = busy == "interrupt"
    reason = f"{'interrupted' if keep else 'rolled back'} by turn {by}"
    return await cancel(runtime, session_id, turn_id, keep=keep, reason=reason, open_only=True)


def checked_reason(session_id: str, reason: object) -> str | None:
    """The reason that an operator gave, None for an empty one. Raises UsageError."""
    if reason is None or reason == "":
        return None
    if isinstance(reason, str) and utf8_size(reason) <= _MAX_REASON_BYTES:
        return reason
    raise UsageError(
        f"reason is not a string of at most {_MAX_REASON_BYTES} bytes in UTF-8. It is "
        "stored; shorten it",
        session_id=session_id or None,
    )


class _Canceller:
    def __init__(
        self, runtime: Runtime, session_id: str, how: Mapping[str, bool], payload: str
    ) -> None:
        self._runtime = runtime
        self._session_id = session_id
        self._how = how
        self._payload = payload

    async def cancel(self, turn_id: str | None, timeout: float) -> Cancellation:
        deadline = self._runtime.now() + timeout
        answer = await self._ask(turn_id, force=False)
        while isinstance(answer, Cancelled) and answer.outcome == "flagged":
            found = await self._worker_ended(answer, deadline)
            if found is not None:
                return found
            # It was parked meanwhile, or its worker did not end it in time.
            force = self._runtime.now() >= deadline
            again = await self._ask(answer.turn_id, force=force)
            if force and isinstance(again, Cancelled) and again.outcome == "dropped":
                worker = answer.worker or again.worker
                found = Cancellation("forced", answer.turn_id, worker, running_tools=None)
                return self._emitted(found, again.payload)
            answer = again
        if isinstance(answer, Duplicate):
            return _finished(turn_id or "", "", answer)
        if answer.outcome == "dropped":
            found = Cancellation("dropped", answer.turn_id, answer.worker)
            return self._emitted(found, answer.payload)
        # A turn that was flagged a moment ago, and is absent now, was rolled back.
        return Cancellation("absent", answer.turn_id or turn_id or "")

    async def _ask(self, turn_id: str | None, *, force: bool) -> Cancelled | Duplicate:
        store = self._runtime.store
        how: Any = {**self._how, "force": force}
        return await resend_if_cancelled(
            partial(store.cancel, self._session_id, turn_id, **how, reason=self._payload)
        )

    async def _worker_ended(self, flagged: Cancelled, deadline: float) -> Cancellation | None:
        """What became of it; None if it was parked, or still runs at the deadline."""
        pause = _FIRST_POLL
        while True:
            status = await self._runtime.store.status(self._session_id, flagged.turn_id)
            if isinstance(status, Duplicate):
                return _finished(flagged.turn_id, flagged.worker, status)
            if isinstance(status, Absent):
                return Cancellation("ended", flagged.turn_id, flagged.worker)
            if not isinstance(status, Running) or self._runtime.now() >= deadline:
                return None
            await asyncio.sleep(min(pause, max(0.0, deadline - self._runtime.now())))
            pause = min(2 * pause, _POLL)

    def _emitted(self, found: Cancellation, payload: bytes) -> Cancellation:
        """No worker ended it, so its event is emitted here."""
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
    running, reason = running_tools(record.payload), reason_in(record.payload)
    return Cancellation("cancelled", turn_id, worker, record.items, running, reason)
