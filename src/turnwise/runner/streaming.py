"""A streamed run as one turn: begun by the run's first look at its session, ended when it is over.

The result stays the SDK's own object; it only learns to end its turn.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio import CancelledError
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from typing import Any, Literal, cast

from agents import RunResultStreaming, StreamEvent, TResponseInputItem

from turnwise.durable import install
from turnwise.durable.sdk import failure_of, reader_is_cancelled
from turnwise.errors import AlreadyCommitted, StreamIdle
from turnwise.results import RebuiltRun
from turnwise.runner.attempt import RunAttempt
from turnwise.session import Items, Session, TurnSession
from turnwise.turns import OnError, RollBack, Turn, end

STREAM_IDLE_TIMEOUT = 60.0
_log = logging.getLogger("turnwise")


def streamed(
    run: Callable[[OpeningSession], RunResultStreaming],
    session: Session,
    begin: Callable[[], Awaitable[Turn]],
    *,
    session_id: str,
    on_error: OnError,
    idle_timeout: float | None,
    run_attempt: RunAttempt,
    turn: Turn | None = None,
) -> RunResultStreaming:
    """Start the run, and see to its turn; `turn` is one that has begun already."""
    install()
    opening = OpeningSession(session, session_id, begin)
    if turn is not None:
        opening.adopt(turn)
    result = run(opening)
    # Its class changes, not the object: the SDK's run, which has started, fills this one.
    result.__class__ = TurnResultStreaming
    run_attempt.overhear(result)
    turned = cast(TurnResultStreaming, result)
    turned._turn_end = TurnEnd(turned, opening, on_error, idle_timeout, run_attempt)
    return turned


class OpeningSession:
    """The session of a streamed run: its turn begins when the run first asks for something.

    It hands out copies: the result shows its input, history included, while the run goes on.
    """

    def __init__(
        self, session: Session, session_id: str, begin: Callable[[], Awaitable[Turn]]
    ) -> None:
        self.session_id = session_id
        self.session_settings = session.session_settings
        self.turn: Turn | None = None
        self.runs = None
        self._on_lost: Callable[[], object] = lambda: None
        self._begin = begin
        self._opened: TurnSession | None = None
        self._lock = asyncio.Lock()

    @property
    def durable_turn(self) -> Turn | None:
        """What makes the run durable, once the turn has begun."""
        return self.turn

    def adopt(self, turn: Turn) -> None:
        """Go on with this turn instead of beginning one."""
        self.turn = turn

    def tell_when_lost(self, on_lost: Callable[[], object]) -> None:
        """Call this when the turn is lost, one that was adopted too: it may never be opened."""
        self._on_lost = on_lost
        if self.turn is not None:
            self.turn.interrupt_with(on_lost)

    async def open_turn(self) -> Turn:
        """A resumed run calls tools before it asks its session for anything."""
        return (await self._open()).turn

    async def get_items(self, limit: int | None = None) -> Items:
        return await (await self._open()).get_items(limit)

    async def add_items(self, items: Items) -> None:
        await (await self._open()).add_items(items)

    async def pop_item(self) -> TResponseInputItem | None:
        return await (await self._open()).pop_item()

    async def clear_session(self) -> None:
        await (await self._open()).clear_session()

    async def _open(self) -> TurnSession:
        async with self._lock:
            if self._opened is None:
                self.turn = self.turn or await self._begin()
                self.turn.interrupt_with(self._on_lost)
                self._opened = TurnSession(self.turn, self.session_settings, shared=False)
        return self._opened


class TurnEnd:
    """Ends the turn of a streamed run when the run is over."""

    def __init__(
        self,
        result: TurnResultStreaming,
        opening: OpeningSession,
        on_error: OnError,
        idle_timeout: float | None,
        run_attempt: RunAttempt,
    ) -> None:
        self._result = result
        self._opening = opening
        self._on_error = on_error
        self._idle_timeout = idle_timeout
        self._idle: StreamIdle | None = None
        self._answering = run_attempt
        self._told = False
        self.again: RebuiltRun | None = None
        self.cancelled = False
        self.given_up = False
        opening.tell_when_lost(result.cancel)
        self._task = asyncio.create_task(self._end(), name="turnwise-turn-end")
        self._task.add_done_callback(self._log)

    @property
    def run_is_over(self) -> bool:
        task = self._result.run_loop_task
        return task is None or task.done()

    async def wait(self) -> None:
        """Return when the turn is committed or rolled back; raise what kept it from being so."""
        self._told = True
        await asyncio.shield(self._task)

    def watch(self) -> asyncio.TimerHandle | None:
        """A reader has an event in hand: it is to take the next one in time."""
        if self._idle_timeout is None:
            return None
        return asyncio.get_running_loop().call_later(self._idle_timeout, self._reader_is_idle)

    def _reader_is_idle(self) -> None:
        if not self.run_is_over:
            self._idle = StreamIdle(
                f"its stream was held for {self._idle_timeout:g} s without reading, so the run was "
                "cancelled and rolled back. Read on, or set stream_idle_timeout",
                session_id=self._opening.session_id,
            )
            self._result.cancel()

    async def _end(self) -> None:
        try:
            await self._commit_or_roll_back()
        finally:
            # It has ended by now, unless something went wrong that nobody foresaw.
            if self._opening.turn is not None:
                await end(self._opening.turn, RollBack())

    async def _commit_or_roll_back(self) -> None:
        try:
            error = await self._failure()
        except CancelledError as closing:  # the event loop is closing
            given_up = self.given_up
            self._result.cancel()
            self.given_up, error = given_up, closing
        turn = self._opening.turn
        ours = self._idle or (turn.lost if turn else None)
        if turn is not None:
            failed = error or ours
            if failed is None:
                outcome = self._answering.outcome(turn, self._result)
            else:
                outcome = self._answering.failure(
                    turn, failed, self._on_error, given_up=self.given_up
                )
            async with self._answering.ending(failed):
                await end(turn, outcome)
        elif isinstance(error, AlreadyCommitted):
            self.again = await self._answering.again(error)
            self.again.fill(self._result)
        if ours is not None:
            raise ours

    async def _failure(self) -> BaseException | None:
        """What the run ended with, guardrails that were still at work included."""
        result = self._result
        while not self.run_is_over:
            await asyncio.wait({cast("asyncio.Task[Any]", result.run_loop_task)})
        run = result.run_loop_task
        if self.cancelled or (run is not None and run.cancelled()):
            return CancelledError()
        return await failure_of(result)

    def told_again(self) -> Iterator[StreamEvent]:
        """The events of a run that was committed before, if this is one; once."""
        again, self.again = self.again, None
        return iter(()) if again is None else again.events()

    def _log(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None and not self._told:
            _log.error("a streamed turn that nobody read was not committed: %s", error)


class TurnResultStreaming(RunResultStreaming):
    """The SDK's result of a streamed run that is a turn of a session."""

    _turn_end: TurnEnd

    async def stream_events(self) -> AsyncIterator[StreamEvent]:
        """The events of the run, as the SDK gives them; ends when the turn is committed."""
        events = cast("Any", super().stream_events())
        try:
            try:
                async with aclosing(events):
                    async for event in events:
                        timer = self._turn_end.watch()
                        try:
                            yield event
                        finally:
                            if timer is not None:
                                timer.cancel()
            except AlreadyCommitted:
                await self._turn_end.wait()
            for event in self._turn_end.told_again():
                yield event
        finally:
            await self._turn_end.wait()

    def cancel(self, mode: Literal["immediate", "after_turn"] = "immediate") -> None:
        """As the SDK's; "immediate" rolls the turn back, "after_turn" commits what is finished."""
        if mode == "immediate" and not self._turn_end.run_is_over:
            self._turn_end.cancelled = True
            self._turn_end.given_up = not reader_is_cancelled(self)
        super().cancel(mode)
