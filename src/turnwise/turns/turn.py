"""One turn that this worker holds: what it reads, what it adds, and how it ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Literal

from turnwise.cache import HistorySnapshot
from turnwise.errors import (
    HistoryChanged,
    LeaseLost,
    StoreError,
    StoreUnavailable,
    TurnError,
    TurnwiseError,
    UsageError,
)
from turnwise.errors import TurnCancelled as Cancelled
from turnwise.hooks import (
    StepReplayedEvent,
    TurnCancelledEvent,
    TurnCommittedEvent,
    TurnLostEvent,
    TurnRolledBackEvent,
)
from turnwise.journal_entries import Entry
from turnwise.process import check_loop
from turnwise.turns import errors, stopped
from turnwise.turns.buffer import Lost, TurnBuffer
from turnwise.turns.cancel_listener import CancelListener
from turnwise.turns.ids import mint
from turnwise.turns.journal import Journal
from turnwise.turns.lease import Lease
from turnwise.turns.parking import Parking
from turnwise.turns.runtime import Runtime
from turnwise.turns.shielding import resend_if_cancelled, shielded
from turnwise.types import CancelMode, Done, Duplicate, Full, Gone, Grant, Renewed, Stale

_RESISTS = 0.05
"""How long (s) a turn that is asked to stop may take to end by itself."""
_QUIET = 0.03
"""How long (s) its tools may take to end before they are named as running."""
_ASKS = 1.0
"""How long (s) it is asked why a turn was lost."""
_log = logging.getLogger("turnwise")


class Turn(TurnBuffer):
    """The history as this turn sees it: what was there at its begin, and what it added since.

    Nothing is written before `commit`. `lost` is the error that ended the turn from outside, if
    one did: every method raises it from then on, and if nobody called one when it happened,
    `on_lost` is called.
    """

    def __init__(
        self,
        runtime: Runtime,
        session_id: str,
        token: str,
        grant: Grant,
        *,
        past: HistorySnapshot | None,
        entries: list[Entry],
        start: float,
        one_shot: bool,
        cancel_listener: CancelListener,
    ) -> None:
        super().__init__(runtime, session_id, grant, past)
        self.attempt = grant.attempt
        self.lost: Lost | None = None
        self.on_lost: Callable[[], object] = _nobody
        self.ended = False
        self.replay: object | None = None
        self.payload = b""
        self.parking: Parking | None = None
        self.still_pending: int | None = None
        self.repeatable_tools = runtime.settings.repeatable_tools
        self._token = token
        self.is_one_shot = one_shot
        self._begun = runtime.now()
        self._lease = Lease(runtime.settings.lease, start, self._renew, self._lease_ended)
        send = partial(runtime.store.journal, session_id, self.turn_id, token)
        kept = (session_id, self.turn_id), entries, len(grant.journal)
        self.journal = Journal(runtime.codec, *kept, send, self._journal_refused)
        self._manner: CancelMode | None = None
        self._reason: str | None = None
        self._resisting: asyncio.TimerHandle | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._summons = cancel_listener
        self._lease.keep()  # after all that can fail: nobody would stop it
        cancel_listener.to(self._lease.hurry)
        if grant.cancel_mode:
            self._stop(grant.cancel_mode, grant.cancel_reason)

    # How it ends.

    async def commit(self) -> None:
        """Make it part of the history, also if the caller is cancelled meanwhile.

        `payload` is kept beside the items. A turn with an id of our own that changed nothing leaves
        no trace. Raises LeaseLost, TurnCancelled, HistoryChanged, SessionGone, SessionTooLarge,
        OutcomeUnknown; the turn has ended then too.
        """
        if self.lost is not None:
            await self.roll_back(self.lost)
            raise self.lost
        if self.is_one_shot and not self._added and self._kept == self._grant.items:
            await self.roll_back(None)
            return
        self._end()
        await resend_if_cancelled(partial(self._commit, mint()))

    async def roll_back(self, reason: BaseException | None) -> None:
        """Give the session free with its history as it was. Never raises for the store.

        A turn that was asked to stop ends as it was asked to.
        """
        if self._stopping is not None:
            await asyncio.wait({self._stopping})
        if self.ended:
            return
        self._end()
        if self._manner is not None:
            await shielded(self._end_stopped())
            return
        try:
            await shielded(self._abort())
        finally:
            if self.lost is None:
                self._emit(TurnRolledBackEvent(*self._names, _name(reason), self._seconds))

    # What parking a turn takes.

    @property
    def runtime(self) -> Runtime:
        return self._runtime

    @property
    def token(self) -> str:
        return self._token

    @property
    def seconds(self) -> float:
        """How long it has run."""
        return self._seconds

    def end_here(self) -> None:
        """This worker does nothing more in it."""
        self._end()

    async def quiet(self) -> None:
        """Return when no renewal is on its way."""
        await self._lease.stopped()

    async def why_lost(self, answer: Stale | Gone) -> TurnError:
        """What ended the turn, if an answer says that it is not this worker's any more.

        The record of one that was cancelled by force tells so.
        """
        error = self._not_ours(answer)
        if isinstance(error, LeaseLost):
            with suppress(StoreError, TimeoutError):
                async with asyncio.timeout(_ASKS):
                    status = await self._runtime.store.status(*self._names)
                if isinstance(status, Duplicate):
                    ended = errors.unfinished(*self._names, status)
                    return ended if isinstance(ended, Cancelled) else error
        return error

    # Inside.

    async def _journal_refused(self, answer: Stale | Gone) -> TurnwiseError:
        return self._lose(await self.why_lost(answer))

    async def check(self) -> None:
        """Return if the turn is still this worker's; raise what ended it if not.

        To be called before each thing that costs: no heartbeat runs while the event loop stalls.
        """
        self._check_loop()
        if self.lost is not None:
            raise self.lost
        if self.ended:
            raise UsageError(
                f"turn {self.turn_id!r} has ended; use the session, or begin another turn",
                session_id=self.session_id,
            )
        if self._lease.overdue:
            await self._lease.renew()
            if self.lost is not None:
                raise self.lost

    def fail(self, error: TurnError) -> None:
        """The turn cannot be committed any more: every method raises `error` from now on."""
        self._lose(error)

    async def _renew(self) -> bool:
        answer = await self._runtime.store.renew(self.session_id, self.turn_id, self._token)
        if isinstance(answer, Renewed):
            if answer.cancel_mode:
                self._stop(answer.cancel_mode, answer.cancel_reason)
            return not answer.cancel_mode
        self._lose(await self.why_lost(answer))
        return False

    def _lease_ended(self, error: Exception | None) -> None:
        """A heartbeat found the lease at its end: refused, or no longer answered (`error`)."""
        if error is not None:
            self._lose(errors.out_of_touch(self.session_id, self.turn_id)).__cause__ = error
        if not self.ended:
            self.on_lost()

    async def _commit(self, commit_id: str) -> None:
        await self._lease.stopped()
        codec, grant = self._runtime.codec, self._grant
        keep = self._kept if self._kept < grant.items else None
        if keep is not None:
            self._runtime.reader.cache.drop(self.session_id)
        try:
            packed = [codec.pack(text) for text in self._added]
            answer = await self._runtime.store.commit(
                self.session_id,
                self.turn_id,
                self._token,
                grant.tip,
                commit_id,
                packed,
                keep=keep,
                payload=self.payload,
            )
        except StoreUnavailable as error:
            unknown = errors.unknown_outcome(self.session_id, self.turn_id)
            self._emit(TurnLostEvent(*self._names, _name(unknown), self._seconds))
            raise unknown from error
        except StoreError as error:
            raise await self._undone(error) from None
        except Exception as error:
            await self.gone_wrong(error)
            raise
        if not isinstance(answer, Done):
            raise await self._refused(answer)
        if keep is None:
            self._remember(answer.tip)
        size = sum(map(len, packed))
        self._emit(TurnCommittedEvent(*self._names, len(packed), size, self._seconds))

    async def _refused(self, answer: Stale | Gone | Full) -> TurnwiseError:
        self._runtime.reader.cache.drop(self.session_id)
        if isinstance(answer, Full):
            return await self._undone(errors.session_too_large(self.session_id, answer.limit))
        error = await self.why_lost(answer)
        if isinstance(error, HistoryChanged):
            await self._abort()
        self._emit(TurnLostEvent(*self._names, _name(error), self._seconds))
        return error

    async def gone_wrong(self, error: Exception) -> None:
        """Its end failed by an error that nobody foresaw: it is released, if it is open still."""
        self._runtime.reader.cache.drop(self.session_id)
        await self._runtime.release(*self._names, self._token)
        self._emit(TurnLostEvent(*self._names, _name(error), self._seconds))

    async def _undone(self, error: TurnwiseError) -> TurnwiseError:
        """The store refused the commit: the session is given free."""
        await self._abort()
        self._emit(TurnRolledBackEvent(*self._names, _name(error), self._seconds))
        return error

    async def _abort(self) -> None:
        await self._lease.stopped()
        if isinstance(self.lost, LeaseLost | Cancelled | StoreUnavailable):
            return  # nothing is held any more
        await self._runtime.abort(self.session_id, self.turn_id, self._token)

    # Asked to stop.

    def _stop(self, manner: CancelMode, note: str) -> None:
        """From now on it can only end in this manner: soon by itself, else without its doing."""
        if self.lost is not None or self.ended:
            return
        self._manner = manner
        self._reason = stopped.reason_in(note)
        self.lost = errors.cancelled(*self._names, kept=manner == "keep", reason=self._reason)
        self._hold_no_more()
        loop = asyncio.get_running_loop()
        self._resisting = loop.call_later(_RESISTS, self._stop_resisting)

    def _stop_resisting(self) -> None:
        """What runs in it does not let itself be cancelled."""
        if not self.ended:
            self._end()
            self._stopping = asyncio.create_task(self._end_stopped(), name="turnwise-stopping")

    async def _end_stopped(self) -> None:
        """Commit what is to be kept of it, under a record that says what became of it."""
        await self._lease.stopped()
        work, running = self.replay, list[str]()
        if isinstance(work, stopped.Work):
            await work.quiet(_QUIET)
            running = work.running_tools()
        if isinstance(self.lost, Cancelled):
            self.lost.running_tools = tuple(running)
        self.payload = stopped.packed(running, self._reason)
        texts = self._texts_to_keep() if self._manner == "keep" else []
        try:
            async with asyncio.timeout(self._runtime.settings.lease):
                answer = await self._commit_stopped(texts)
                if isinstance(answer, Full):
                    _log.warning("%s is too large to keep what turn %r did", *self._names)
                    answer = await self._commit_stopped([])
        except Exception as error:
            _log.warning("turn %r not ended as cancelled: %s", self.turn_id, errors.shown(error))
            answer = Stale()
        if not isinstance(answer, Done):
            self._runtime.reader.cache.drop(self.session_id)
            self._emit(TurnLostEvent(*self._names, _name(self.lost), self._seconds))

    async def _commit_stopped(self, texts: list[bytes]) -> Done | Stale | Gone | Full:
        packed = list(map(self._runtime.codec.pack, texts))
        keeps = self._manner == "keep" and self._kept < self._grant.items
        answer = await self._runtime.store.commit(
            self.session_id,
            self.turn_id,
            self._token,
            self._grant.tip,
            mint(),
            packed,
            keep=self._kept if keeps else None,
            payload=self.payload,
            kind="cancelled",
        )
        if isinstance(answer, Done):
            self._added = texts
            if keeps:
                self._runtime.reader.cache.drop(self.session_id)
            else:
                self._remember(answer.tip)
            size = sum(map(len, packed))
            reason = self._reason or ""
            self._emit(TurnCancelledEvent(*self._names, len(packed), size, self._seconds, reason))
        return answer

    def _texts_to_keep(self) -> list[bytes]:
        try:
            items = stopped.kept(self.added(), self.replay)
            return self._runtime.writer.texts(self.session_id, items)
        except Exception:
            _log.exception("what turn %r had finished cannot be kept", self.turn_id)
            return []

    def _hold_no_more(self) -> None:
        self._lease.stop()
        self._summons.close()

    def _lose(self, error: Lost) -> Lost:
        if self.lost is None and not self.ended:
            self.lost = error
            self._hold_no_more()
            self._emit(TurnLostEvent(*self._names, _name(error), self._seconds))
        return error

    def _end(self) -> None:
        if self.ended:
            raise UsageError(f"turn {self.turn_id!r} has ended already", session_id=self.session_id)
        self._check_loop()
        self.ended = True
        if self._resisting is not None:
            self._resisting.cancel()
        self._hold_no_more()

    def _check_loop(self) -> None:
        """Its timers are of one event loop, and its lease stays with the process that has it."""
        check_loop(self._lease.loop, f"turn {self.turn_id!r}")

    @property
    def _names(self) -> tuple[str, str]:
        return self.session_id, self.turn_id

    @property
    def _seconds(self) -> float:
        return self._runtime.now() - self._begun

    def retold(self, step: Literal["response", "tool"], agent: str, tool: str = "") -> None:
        """A step was answered from the journal: the hooks are told."""
        self._emit(StepReplayedEvent(*self._names, step, agent, tool))

    def _emit(self, event: Any) -> None:
        self._runtime.emit(event)


def _nobody() -> None:
    """Nobody wants to know."""


def _name(reason: BaseException | None) -> str:
    return "" if reason is None else type(reason).__name__
