"""A process that runs turns: its way to begin one, and to change a session between turns."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import partial
from typing import Any, TypeVar

from turnwise.cache import HistorySnapshot, Item
from turnwise.codec import DecodeError
from turnwise.errors import ApprovalPending, SessionBusy, StoreUnavailable
from turnwise.hooks import TurnBegunEvent, TurnRefusedEvent
from turnwise.turns import errors
from turnwise.turns.acquire import BusyPolicy, LeaseRequest
from turnwise.turns.block import block
from turnwise.turns.ids import check_session_id, check_turn_id, mint
from turnwise.turns.runtime import Runtime
from turnwise.turns.shielding import resend_if_cancelled, shielded
from turnwise.turns.turn import Turn
from turnwise.types import Absent, Done, Full, Grant, Stale

T = TypeVar("T")


class Runtime(Runtime):
    """This process, for one store."""

    # Turns.

    async def begin(
        self,
        session_id: str,
        turn_id: str | None = None,
        *,
        busy: BusyPolicy = "wait",
        timeout: float | None = 30.0,
        resume: bool = False,
    ) -> Turn:
        """Open a turn as soon as the session is free; `timeout` in seconds, None for ever.

        "enqueue" stands in line for ever. What is in line is this call: it ends with its process.

        `resume` takes up the turn of this id that waits for an approval, or raises NoPendingApproval.
        Raises SessionBusy, BusyTimeout, ApprovalPending, QueueFull; AlreadyCommitted,
        TurnAbandoned or TurnCancelled if the turn_id is finished; StoreError.
        """
        turn = await self._opened(session_id, turn_id, busy, timeout, resume=resume)
        assert turn is not None, "what is in its way was raised"
        return turn

    async def begin_if_free(self, session_id: str, turn_id: str | None) -> Turn | None:
        """The same at once, or None if a turn is open, waits for an approval, or anybody waits.

        A caller that goes another way then has not been refused: no hook is told.
        """
        return await self._opened(session_id, turn_id, "reject", 0.0, or_none=True)

    async def _opened(
        self,
        session_id: str,
        turn_id: str | None,
        busy: BusyPolicy,
        timeout: float | None,
        *,
        resume: bool = False,
        or_none: bool = False,
    ) -> Turn | None:
        check_session_id(session_id)
        one_shot = turn_id is None
        turn_id = mint() if turn_id is None else check_turn_id(session_id, turn_id)
        cached = self.reader.cache.get(session_id)
        beginning = LeaseRequest(self, session_id, turn_id, cached, one_shot=one_shot)
        beginning.resume = resume
        try:
            grant = await beginning.granted(busy, timeout)
            past = await self._past(session_id, beginning.token, grant, cached)
        except BaseException as error:
            beginning.cancel_listener.close()
            if or_none and isinstance(error, SessionBusy | ApprovalPending):
                return None
            reason = type(error).__name__
            self.emit(TurnRefusedEvent(session_id, turn_id, reason, beginning.waited))
            raise
        self.emit(TurnBegunEvent.of(session_id, grant, beginning.waited))
        return Turn(
            self,
            session_id,
            beginning.token,
            grant,
            past=past,
            start=beginning.sent,
            one_shot=one_shot,
            cancel_listener=beginning.cancel_listener,
        )

    async def _past(
        self, session_id: str, token: str, grant: Grant, cached: HistorySnapshot | None
    ) -> HistorySnapshot | None:
        """What the grant brought of the history, joined to what was cached of it."""
        if grant.history is None:
            return None
        try:
            return self.reader.absorb(session_id, grant.history, cached)
        except BaseException:
            await shielded(self.abort(session_id, grant.turn_id, token))
            raise

    # Changes between turns. Each is a small turn: in one call on a free session, else in line.

    async def add(self, session_id: str, items: Iterable[Mapping[str, Any]]) -> None:
        """Add items at the end. Raises InvalidItem and LimitError: then none is added.

        Like `pop` and `clear` it raises OutcomeUnknown if the store stops run_attempt.
        """
        check_session_id(session_id)
        items = list(items)
        texts = self.writer.texts(session_id, items)
        if not texts:
            return
        packed = [self.codec.pack(text) for text in texts]
        call = partial(self.store.append, session_id, mint(), packed)
        answer = await self._changed(session_id, call)
        if isinstance(answer, Full):
            raise errors.session_too_large(session_id, answer.limit)
        if not self._is_done(session_id, answer):
            async with block(await self.begin(session_id), "rollback") as turn:
                await turn.add(items)

    async def pop(self, session_id: str) -> Item | None:
        """Take away the last item, and return it; None if there is none."""
        check_session_id(session_id)
        while True:
            past = await self.reader.past(session_id, 1)
            if past is None or not len(past):
                return None
            try:
                last = past.copies(1)[0]
            except DecodeError as error:
                raise await self.reader.located(session_id, error) from None
            call = partial(self.store.pop, session_id, mint(), past.tip)
            answer = await self._changed(session_id, call)
            if isinstance(answer, Stale | Absent):
                continue
            if self._is_done(session_id, answer):
                return last
            async with block(await self.begin(session_id), "rollback") as turn:
                return await turn.pop()

    async def clear(self, session_id: str) -> None:
        """Take away all items."""
        check_session_id(session_id)
        answer = await self._changed(session_id, partial(self.store.clear, session_id, mint()))
        if not isinstance(answer, Absent) and not self._is_done(session_id, answer):
            async with block(await self.begin(session_id), "rollback") as turn:
                await turn.clear()

    async def _changed(self, session_id: str, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        try:
            return await resend_if_cancelled(call)
        except StoreUnavailable as error:
            raise errors.unknown_change(session_id) from error

    def _is_done(self, session_id: str, answer: object) -> bool:
        """Whether the change was made; False if the session is busy, or waits for an approval.

        A begin then tells which: it may have waited too long.
        """
        return isinstance(answer, Done)
