"""Getting a turn's lease: at once on a free session; else the caller waits in its queue, or not."""

from __future__ import annotations

import math
from typing import Literal, get_args

from turnwise.cache import HistorySnapshot
from turnwise.errors import AlreadyCommitted, BusyTimeout, StoreError, TurnwiseError, UsageError
from turnwise.hooks import TurnQueuedEvent
from turnwise.turns import errors
from turnwise.turns.approval_timeout import end_if_expired
from turnwise.turns.cancel import make_way
from turnwise.turns.ids import mint
from turnwise.turns.lease import CancelListener
from turnwise.turns.own_turn import refuse_to_wait_for_own_turn
from turnwise.turns.runtime import Runtime
from turnwise.turns.shielding import shielded
from turnwise.turns.standing import standing
from turnwise.turns.turn_end import message_ended
from turnwise.types import (
    Absent,
    Busy,
    Duplicate,
    Full,
    Grant,
    Parked,
    Queued,
    Stale,
    Stopped,
    Taken,
)

BusyPolicy = Literal["wait", "reject", "enqueue", "interrupt", "rollback"]
"""What to do about a busy session.

"wait" in its queue for up to a timeout, "enqueue" for as long as it takes, or "reject": raise
SessionBusy at once. "interrupt" and "rollback" end the running turn, then wait in the queue like
"wait": the first commits what that turn has finished, the second nothing of it.
"""

_POLICIES = get_args(BusyPolicy)
_POLL_INTERVAL = 5.0
"""Seconds after which a caller in the queue sends its request again, in case a wake-up was lost."""
_MIN_POLL_INTERVAL = 0.05
_MAX_TICKET = 7 * 24 * 60 * 60.0
"""The longest time, in seconds, for which one ticket is asked for."""

Answer = Grant | Busy | Queued | Parked | Stopped | Duplicate | Stale | Full | Absent | Taken


def check_busy(session_id: str, busy: object) -> None:
    """Raise UsageError unless it is a `BusyPolicy`."""
    if busy not in _POLICIES:
        raise UsageError(
            f"busy={busy!r} is not one of {', '.join(map(repr, _POLICIES))}",
            session_id=session_id,
        )


def _checked_timeout(session_id: str, timeout: object) -> float:
    if timeout is None:
        return math.inf
    if isinstance(timeout, int | float) and timeout >= 0:
        return timeout
    raise UsageError(
        f"timeout={timeout!r}: a timeout is a number of seconds from 0 on, or None to wait for "
        "ever",
        session_id=session_id,
    )


