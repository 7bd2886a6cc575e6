"""Beginning a turn: at once on a free session, else in line or not at all."""

from __future__ import annotations

import math
from typing import Literal, get_args

from turnwise.cache import HistorySnapshot
from turnwise.errors import AlreadyCommitted, BusyTimeout, StoreError, TurnwiseError, UsageError
from turnwise.hooks import TurnQueuedEvent
from turnwise.turns import errors
from turnwise.turns.cancel import make_way
from turnwise.turns.cancel_listener import CancelListener
from turnwise.turns.expiry import expired
from turnwise.turns.ids import mint
from turnwise.turns.runtime import Runtime
from turnwise.turns.shielding import shielded
from turnwise.turns.wait import answered
from turnwise.types import (
    Absent,
    Busy,
    Duplicate,
    Full,
    Grant,
    Parked,
    Queued,
    Stale,
)

BusyPolicy = Literal["wait", "reject", "enqueue", "interrupt", "rollback"]
"""What to do about a busy session.

Stand in line for it ("wait"), for as long as it takes ("enqueue"), or raise SessionBusy at once
("reject"). Or end the turn that runs, and stand in line behind those who wait already: "interrupt"
lets it keep what it has finished, "rollback" leaves no trace of it.
"""

_ASK_AGAIN = 5.0
_ASK_SOON = 0.05
_VERY_LONG = 7 * 24 * 60 * 60.0

Answer = Grant | Busy | Queued | Parked | Duplicate | Stale | Full | Absent


def check_busy(session_id: str, busy: object) -> None:
    if busy not in get_args(BusyPolicy):
        raise UsageError(
            f"busy={busy!r} is not one of {', '.join(map(repr, get_args(BusyPolicy)))}",
            session_id=session_id,
        )


def _checked(session_id: str, timeout: object) -> float:
    if timeout is None:
        return math.inf
    if isinstance(timeout, int | float) and timeout >= 0:
        return timeout
    raise UsageError(
        f"timeout={timeout!r}: a timeout is a number of seconds from 0 on, or None for ever",
        session_id=session_id,
    )


