"""One turn that this worker holds: what it reads, what it adds, and how it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Literal

from turnwise.cache import Item, Past
from turnwise.codec import DecodeError
from turnwise.errors import (
    HistoryChanged,
    LeaseLost,
    StoreError,
    StoreUnavailable,
    TurnError,
    TurnwiseError,
    UsageError,
)
from turnwise.hooks import TurnCommitted, TurnLost, TurnReplayed, TurnRolledBack
from turnwise.turns import refusals
from turnwise.turns.equipment import Equipment
from turnwise.turns.ids import mint
from turnwise.turns.journal import Journal
from turnwise.turns.lease import Lease
from turnwise.turns.parking import Parking
from turnwise.turns.shield import settled, to_the_end
from turnwise.types import Base, Done, Full, Gone, Grant, Renewed, Stale

Lost = TurnError | StoreUnavailable
Mark = tuple[int, list[bytes], int]


class Turn:
    """The history as this turn sees it: what was there at its begin, and what it added since.

    Nothing is written before `commit`. `lost` is the error that ended the turn from outside, if
    one did: every method raises it from then on, and if nobody called one when it happened,
    `on_lost` is called.
    """

    def __init__(
        self,
        worker: Equipment,
        session_id: str,
        token: str,
        grant: Grant,
        *,
        past: Past | None,
        start: float,
        minted: bool,
    ) -> None:
        self.session_id = session_id
        self.turn_id = grant.turn_id
        self.attempt = grant.attempt
        self.lost: Lost | None = None
        self.on_lost: Callable[[], object] = _nobody
        self.ended = False
        self.replay: object | None = None
        self.payload = b""
        self.parking: Parking | None = None
        self.still_pending: int | None = None
        self.repeatable_tools = worker.settings.repeatable_tools
        self._worker = worker
        self._token = token
        self._grant = grant
        self._past = past
        self.is_minted = minted
        self._kept = grant.items
        self._added: list[bytes] = []
        self._added_bytes = 0
        self._begun = worker.now()
        self._lease = Lease(worker.settings.lease, start, self._renew, self._lease_ended)
        send = partial(worker.store.journal, session_id, self.turn_id, token)
        self.journal = Journal(worker.codec, grant.journal, send, self._journal_refused)
        if grant.cancelled:
            self._lose(refusals.cancelled(session_id, self.turn_id))

    # Reading and changing, in this turn only.

    async def items(self, last: int | None = None, *, shared: bool = False) -> list[Item]:
        """All items, or the last ones, as they are (halves of pairs too).

        They are the caller's own, or with `shared` those of the cache: to be read only.
        """
        await self._check()
        while not self._knows(before := self._wanted(last)):
            await self._load(before)
        # No await from here on: these are the items of one moment, and `pop` takes what it got.
        added = self._added if last is None else self._added[max(0, len(self._added) - last) :]
        try:
            return self._before(before, shared) + self._worker.codec.decode_many(added)
        except DecodeError as error:
            raise await self._worker.reader.located(self.session_id, error) from None

    async def add(self, items: Iterable[Mapping[str, Any]]) -> None:
        """Add items at the end. Raises InvalidItem, ItemTooLarge, TurnTooLarge: none is added."""
        await self._check()
        texts = self._worker.writer.texts(self.session_id, items, self._added_bytes)
        self._added += texts
        self._added_bytes += sum(map(len, texts))

    async def pop(self) -> Item | None:
        """Take away the last item, and return it; None if there is none."""
        last = await self.items(1)
        if self._added:
            self._added_bytes -= len(self._added.pop())
        elif last:
            self._kept -= 1
        return last[0] if last else None

    async def clear(self) -> None:
        """Take away all items."""
        await self._check()
        self._kept, self._added, self._added_bytes = 0, [], 0

    def added(self) -> list[Item]:
        """The items that this turn has added so far; the caller's own."""
        return self._worker.codec.decode_many(self._added)

    def mark(self) -> Mark:
        """What this turn holds now, for `rewind`."""
        return self._kept, list(self._added), self._added_bytes

    def rewind(self, mark: Mark) -> None:
        """Hold again what the turn held then."""
        self._kept, added, self._added_bytes = mark
        self._added = list(added)

    # How it ends.

    async def commit(self) -> None:
        """Make it part of the history, also if the caller is cancelled meanwhile.

        `payload` is kept beside the items.

        A turn with an id of our own that changed nothing leaves no trace. Raises LeaseLost,
        HistoryChanged, SessionGone, SessionTooLarge, OutcomeUnknown; the turn has ended then too.
        """
        if self.lost is not None:
            await self.roll_back(self.lost)
            raise self.lost
        if self.is_minted and not self._added and self._kept == self._grant.items:
            await self.roll_back(None)
            return
        self._end()
        await settled(partial(self._commit, mint()))

    async def roll_back(self, reason: BaseException | None) -> None:
        """Give the session free with its history as it was. Never raises for the store."""
        if self.ended:
            return
        self._end()
        try:
            await to_the_end(self._abort())
        finally:
            if self.lost is None:
                self._tell(TurnRolledBack(*self._names, _name(reason), self._seconds))

    # What parking a turn takes.

    @property
    def equipment(self) -> Equipment:
        return self._worker

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

    def not_ours(self, answer: Stale | Gone) -> TurnError:
        """What an answer says that the turn is not this worker's any more."""
        return self._not_ours(answer)

    # Inside.

    def _wanted(self, last: int | None) -> int:
        """How many of the turn's `last` items are from the history before it."""
        return self._kept if last is None else min(max(0, last - len(self._added)), self._kept)

    def _knows(self, before: int) -> bool:
        """Whether that many of the kept items are here, behind which some may have been dropped."""
        past = self._past
        return before == 0 or (
            past is not None and (past.complete or len(past) >= before + self._dropped)
        )

    async def _load(self, before: int) -> None:
        """Read the history at the turn's begin, that far back at least."""
        wanted = before + self._dropped
        past = await self._worker.reader.past(
            self.session_id, None if wanted == self._grant.items else wanted
        )
        if past is None:
            raise self._lose(refusals.gone(self.session_id, self.turn_id))
        if past.tip != self._grant.tip:
            stale = Stale(past.incarnation, moved=past.incarnation == self._grant.incarnation)
            raise self._lose(self._not_ours(stale))
        self._past = past

    def _before(self, last: int, shared: bool) -> list[Item]:
        """The last items of the history before this turn, as far as this turn kept them."""
        past = self._past
        if last == 0 or past is None:
            return []
        if shared and past.complete:
            return past.items()[self._kept - last : self._kept]
        return past.copies(last + self._dropped)[:last]

    @property
    def _dropped(self) -> int:
        return self._grant.items - self._kept

    def _journal_refused(self, answer: Stale | Gone) -> TurnwiseError:
        return self._lose(self._not_ours(answer))

    async def check(self) -> None:
        """Return if the turn is still this worker's; raise what ended it if not.

        To be called before each thing that costs: no heartbeat runs while the event loop stalls.
        """
        await self._check()

    def fail(self, error: TurnError) -> None:
        """The turn cannot be committed any more: every method raises `error` from now on."""
        self._lose(error)

    async def _check(self) -> None:
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

    async def _renew(self) -> bool:
        answer = await self._worker.store.renew(self.session_id, self.turn_id, self._token)
        if isinstance(answer, Renewed):
            if answer.cancelled:
                self._lose(refusals.cancelled(self.session_id, self.turn_id))
            return not answer.cancelled
        self._lose(self._not_ours(answer))
        return False

    def _lease_ended(self, error: Exception | None) -> None:
        """A heartbeat found the lease at its end: refused, or no longer answered (`error`)."""
        if error is not None:
            self._lose(refusals.out_of_touch(self.session_id, self.turn_id)).__cause__ = error
        if not self.ended:
            self.on_lost()

    async def _commit(self, commit_id: str) -> None:
        await self._lease.stopped()
        codec, grant = self._worker.codec, self._grant
        packed = [codec.pack(text) for text in self._added]
        keep = self._kept if self._kept < grant.items else None
        if keep is not None:
            self._worker.reader.cache.drop(self.session_id)
        try:
            answer = await self._worker.store.commit(
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
            unknown = refusals.unknown_outcome(self.session_id, self.turn_id)
            self._tell(TurnLost(*self._names, _name(unknown), self._seconds))
            raise unknown from error
        except StoreError as error:
            raise await self._undone(error) from None
        if not isinstance(answer, Done):
            raise await self._refused(answer)
        if keep is None:
            self._remember(answer.tip)
        size = sum(map(len, packed))
        self._tell(TurnCommitted(*self._names, len(packed), size, self._seconds))

    def _remember(self, tip: Base) -> None:
        past = self._past
        if past is None and self._grant.items == 0:
            past = Past(self._worker.codec, self._grant.incarnation, self._grant.tip, [])
        if past is not None:
            self._worker.reader.cache.put(self.session_id, past.extended(tip, self._added))

    async def _refused(self, answer: Stale | Gone | Full) -> TurnwiseError:
        self._worker.reader.cache.drop(self.session_id)
        if isinstance(answer, Full):
            return await self._undone(refusals.session_too_large(self.session_id, answer.limit))
        error = self._not_ours(answer)
        if isinstance(error, HistoryChanged):
            await self._abort()
        self._tell(TurnLost(*self._names, _name(error), self._seconds))
        return error

    async def _undone(self, error: TurnwiseError) -> TurnwiseError:
        """The store refused the commit: the session is given free."""
        await self._abort()
        self._tell(TurnRolledBack(*self._names, _name(error), self._seconds))
        return error

    def _not_ours(self, answer: Stale | Gone) -> TurnError:
        if isinstance(answer, Gone):
            return refusals.gone(self.session_id, self.turn_id)
        return refusals.not_ours(self.session_id, self.turn_id, self._grant.incarnation, answer)

    async def _abort(self) -> None:
        await self._lease.stopped()
        if isinstance(self.lost, LeaseLost | StoreUnavailable):  # nothing is held any more
            return
        await self._worker.give_up(self.session_id, self.turn_id, self._token)

    def _lose(self, error: Lost) -> Lost:
        if self.lost is None and not self.ended:
            self.lost = error
            self._lease.stop()
            self._tell(TurnLost(*self._names, _name(error), self._seconds))
        return error

    def _end(self) -> None:
        if self.ended:
            raise UsageError(f"turn {self.turn_id!r} has ended already", session_id=self.session_id)
        self.ended = True
        self._lease.stop()

    @property
    def _names(self) -> tuple[str, str]:
        return self.session_id, self.turn_id

    @property
    def _seconds(self) -> float:
        return self._worker.now() - self._begun

    def retold(self, step: Literal["response", "tool"], agent: str, tool: str = "") -> None:
        """A step was answered from the journal: the hooks are told."""
        self._tell(TurnReplayed(*self._names, step, agent, tool))

    def _tell(self, event: Any) -> None:
        self._worker.tell(event)


def _nobody() -> None:
    """Nobody wants to know."""


def _name(reason: BaseException | None) -> str:
    return "" if reason is None else type(reason).__name__
