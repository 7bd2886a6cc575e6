"""Turns that answer messages from the queue: how they begin, and the ends that only they have."""

from __future__ import annotations

import math
from contextlib import suppress
from functools import partial
from typing import Any

from turnwise.cache import HistorySnapshot
from turnwise.errors import StoreError, TurnwiseError, UndecodableItem
from turnwise.hooks import TurnBegunEvent, TurnDeadLetteredEvent, TurnLostEvent, TurnRolledBackEvent
from turnwise.journal_entries import Entry, read_journal
from turnwise.turns import errors
from turnwise.turns.cancel_listener import CancelListener
from turnwise.turns.expiry import expired
from turnwise.turns.ids import check_session_id, mint
from turnwise.turns.runtime import Runtime
from turnwise.turns.shielding import resend_if_cancelled, shielded
from turnwise.turns.turn import Turn
from turnwise.types import Busy, Done, Grant, Idle, Parked, Stale


class MessageTurn(Turn):
    """A turn from the queue. Its message stays there until it is committed, buried or dropped.

    `message` is what was submitted. `failures` counts the attempts before this one that did not
    end in good order. `begun` is the event that tells of its begin; who runs it tells it.
    `open_error` is what kept it from being opened whole, its journal undecodable, say: the attempt
    is to fail by it, so that it is counted and the message given up in the end.
    """

    def __init__(
        self,
        runtime: Runtime,
        session_id: str,
        token: str,
        grant: Grant,
        *,
        open_error: Exception | None,
        **known: Any,
    ) -> None:
        self.open_error = open_error
        self.message = grant.message or b""
        self.failures = grant.attempt - 1 - grant.released
        self.begun = TurnBegunEvent.of(session_id, grant)
        super().__init__(runtime, session_id, token, grant, one_shot=False, **known)

    async def release(
        self, reason: BaseException | None, *, counted: bool, pause: float = 0.0
    ) -> None:
        """Give it back with its journal, for another attempt. Never raises for the store.

        `counted`: this attempt failed. Otherwise it ended in good order. The next one begins, on
        whichever worker, after `pause` seconds. One that was asked to stop ends as it was asked to.
        """
        if self._manner is not None:
            await self.roll_back(reason)
        if self.ended:
            return
        self._end()
        await shielded(self._release(counted, pause))
        if self.lost is None:
            name = type(reason).__name__ if reason is not None else ""
            self._emit(TurnRolledBackEvent(*self._names, name, self._seconds))

    async def dead_letter(self, letter: bytes, reason: str) -> None:
        """Give its message up, with a dead letter. Raises LeaseLost, SessionGone, StoreError."""
        self._end()
        await resend_if_cancelled(partial(self._dead_letter, letter, reason))

    async def _dead_letter(self, letter: bytes, reason: str) -> None:
        try:
            answer = await self._runtime.store.dead_letter(*self._names, self._token, letter)
        except StoreError as error:
            self._gone_wrong(error)
            raise
        self._runtime.reader.cache.drop(self.session_id)
        if not isinstance(answer, Done):
            raise self._gone_wrong(await self.why_lost(answer))
        self._emit(TurnDeadLetteredEvent(*self._names, self.failures + 1, reason, self._seconds))

    def _gone_wrong(self, error: TurnwiseError) -> TurnwiseError:
        self._emit(TurnLostEvent(*self._names, type(error).__name__, self._seconds))
        return error

    async def _release(self, counted: bool, pause: float) -> None:
        await self._lease.stopped()
        names, delay = (self.session_id, self.turn_id, self._token), math.ceil(pause * 1000)
        with suppress(Exception):  # it then goes to another worker when its lease has run out
            await self._runtime.store.release(*names, counted=counted, delay_ms=delay)


async def next_turn(runtime: Runtime, session_id: str) -> MessageTurn | Busy | Parked | Idle:
    """Open the session's oldest message as a turn, or take it over from a dead worker.

    Raises StoreError.
    """
    check_session_id(session_id)
    cached = runtime.reader.cache.get(session_id)
    token, sent = mint(), runtime.now()
    lease = math.ceil(runtime.settings.lease * 1000)
    base = cached.tip if cached is not None else None
    call = partial(runtime.store.next, session_id, token, lease, base, worker=runtime.name)
    cancel_listener = CancelListener(runtime.store, token)
    try:
        answer = await call()
        if isinstance(answer, Parked) and await expired(runtime, session_id, answer.turn_id):
            answer = await call()
        if isinstance(answer, Stale):
            raise errors.not_ours(session_id, "", "", answer)
        if not isinstance(answer, Grant):
            cancel_listener.close()
            return answer
        return _opened(runtime, session_id, token, answer, cached, sent, cancel_listener)
    except BaseException:
        cancel_listener.close()
        await shielded(_give_back(runtime, session_id, token, call))
        raise


def _opened(
    runtime: Runtime,
    session_id: str,
    token: str,
    grant: Grant,
    cached: HistorySnapshot | None,
    sent: float,
    cancel_listener: CancelListener,
) -> MessageTurn:
    past, entries, open_error = None, list[Entry](), None
    try:
        past = _past(runtime, session_id, grant, cached)
        entries = read_journal(runtime.codec, session_id, grant.turn_id, grant.journal)
    except Exception as error:
        open_error = error
    return MessageTurn(
        runtime,
        session_id,
        token,
        grant,
        open_error=open_error,
        past=past,
        entries=entries,
        start=sent,
        cancel_listener=cancel_listener,
    )


def _past(
    runtime: Runtime, session_id: str, grant: Grant, cached: HistorySnapshot | None
) -> HistorySnapshot | None:
    """What the grant brought of the history, joined to what was cached of it.

    None if that cannot be decoded: the run reads it again and fails by it, so that the message is
    counted and given up in the end, and does not stand in the way of those behind it for ever.
    """
    if grant.history is None:
        return None
    try:
        return runtime.reader.absorb(session_id, grant.history, cached)
    except UndecodableItem:
        runtime.reader.cache.drop(session_id)
        return None


async def _give_back(runtime: Runtime, session_id: str, token: str, call: Any) -> None:
    """Asked again under the same token, the store tells whether there is something to give back."""
    with suppress(Exception):  # it then goes to another worker when its lease has run out
        answer = await call()
        if isinstance(answer, Grant):
            await runtime.store.release(session_id, answer.turn_id, token, counted=True)
