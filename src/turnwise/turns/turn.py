"""A turn that this worker holds: its lease, its journal, and what ends it from outside."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, Literal

from turnwise.cache import HistorySnapshot
from turnwise.errors import LeaseLost, StoreError, TurnCancelled, TurnError, UsageError
from turnwise.hooks import StepReplayedEvent, TurnEndEvent, TurnLostEvent
from turnwise.journal_entries import Entry, StoredResponse, usage_in, usage_of
from turnwise.process import check_loop, is_running
from turnwise.turns import errors
from turnwise.turns.buffer import Lost, TurnBuffer
from turnwise.turns.cancelled import reason_in
from turnwise.turns.journal import Journal
from turnwise.turns.lease import CancelListener, Lease
from turnwise.turns.outcomes import Cancel, Outcome
from turnwise.turns.runtime import Runtime
from turnwise.types import CancelMode, Duplicate, Gone, Grant, Renewed, Stale

_CANCEL_GRACE = 0.05
"""Seconds that the code which runs a cancelled turn has to end it."""
_STATUS_TIMEOUT = 1.0
"""Seconds that the store has to answer why a turn was lost."""


class Turn(TurnBuffer):
    """A turn that this worker holds. `ends.end` ends it.

    Attributes:
        worker: The name under which this worker holds it.
        attempt: 1, or more if earlier attempts did not finish it.
        failures: Earlier attempts that failed.
        deaths: Earlier attempts whose workers died.
        open_error: What kept a message's turn from being opened whole: its journal cannot be
            decoded, say. The attempt must fail by it.
        message: The queued message that it answers; None for a direct turn.
        one_shot: Nobody can send its turn_id again.
        resumed: It was parked, and is resumed.
        lost: What ended it from outside, if anything did. Every method raises it from then on.
        cancel: How it is to end, if a cancel was requested. Then `lost` is TurnCancelled.
        cancelling: The task that ends it, if the code that runs it did not, after a cancel.
        ended: This worker does nothing more in it.
        outcome: How it ended; None while it is open, and where it was lost.
        replay: What the durable runs in it share.
        usage: What its attempts consumed, as far as the journal and this worker know.
    """

    def __init__(
        self,
        runtime: Runtime,
        session_id: str,
        token: str,
        grant: Grant,
        *,
        snapshot: HistorySnapshot | None,
        entries: list[Entry],
        sent: float,
        cancel_listener: CancelListener,
        end_cancelled: Callable[[Turn], Coroutine[Any, Any, None]],
        one_shot: bool = False,
        resumed: bool = False,
        open_error: Exception | None = None,
    ) -> None:
        super().__init__(runtime, session_id, grant, snapshot)
        self.token = token
        self.worker = runtime.name
        self.attempt = grant.attempt
        self.failures = grant.failed
        self.deaths = grant.deaths
        self.message = grant.message
        self.open_error = open_error
        self.one_shot = one_shot
        self.resumed = resumed
        self.repeatable_tools = runtime.settings.repeatable_tools
        self.lost: Lost | None = None
        self.cancel: Cancel | None = None
        self.ended = False
        self.outcome: Outcome | None = None
        self.replay: object | None = None
        self.usage = usage_of(entries)
        self.lease = Lease(runtime.settings.lease, sent, self._renew, self._lease_ended)
        send = partial(runtime.store.journal, *self.names, token)
        stored = len(grant.journal)
        self.journal = Journal(
            runtime.codec, self.names, entries, stored, send, self._journal_refused
        )
        self._begun = runtime.now()
        self._end_emitted = False
        self._interrupt: Callable[[], object] = _nothing
        self._cancel_listener = cancel_listener
        self._end_cancelled = end_cancelled
        self._cancel_timer: asyncio.TimerHandle | None = None
        self.cancelling: asyncio.Task[None] | None = None
        runtime.held.get()[token] = self.names
        self.lease.keep()  # after all that can fail: nobody would stop it
        cancel_listener.call(self.lease.renew_soon)
        if grant.cancel_mode:
            self._cancel(grant.cancel_mode, grant.cancel_reason)

    # While it is open.

    async def check(self) -> None:
        """Return if this worker still holds the turn; raise what ended it if not.

        Call it before each thing that costs: no heartbeat runs while the event loop stalls.
        """
        check_loop(self.lease.loop, f"turn {self.turn_id!r}")
        if self.lost is not None:
            raise self.lost
        if self.ended:
            raise UsageError(
                f"turn {self.turn_id!r} has ended; use the session, or begin another turn",
                session_id=self.session_id,
            )
        if self.lease.expired:
            await self.lease.renew()
            if self.lost is not None:
                raise self.lost

    def interrupt_with(self, interrupt: Callable[[], object]) -> None:
        """Call `interrupt` if a heartbeat finds the turn lost, so that what runs in it stops."""
        self._interrupt = interrupt

    def fail(self, error: TurnError) -> None:
        """The turn cannot be committed any more: every method raises `error` from now on."""
        if self.lost is None and not self.ended:
            self.lost = error
            self._let_lease_go()

    def count_response(self, response: StoredResponse) -> None:
        """A model has answered in this attempt."""
        self.usage += usage_in(response.usage)

    def emit_replayed(self, step: Literal["response", "tool"], agent: str, tool: str = "") -> None:
        """A step was answered from the journal."""
        self.runtime.emit(StepReplayedEvent(*self.names, step, agent, tool))

    # For its end.

    @property
    def is_held(self) -> bool:
        """Whether this worker holds it, as far as it knows, and keeps its lease."""
        return not self.ended and self.lease.is_kept

    @property
    def is_ours(self) -> bool:
        """Whether the process and event loop that opened it are the current ones."""
        return is_running(self.lease.loop)

    @property
    def seconds(self) -> float:
        """Seconds since it began here."""
        return self.runtime.now() - self._begun

    def close(self) -> None:
        """This worker does nothing more in it. Raises UsageError if it has ended."""
        if self.ended:
            raise UsageError(f"turn {self.turn_id!r} has ended already", session_id=self.session_id)
        check_loop(self.lease.loop, f"turn {self.turn_id!r}")
        self.ended = True
        if self._cancel_timer is not None:
            self._cancel_timer.cancel()
        self._let_lease_go()

    def emit_end(self, event: TurnEndEvent) -> None:
        """Emit the event of its end, which is emitted once."""
        if not self._end_emitted:
            self._end_emitted = True
            self.runtime.emit(event)

    def emit_lost(self, error: BaseException) -> None:
        name = type(error).__name__
        self.emit_end(TurnLostEvent(*self.names, name, self.seconds))

    async def why_lost(self, answer: Stale | Gone) -> TurnError:
        """What ended the turn, if an answer says that it is not this worker's any more.

        The record of a turn that was cancelled by force says so.
        """
        error = self._lost_by(answer)
        if isinstance(error, LeaseLost):
            with suppress(StoreError, TimeoutError):
                async with asyncio.timeout(_STATUS_TIMEOUT):
                    status = await self.runtime.store.status(*self.names)
                if isinstance(status, Duplicate):
                    finished = errors.finished(*self.names, status)
                    return finished if isinstance(finished, TurnCancelled) else error
        return error

    # What ends it from outside.

    async def _renew(self) -> bool:
        answer = await self.runtime.store.renew(*self.names, self.token)
        if isinstance(answer, Renewed):
            if answer.cancel_mode:
                self._cancel(answer.cancel_mode, answer.cancel_reason)
            return not answer.cancel_mode
        self._lose(await self.why_lost(answer))
        return False

    def _lease_ended(self, error: Exception | None) -> None:
        """A heartbeat found the lease at its end: refused, or no longer answered (`error`)."""
        if error is not None:
            self._lose(errors.store_unreachable(*self.names)).__cause__ = error
        if not self.ended:
            self._interrupt()

    async def _journal_refused(self, answer: Stale | Gone) -> Lost:
        return self._lose(await self.why_lost(answer))

    def _lose(self, error: Lost) -> Lost:
        if self.lost is None and not self.ended:
            self.lost = error
            self._let_lease_go()
            self.emit_lost(error)
        return error

    def _cancel(self, mode: CancelMode, payload: str) -> None:
        """A cancel was requested. The turn ends soon, with or without the code that runs it."""
        if self.lost is not None or self.ended:
            return
        self.cancel = Cancel(mode, reason_in(payload))
        self.lost = errors.cancelled(*self.names, kept=mode == "keep", reason=self.cancel.reason)
        self._let_lease_go()
        loop = asyncio.get_running_loop()
        self._cancel_timer = loop.call_later(_CANCEL_GRACE, self._end_without_its_code)

    def _end_without_its_code(self) -> None:
        if not self.ended:
            self.close()
            self.cancelling = asyncio.create_task(
                self._end_cancelled(self), name="turnwise-cancelling"
            )

    def _let_lease_go(self) -> None:
        self.runtime.held.get().pop(self.token, None)
        self.lease.stop()
        self._cancel_listener.close()


def _nothing() -> None:
    """Nothing is interrupted."""