class LeaseRequest:
    """One attempt to open a turn, under one token from its first call to its last.

    `sent` is when the call was sent that was answered last, on the event loop's clock.
    """

    def __init__(
        self,
        runtime: Runtime,
        session_id: str,
        turn_id: str,
        cached: HistorySnapshot | None,
        *,
        one_shot: bool,
    ) -> None:
        self.token = mint()
        self.cancel_listener = CancelListener(runtime.store, self.token)
        self.sent = 0.0
        self._in_line_since: float | None = None
        self._runtime = runtime
        self._session_id = session_id
        self._turn_id = turn_id
        self._base = cached.tip if cached is not None else None
        self._fresh = one_shot
        self.resume = False

    @property
    def waited(self) -> float:
        """Seconds in line so far."""
        since = self._in_line_since
        return 0.0 if since is None else self._runtime.now() - since

    async def granted(self, busy: BusyPolicy, timeout: float | None) -> Grant:
        check_busy(self._session_id, busy)
        timeout = _checked(self._session_id, None if busy == "enqueue" else timeout)
        try:
            answer = await self._ask()
            if isinstance(answer, Parked) and await self._expired(answer):
                answer = await self._ask()
            if busy != "reject" and isinstance(answer, Busy | Queued):
                answer = await self._in_line(answer, busy, timeout)
        except BaseException as error:
            if not isinstance(error, StoreError):  # to which it would answer the same
                await shielded(self._give_up())
            raise
        if isinstance(answer, Grant):
            return answer
        raise await self._refusal(answer)

    async def _ask(self, ticket: float | None = None) -> Answer:
        self.sent = self._runtime.now()
        self.cancel_listener.heard = False
        return await self._runtime.store.begin(
            self._session_id,
            self._turn_id,
            self.token,
            math.ceil(self._runtime.settings.lease * 1000),
            self._base,
            worker=self._runtime.name,
            one_shot=self._fresh,
            resume=self.resume,
            ticket_ms=None if ticket is None else math.ceil(min(ticket, _VERY_LONG) * 1000),
        )

    async def _in_line(self, answer: Busy | Queued, busy: BusyPolicy, timeout: float) -> Answer:
        """Wait for our turn: woken by whoever ends theirs, or when a lease may have run out.

        If a message of this turn_id waits it is that message's turn, and its end is waited for.
        """
        self._in_line_since, last = self.sent, self.sent + timeout
        self._runtime.emit(TurnQueuedEvent(self._session_id, self._turn_id, answer.worker))
        latest: Answer = answer
        in_the_way = answer.turn_id if busy in ("interrupt", "rollback") else None
        async with self._runtime.store.waiter(self.token) as wake:
            while isinstance(latest, Busy | Queued):
                left = last - self._runtime.now()
                if left <= 0:
                    raise self._timeout(latest, timeout)
                latest = await self._ask(ticket=left)
                if isinstance(latest, Queued) and self._is_our_message(latest):
                    await answered(self._runtime, self._session_id, self._turn_id, left)
                elif isinstance(latest, Queued) and in_the_way is not None:
                    await self._end_turn(in_the_way, busy)
                    in_the_way = None
                elif isinstance(latest, Queued):
                    lease = max(_ASK_SOON, latest.remaining_ms / 1000)
                    await wake.wait(min(left, lease, _ASK_AGAIN))
        return latest

    def _is_our_message(self, answer: Queued) -> bool:
        return answer.turn_id == self._turn_id and not answer.worker

    async def _end_turn(self, turn_id: str, busy: BusyPolicy) -> None:
        """End the turn that is in the way, if it is open, and not this very one, sent before."""
        if turn_id != self._turn_id:
            await make_way(self._runtime, self._session_id, turn_id, busy, self._turn_id)

    async def _expired(self, answer: Parked) -> bool:
        return await expired(self._runtime, self._session_id, answer.turn_id)

    async def _leave_line(self) -> None:
        """A turn that waits for an approval, or none to resume, leaves a ticket in line."""
        if self._in_line_since is not None:
            await shielded(self._give_up())

    async def _give_up(self) -> None:
        """It may have been granted, of a turn that others had begun: what they finished stays."""
        await self._runtime.release(self._session_id, self._turn_id, self.token)

    async def _refusal(self, answer: Answer) -> TurnwiseError:
        session_id = self._session_id
        if isinstance(answer, Busy | Queued):
            return errors.busy(session_id, answer)
        if isinstance(answer, Parked | Absent):
            await self._leave_line()
        if isinstance(answer, Parked):
            return errors.waiting(session_id, answer)
        if isinstance(answer, Absent):
            return errors.nothing_waits(session_id)
        if isinstance(answer, Full):
            return errors.queue_full(session_id, answer.limit)
        if isinstance(answer, Duplicate):
            return await self._finished(answer)
        incarnation = answer.incarnation if isinstance(answer, Stale) else ""
        return errors.not_ours(session_id, self._turn_id, incarnation, Stale(incarnation))

    async def _finished(self, answer: Duplicate) -> TurnwiseError:
        return await finished_turn_error(self._runtime, self._session_id, self._turn_id, answer)

    def _timeout(self, answer: Busy | Queued, timeout: float) -> BusyTimeout:
        return BusyTimeout(
            f"after {timeout:g} s of waiting {errors.holder(answer)}. Send it again later, or "
            "with a longer timeout",
            session_id=self._session_id,
        )


async def finished_turn_error(
    runtime: Runtime, session_id: str, turn_id: str, answer: Duplicate
) -> TurnwiseError:
    """What is told to who sends a finished turn again."""
    unfinished = errors.unfinished(session_id, turn_id, answer)
    if unfinished is not None:
        return unfinished
    return AlreadyCommitted(
        f"turn {turn_id!r} is part of the history already and did not run again; "
        "`items` of this error is what it added",
        session_id=session_id,
        turn_id=turn_id,
        items=await runtime.reader.added(session_id, answer),
        committed_at=answer.record.at_ms / 1000 if answer.record else 0.0,
        payload=answer.record.payload if answer.record else b"",
        end=answer.end,
    )
