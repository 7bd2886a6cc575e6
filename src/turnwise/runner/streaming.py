"""A streamed run as one turn: it begins when the run first uses its session, and ends with the run.

The result stays the SDK's own object; its class is changed so that it ends its turn.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio import CancelledError
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from agents import RunResultStreaming, StreamEvent, TResponseInputItem

from turnwise.durable import install
from turnwise.durable.sdk import StreamToTheEnd, failure_of
from turnwise.errors import AlreadyCommitted, StreamIdle, UsageError
from turnwise.process import EXITS
from turnwise.results import Rebuildable, RebuiltRun
from turnwise.runner.attempt import RunAttempt
from turnwise.runner.event_relay import EventRelay
from turnwise.session import Session
from turnwise.turn_session import Items, TurnSession
from turnwise.turns import (
    OnError,
    Outcome,
    RollBack,
    Turn,
    check_number,
    end,
    end_interrupted,
    result_of,
)
from turnwise.turns.errors import shown

STREAM_IDLE_TIMEOUT = 60.0
OnDisconnect = Literal["finish", "rollback"]
"""What becomes of a turn whose reader goes away: it runs on and is committed, or is rolled back."""
_log = logging.getLogger("turnwise")


def stream_turn(
    run: Callable[[LazyTurnSession], RunResultStreaming],
    begin: Callable[[], Awaitable[Turn]],
    attempt: RunAttempt,
    *,
    on_error: OnError,
    reading: Reading,
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
    streaming._turn_end = TurnEnd(streaming, held, on_error, reading, attempt)
    return streaming


@dataclass(frozen=True)
class Reading:
    """What a streamed turn expects of its reader.

    Attributes:
        on_disconnect: What becomes of the turn if the reader goes away.
        idle_timeout: Seconds between two events after which it has; None for no limit.
    """

    on_disconnect: OnDisconnect
    idle_timeout: float | None

    def __post_init__(self) -> None:
        if self.on_disconnect not in get_args(OnDisconnect):
            known = ", ".join(map(repr, get_args(OnDisconnect)))
            raise UsageError(f"on_disconnect={self.on_disconnect!r} is not one of {known}")
        if self.idle_timeout is not None:
            check_number("stream_idle_timeout", self.idle_timeout)


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
        reading: Reading,
        attempt: RunAttempt,
    ) -> None:
        self._result = result
        self._held = held
        self._on_error = on_error
        self._reading = reading
        self._idle: StreamIdle | None = None
        self._attempt = attempt
        self._rebuilt: RebuiltRun | None = None
        self._run_error: BaseException | None = None
        self._cancelled = False
        self._given_up = False
        self.relay = EventRelay(
            self._events, self._reader_gone, self._idle_error, reading.idle_timeout
        )
        held.call_when_lost(result.cancel)
        self._task = asyncio.create_task(self._end(), name="turnwise-turn-end")
        self._task.add_done_callback(self._log)
        attempt.session.runtime.keep(self._task)

    @property
    def run_is_over(self) -> bool:
        task = self._result.run_loop_task
        return task is None or task.done()

    def cancel(self) -> None:
        """The run is cancelled now: by the caller, or by the SDK in the relay's task."""
        if not self.run_is_over:
            self._cancelled = True
            self._given_up = self._given_up or not self.relay.is_reading

    # Its reader.

    async def _events(self) -> AsyncGenerator[StreamEvent]:
        """The run's events, as in the SDK; they end when the turn has ended."""
        try:
            try:
                async with aclosing(cast("Any", self._result.events_of_run())) as events:
                    async for event in events:
                        yield event
            except AlreadyCommitted:
                await self._wait()
            for event in self._rebuilt_events():
                yield event
        finally:
            await self._wait()

    async def _wait(self) -> None:
        """Return when the turn is committed or rolled back; raise if that failed."""
        await asyncio.wait({self._task})
        result_of(self._task)

    def _rebuilt_events(self) -> Iterator[StreamEvent]:
        """The events of a turn that was committed before, once; none for any other turn."""
        rebuilt, self._rebuilt = self._rebuilt, None
        return iter(()) if rebuilt is None else rebuilt.events()

    def _reader_gone(self) -> bool:
        """Cancel the run if it does not go on without a reader; whether it does not."""
        if self.run_is_over or self._reading.on_disconnect == "finish":
            return False
        self._cancelled = True
        self._result.cancel_run()
        return True

    def _idle_error(self) -> StreamIdle | None:
        if self.run_is_over:
            return None
        finishes = self._reading.on_disconnect == "finish"
        error = StreamIdle(
            f"the reader of its stream took no event for {self._reading.idle_timeout:g} s, so "
            + ("the run went on without it" if finishes else "it was cancelled and rolled back")
            + ". Read faster, or raise stream_idle_timeout",
            session_id=self._held.session_id,
        )
        if not finishes:
            self._idle = error
        return error

    # Its end.

    async def _end(self) -> None:
        try:
            await self._commit_or_roll_back()
        except EXITS as struck:
            if (turn := self._held.turn) is not None:
                await end_interrupted(turn, self._failure_outcome(turn, struck))
            raise
        finally:
            # The turn has ended already, unless there is a fault in the code above.
            if self._held.turn is not None:
                await end(self._held.turn, RollBack())

    async def _commit_or_roll_back(self) -> None:
        try:
            error = await self._failure()
        except CancelledError as closing:  # the event loop or the session is closing
            self._cancelled = True
            self._result.cancel_run()
            if self._held.turn is None and not self.run_is_over:  # it leaves the queue
                await asyncio.wait({cast("asyncio.Task[Any]", self._result.run_loop_task)})
            error = closing
        turn = self._held.turn
        ours = self._idle or (turn.lost if turn else None)
        if turn is not None:
            failed = self._run_error = error or ours
            if failed is None:
                outcome = self._attempt.outcome(turn, self._result)
            else:
                outcome = self._failure_outcome(turn, failed)
            async with self._attempt.ending(failed):
                await end(turn, outcome)
        elif isinstance(error, AlreadyCommitted):
            self._rebuilt = await self._attempt.rebuilt(error)
            self._rebuilt.fill(self._result)
        else:
            self._run_error = error
        if ours is not None:
            raise ours

    def _failure_outcome(self, turn: Turn, error: BaseException) -> Outcome:
        return self._attempt.failure(turn, error, self._on_error, given_up=self._given_up)

    async def _failure(self) -> BaseException | None:
        """The error that the run ended with, that of guardrails that still ran included."""
        result = self._result
        while not self.run_is_over:
            await asyncio.wait({cast("asyncio.Task[Any]", result.run_loop_task)})
        run = result.run_loop_task
        if self._cancelled or (run is not None and run.cancelled()):
            return CancelledError()
        return await failure_of(result)

    def _log(self, task: asyncio.Task[None]) -> None:
        """Log the error that no reader is there to get."""
        error = None if task.cancelled() else task.exception() or self._run_error
        if error is None or isinstance(error, CancelledError) or self.relay.has_reader:
            return
        _log.error(
            "a streamed turn of session %r failed, and nobody reads its stream: %s",
            self._held.session_id,
            shown(error),
        )


class TurnResultStreaming(Rebuildable, StreamToTheEnd):
    """The SDK's result of a streamed run that is a turn of a session."""

    _turn_end: TurnEnd

    def stream_events(self) -> AsyncIterator[StreamEvent]:
        """The run's events, as in the SDK; ends when the turn is committed."""
        return self._turn_end.relay.events()

    def cancel(self, mode: Literal["immediate", "after_turn"] = "immediate") -> None:
        """As in the SDK. "immediate" rolls the turn back, "after_turn" commits finished steps."""
        if mode == "immediate":
            self._turn_end.cancel()
        super().cancel(mode)

    def cancel_run(self) -> None:
        """Cancel the run, though nobody called `cancel`."""
        super().cancel()

    def events_of_run(self) -> AsyncIterator[StreamEvent]:
        """The SDK's own stream, which cancels the run with its reader."""
        return super().stream_events()
