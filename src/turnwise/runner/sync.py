"""Runs to the end, for code without an event loop."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
import warnings
from collections import deque
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from threading import local
from types import FrameType
from typing import Any, TypeVar

from turnwise.durable.sdk import forget_redacted
from turnwise.errors import UsageError
from turnwise.process import Loop, PerProcess, keep_forever

T = TypeVar("T")
_END_TIMEOUT = 10.0
"""Seconds that an interrupted turn has to end: more than the store's patience, on any store."""


def run_until_complete(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` on this thread's event loop, as the SDK's `run_sync` does.

    It is the same loop each time: a session's connections belong to the loop that opened them.
    Raises UsageError if a loop runs already.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        loop = _loops.get().of_this_thread()
    else:
        work.close()
        raise UsageError(
            "run_sync and resume_sync cannot be called while an event loop runs. Use "
            "`await Runner.run` or `await Runner.resume`"
        )
    process = os.getpid()
    try:
        return loop.run_until_complete(loop.create_task(work))
    except BaseException as error:
        # KeyboardInterrupt: roll the turn back. Not in a child that a tool forked and that ends by
        # sys.exit: the turn is its parent's, and so is the loop.
        if os.getpid() == process:
            with _deaf_to_interrupts(_END_TIMEOUT):
                _end(work, loop)
        forget_redacted(error)  # what the caller is handling became its context
        raise


def _end(work: Coroutine[Any, Any, Any], loop: Loop) -> None:
    """Cancel its task, or else the next call would carry it on: they share the loop."""
    tasks = [task for task in asyncio.all_tasks(loop) if task.get_coro() is work]
    if tasks:
        tasks[0].cancel()
        loop.run_until_complete(asyncio.wait(tasks))
    else:
        work.close()


@contextmanager
def _deaf_to_interrupts(seconds: float) -> Iterator[None]:
    """Ignore a second Ctrl-C for so long: the turn is being rolled back already."""
    handler = signal.getsignal(signal.SIGINT)
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or handler is not signal.default_int_handler:
        yield
        return
    deadline = time.monotonic() + seconds

    def interrupted(number: int, frame: FrameType | None) -> None:
        if time.monotonic() > deadline:
            signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


class _LoopPool:
    """The event loops of this process's threads.

    When a thread ends, its loop and that loop's connections pass to another thread. So a server
    with a thread for each request has no more loops than requests at the same time.
    """

    def __init__(self) -> None:
        self._threads = local()
        self._free: deque[Loop] = deque()

    def of_this_thread(self) -> Loop:
        loop = _current()
        if loop is None:
            loop = self._own()
            asyncio.set_event_loop(loop)
        else:
            self._threads.current = loop  # a forked child keeps it by this: see `keep_forever`
        return loop

    def _own(self) -> Loop:
        """The loop made here for this thread, which other code may have unset."""
        checkout: _Checkout | None = getattr(self._threads, "checkout", None)
        if checkout is None or checkout.loop.is_closed():
            checkout = self._threads.checkout = _Checkout(self._take(), self._free)
        return checkout.loop

    def _take(self) -> Loop:
        while self._free:
            try:
                loop = self._free.popleft()
            except IndexError:  # another thread has taken the last one
                break
            if not loop.is_closed():
                return loop
        return asyncio.new_event_loop()


class _Checkout:
    """A loop checked out by a thread; it returns to the pool when the thread ends."""

    def __init__(self, loop: Loop, free: deque[Loop]) -> None:
        self.loop = loop
        self._free = free

    def __del__(self) -> None:
        self._free.append(self.loop)


_loops = PerProcess(_LoopPool)
_inherited: list[Loop] = []
"""In a forked child: the loop of the parent's thread, which still belongs to the parent."""


def _current() -> Loop | None:
    """The loop that is set for this thread, if it can run."""
    with warnings.catch_warnings():
        # Deprecated, but nothing else gives a loop that outlives one call.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            loop = asyncio.get_event_loop_policy().get_event_loop()
        except RuntimeError:
            return None
    return None if loop.is_closed() or loop in _inherited else loop


def _remember_inherited() -> None:
    """Remember the parent's loop. (From Python 3.12 on, asyncio itself unsets it in a child.)"""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        policy = asyncio.get_event_loop_policy()
    loop = getattr(getattr(policy, "_local", None), "_loop", None)
    if loop is not None:
        keep_forever(loop)
        _inherited.append(loop)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_remember_inherited)
