"""The events of a streamed run, read by a task that outlives whoever reads the stream."""

from __future__ import annotations

import asyncio
from asyncio import CancelledError, Future, Task
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from typing import Any

from agents import StreamEvent

from turnwise.durable.sdk import forget_redacted
from turnwise.errors import StreamIdle
from turnwise.turns import result_of


class EventRelay:
    """Hands a run's events to its readers: one at a time, when a reader asks for it.

    A reader goes away if it closes the stream before its end (a `break` does), if its task is
    cancelled or fails, or if it takes no event for `idle_timeout` seconds. The SDK would cancel the
    run with its reader. Here the relay's own task reads the run; without a reader it reads on, and
    drops what it reads.
    """

    def __init__(
        self,
        source: Callable[[], AsyncGenerator[StreamEvent]],
        gone: Callable[[], bool],
        idle: Callable[[], StreamIdle | None],
        idle_timeout: float | None,
    ) -> None:
        """Nothing is read before the first reader comes.

        Args:
            source: The run's events; they end when its turn has ended.
            gone: Called when the last reader has gone; returns whether the run ends because of it.
            idle: The error that an idle reader gets; None if the run does not wait for it.
            idle_timeout: Seconds; None for no limit.
        """
        self._source = source
        self._gone = gone
        self._idle = idle
        self._idle_timeout = idle_timeout
        self._readers: set[_Reader] = set()
        self._requests: deque[Future[StreamEvent | None]] = deque()
        self._news = asyncio.Event()
        self._task: Task[None] | None = None

    @property
    def has_reader(self) -> bool:
        return bool(self._readers)

    @property
    def is_reading(self) -> bool:
        """Whether the current task is the relay's own."""
        return self._task is not None and self._task is asyncio.current_task()

    async def events(self) -> AsyncGenerator[StreamEvent]:
        """The events that no reader has taken yet. Raises what the source raises, or StreamIdle."""
        task = self._started()
        reader = _Reader(self._leave)
        self._readers.add(reader)
        try:
            while (event := await self._next(reader, task)) is not None:
                yield event
        except (CancelledError, GeneratorExit) as leaving:
            run_ends = self._leave(reader)
            if run_ends or not _is_cancelled(leaving):
                await asyncio.wait({task})
            raise
        finally:
            reader.unfollow()
            self._readers.discard(reader)
        _result(task)

    def _started(self) -> Task[None]:
        if self._task is None:
            self._task = asyncio.create_task(self._read(), name="turnwise-stream")
            self._task.add_done_callback(_retrieve)
        return self._task

    async def _next(self, reader: _Reader, task: Task[None]) -> StreamEvent | None:
        if reader.error is not None:
            if reader.ended_run:
                await asyncio.wait({task})
            raise reader.error
        if task.done():
            return None
        reader.follow()
        request: Future[StreamEvent | None] = asyncio.get_running_loop().create_future()
        self._requests.append(request)
        self._news.set()
        return await request

    def _leave(self, reader: _Reader) -> bool:
        """The reader has gone. Returns whether the run ends because of it."""
        if reader not in self._readers:
            return False
        self._readers.remove(reader)
        self._news.set()
        return not self._readers and self._gone()

    # The relay's own task.

    async def _read(self) -> None:
        try:
            async with aclosing(self._source()) as events:
                await self._until_asked()
                async for event in events:
                    self._give(event)
                    await self._until_asked()
        finally:
            while self._requests:
                self._give(None)

    async def _until_asked(self) -> None:
        """Return when a reader asks for an event, or when there is none any more."""
        timer = None
        if self._idle_timeout is not None and not self._is_asked():
            loop = asyncio.get_running_loop()
            timer = loop.call_later(self._idle_timeout, self._let_idle_readers_go)
        try:
            while self._readers and not self._is_asked():
                self._news.clear()
                await self._news.wait()
        finally:
            if timer is not None:
                timer.cancel()

    def _is_asked(self) -> bool:
        while self._requests and self._requests[0].done():  # its reader was cancelled
            self._requests.popleft()
        return bool(self._requests)

    def _give(self, event: StreamEvent | None) -> None:
        if self._is_asked():
            self._requests.popleft().set_result(event)

    def _let_idle_readers_go(self) -> None:
        if (error := self._idle()) is not None:
            for reader in list(self._readers):
                reader.error, reader.ended_run = error, self._leave(reader)


class _Reader:
    """One iteration over the stream, and the task that asked last."""

    def __init__(self, leave: Callable[[_Reader], object]) -> None:
        self.error: StreamIdle | None = None
        self.ended_run = False
        self._leave = leave
        self._task: Task[Any] | None = None

    def follow(self) -> None:
        """If the current task fails, the reader has gone, though its iterator may still exist."""
        task = asyncio.current_task()
        if task is not self._task and task is not None:
            self.unfollow()
            self._task = task
            task.add_done_callback(self._task_done)

    def unfollow(self) -> None:
        if self._task is not None:
            self._task.remove_done_callback(self._task_done)

    def _task_done(self, task: Task[Any]) -> None:
        if task.cancelled() or task.exception() is not None:
            self._leave(self)


def _is_cancelled(leaving: BaseException) -> bool:
    """Whether the reader leaves because its task is cancelled: nothing may hold it up."""
    task = asyncio.current_task()
    return isinstance(leaving, CancelledError) or (task is not None and task.cancelling() > 0)


def _result(task: Task[None]) -> None:
    try:
        result_of(task)
    except BaseException as error:
        forget_redacted(error)  # what the reader is handling became its context
        raise


def _retrieve(task: Task[None]) -> None:
    """Look at its error, so that asyncio does not complain if nobody reads to the end."""
    with suppress(CancelledError):
        task.exception()