class LeaseRequest:
    """One caller's request for the lease of one turn, under one token from first to last.

    Attributes:
        token: names the lease, and the caller's ticket in the queue.
        sent: when the last call was sent, on the event loop's clock.
        waited: seconds in the queue so far.
    """

    def __init__(
        self,
        runtime: Runtime,
        session_id: str,
        turn_id: str,
        cached: HistorySnapshot | None,
        *,
        one_shot: bool,
        resume: bool = False,
    ) -> None:
        self.token = mint()
        self.cancel_listener = CancelListener(runtime.store, self.token)
        self.sent = 0.0
        self._queued_at: float | None = None
        self._runtime = runtime
        self._session_id = session_id
        self._turn_id = turn_id
        self._base = cached.tip if cached is not None else None
        self._one_shot = one_shot
        self._resume = resume

    @property
    def waited(self) -> float:
        return 0.0 if self._queued_at is None else self._runtime.now() - self._queued_at

    async def granted(self, busy: BusyPolicy, timeout: float | None) -> Grant:
        """The grant. Raises what `begin_turn` raises."""
        check_busy(self._session_id, busy)
        timeout = _checked_timeout(self._session_id, None if busy == "enqueue" else timeout)
        try:
            answer = await self._ask()
            if isinstance(answer, Parked):
                names = self._session_id, answer.turn_id
                answer = await end_if_expired(self._runtime, *names) or await self._ask()
            if busy != "reject" and isinstance(answer, Busy | Queued):
                answer = await self._wait_in_queue(answer, busy, timeout)
            if isinstance(answer, Grant):
                return answer
        except BaseException as error:
            if not isinstance(error, StoreError):  # else the store would not answer that either
                await shielded(self.give_up)
            raise
        raise await self._refusal(answer)

    async def give_up(self) -> None:
        """Leave the queue. If the lease was granted, the turn's journal stays for a retry."""
        await self._runtime.release(self._session_id, self._turn_id, self.token)

    async def _ask(self, ticket: float | None = None) -> Answer:
        """Ask for the lease, or for a place in the queue for `ticket` seconds."""
        self.sent = self._runtime.now()
        self.cancel_listener.woken = False
        return await self._runtime.store.begin(
            self._session_id,
            self._turn_id,
            self.token,
            self._runtime.lease_ms,
            self._base,
            worker=self._runtime.name,
            one_shot=self._one_shot,
            resume=self._resume,
            ticket_ms=None if ticket is None else math.ceil(min(ticket, _MAX_TICKET) * 1000),
        )

    async def _wait_in_queue(
        self, answer: Busy | Queued, busy: BusyPolicy, timeout: float
    ) -> Answer:
        """Ask again whenever woken, or when the lease in the way may have expired.

        If a message of this turn_id is in the queue, wait until that has ended instead.
        """
        self._queued_at, deadline = self.sent, self.sent + timeout
        self._runtime.emit(TurnQueuedEvent(self._session_id, self._turn_id, answer.worker))
        to_end = answer.turn_id if busy in ("interrupt", "rollback") else None
        latest: Answer = answer
        async with self._runtime.store.waiter(self.token) as waiter:
            while isinstance(latest, Busy | Queued):
                await refuse_to_wait_for_own_turn(self._runtime, self._session_id)
                left = deadline - self._runtime.now()
                if left <= 0:
                    raise await self._timed_out(latest, timeout)
                latest = await self._ask(ticket=left)
                if not isinstance(latest, Queued):
                    continue
                if self._is_own_message(latest):
                    await message_ended(self._runtime, self._session_id, self._turn_id, left)
                elif to_end is not None:
                    if to_end != self._turn_id:  # else an earlier attempt at this very turn
                        by = self._turn_id
                        await make_way(self._runtime, self._session_id, to_end, busy, by)
                    to_end = None
                else:
                    lease = max(_MIN_POLL_INTERVAL, latest.remaining_ms / 1000)
                    await waiter.wait(min(left, lease, _POLL_INTERVAL))
        return latest

    def _is_own_message(self, answer: Queued) -> bool:
        return answer.turn_id == self._turn_id and not answer.worker

    async def _refusal(self, answer: Answer) -> TurnwiseError:
        session_id = self._session_id
        if isinstance(answer, Parked | Stopped | Absent) and self._queued_at is not None:
            await shielded(self.give_up)  # the caller's ticket is still in the queue
        match answer:
            case Busy() | Queued():
                return errors.busy(session_id, answer)
            case Parked() | Stopped():
                return errors.suspended(session_id, answer)
            case Absent():
                return errors.nothing_parked(session_id)
            case Taken():
                return errors.taken(session_id)
            case Full():
                return errors.queue_full(session_id, answer.limit)
            case Duplicate():
                return await finished_turn_error(self._runtime, session_id, self._turn_id, answer)
            case _:
                incarnation = answer.incarnation if isinstance(answer, Stale) else ""
                return errors.lost(session_id, self._turn_id, incarnation, Stale(incarnation))

    async def _timed_out(self, answer: Busy | Queued, timeout: float) -> BusyTimeout:
        by = await standing(self._runtime, self._session_id, answer.turn_id)
        return BusyTimeout(
            f"still busy after {timeout:g} s: {by}. Send it again later, or with a longer timeout",
            session_id=self._session_id,
        )


async def finished_turn_error(
    runtime: Runtime, session_id: str, turn_id: str, answer: Duplicate
) -> TurnwiseError:
    """The error for a turn_id that is finished: AlreadyCommitted, or what ended it otherwise."""
    not_committed = errors.finished(session_id, turn_id, answer)
    if not_committed is not None:
        return not_committed
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
