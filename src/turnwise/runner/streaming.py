"""A streamed run as one turn: it begins when the run first uses its session, and ends with the run.

The result stays the SDK's own object; its class is changed so that it ends its turn.
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
from turnwise.session import Session
from turnwise.turn_session import Items, TurnSession
from turnwise.turns import OnError, RollBack, Turn, end

STREAM_IDLE_TIMEOUT = 60.0
_log = logging.getLogger("turnwise")


def stream_turn(
    run: Callable[[LazyTurnSession], RunResultStreaming],
    begin: Callable[[], Awaitable[Turn]],
    attempt: RunAttempt,
    *,
    on_error: OnError,
    idle_timeout: float | None,
    turn: Turn | None = None,
) -> RunResultStreaming:
    """Start the run; end its turn when it ends. `turn` is a turn that has begun already."""
    install()
    held = LazyTurnSession(attempt.session, attempt.session_id, begin, turn)
    result = run(held)
    # Its class changes, not the object: the SDK's run, which has started, fills this one.
    result.__class__ = TurnResultStreaming
    attempt.publish_stream(result)
    streaming = cast(TurnResultStreaming, result)
    streaming._turn_end = TurnEnd(streaming, held, on_error, idle_timeout, attempt)
    return streaming


class LazyTurnSession:
    """The session of a streamed run: its turn begins when the run first uses it.

    It returns copies, since the result shows its input, history included, while the run continues.
    """

    def __init__(
        self,
        session: Session,
        session_id: str,
        begin: Callable[[], Awaitable[Turn]],
        turn: Turn | None,
    ) -> None:
        self.session_id = session_id
        self.session_settings = session.session_settings
        self.turn = turn
        self.runs = None
        self._on_lost: Callable[[], object] = lambda: None
        self._begin = begin
        self._opened: TurnSession | None = None
        self._lock = asyncio.Lock()

    @property
    def durable_turn(self) -> Turn | None:
        """What makes the run durable, once the turn has begun."""
        return self.turn

    def call_when_lost(self, on_lost: Callable[[], object]) -> None:
        """Call `on_lost` when the turn is lost, even if the run never uses the session."""
        self._on_lost = on_lost
        if self.turn is not None:
            self.turn.interrupt_with(on_lost)

    async def open_turn(self) -> Turn:
        """Begin the turn: a resumed run calls tools before it uses its session."""
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
                self._opened = TurnSession(self.turn, self.session_settings)
        return self._opened


class TurnEnd:
    """Ends the turn of a streamed run when the run is over."""

    def __init__(
        self,
        result: TurnResultStreaming,
        held: LazyTurnSession,
        on_error: OnError,
        idle_timeout: float | None,
        attempt: RunAttempt,
    ) -> None:
        self._result = result
        self._held = held
        self._on_error = on_error
        self._idle_timeout = idle_timeout
        self._idle: StreamIdle | None = None
        self._attempt = attempt
        self._awaited = False
        self._rebuilt: RebuiltRun | None = None
        self.cancelled = False
        self.given_up = False
        held.call_when_lost(result.cancel)
        self._task = asyncio.create_task(self._end(), name="turnwise-turn-end")
        self._task.add_done_callback(self._log)

    @property
    def run_is_over(self) -> bool:
        task = self._result.run_loop_task
        return task is None or task.done()

    async def wait(self) -> None:
        """Return when the turn is committed or rolled back; raise if that failed."""
        self._awaited = True
        await asyncio.shield(self._task)

    def watch(self) -> asyncio.TimerHandle | None:
        """Start the idle timer: the reader has taken an event and has to ask for the next one."""
        if self._idle_timeout is None:
            return None
        return asyncio.get_running_loop().call_later(self._idle_timeout, self._reader_is_idle)

    def _reader_is_idle(self) -> None:
        if not self.run_is_over:
            self._idle = StreamIdle(
                f"the reader of its stream took no event for {self._idle_timeout:g} s, so the run "
                "was cancelled and rolled back. Read faster, or raise stream_idle_timeout",
                session_id=self._held.session_id,
            )
            self._result.cancel()

    async def _end(self) -> None:
        try:
            await self._commit_or_roll_back()
        finally:
            # The turn has ended already, unless there is a fault in the code above.
            if self._held.turn is not None:
                await end(self._held.turn, RollBack())

    async def _commit_or_roll_back(self) -> None:
        try:
            error = await self._failure()
        except CancelledError as closing:  # the event loop is closing
            given_up = self.given_up
            self._result.cancel()
            self.given_up, error = given_up, closing
        turn = self._held.turn
        ours = self._idle or (turn.lost if turn else None)
        if turn is not None:
            failed = error or ours
            if failed is None:
                outcome = self._attempt.outcome(turn, self._result)
            else:
                outcome = self._attempt.failure(
                    turn, failed, self._on_error, given_up=self.given_up
                )
            async with self._attempt.ending(failed):
                await end(turn, outcome)
        elif isinstance(error, AlreadyCommitted):
            self._rebuilt = await self._attempt.rebuilt(error)
            self._rebuilt.fill(self._result)
        if ours is not None:
            raise ours

    async def _failure(self) -> BaseException | None:
        """The error that the run ended with, that of guardrails that still ran included."""
        result = self._result
        while not self.run_is_over:
            await asyncio.wait({cast("asyncio.Task[Any]", result.run_loop_task)})
        run = result.run_loop_task
        if self.cancelled or (run is not None and run.cancelled()):
            return CancelledError()
        return await failure_of(result)

    def rebuilt_events(self) -> Iterator[StreamEvent]:
        """The events of a turn that was committed before, once; none for any other turn."""
        rebuilt, self._rebuilt = self._rebuilt, None
        return iter(()) if rebuilt is None else rebuilt.events()

    def _log(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None and not self._awaited:
            _log.error(
                "a streamed turn of session %r, whose stream nobody reads, was not committed: %s",
                self._held.session_id,
                error,
            )


class TurnResultStreaming(RunResultStreaming):
    """The SDK's result of a streamed run that is a turn of a session."""

    _turn_end: TurnEnd

    async def stream_events(self) -> AsyncIterator[StreamEvent]:
        """The run's events, as in the SDK; ends when the turn is committed."""
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
            for event in self._turn_end.rebuilt_events():
                yield event
        finally:
            await self._turn_end.wait()

    def cancel(self, mode: Literal["immediate", "after_turn"] = "immediate") -> None:
        """As in the SDK. "immediate" rolls the turn back, "after_turn" commits finished steps."""
        if mode == "immediate" and not self._turn_end.run_is_over:
            self._turn_end.cancelled = True
            self._turn_end.given_up = not reader_is_cancelled(self)
        super().cancel(mode)
