"""Running to the end where there is no event loop."""

from __future__ import annotations

import asyncio
import os
import warnings
from collections import deque
from collections.abc import Coroutine
from threading import local
from typing import Any, TypeVar

from turnwise.errors import UsageError
from turnwise.process import Loop, PerProcess, put_aside

T = TypeVar("T")


def run_until_complete(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` on this thread's event loop, as the SDK's `run_sync` does.

    The same loop each time: the connections of a session belong to the loop that opened them.
    Raises UsageError where a loop runs already.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        loop = _loops.get().of_this_thread()
    else:
        work.close()
        raise UsageError(
            "run_sync or resume_sync was called where an event loop runs: use `await Runner.run` "
            "or `await Runner.resume`"
        )
    task = loop.create_task(work)
    try:
        return loop.run_until_complete(task)
    except BaseException:
        if not task.done():  # interrupted by the keyboard: let the turn be rolled back
            task.cancel()
            loop.run_until_complete(asyncio.wait({task}))
        raise


class _Loops:
    """The event loops of the threads of this process.

    A loop made here goes, with the connections that it has opened, to another thread when its own
    has ended: a server with a thread for each request has no more loops than requests at a time.
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
            self._threads.current = loop  # which a fork is to find here: see `put_aside`
        return loop

    def _own(self) -> Loop:
        """Made here, for this thread: whoever ran another loop in it may have unset this one."""
        held: _Held | None = getattr(self._threads, "held", None)
        if held is None or held.loop.is_closed():
            held = self._threads.held = _Held(self._take(), self._free)
        return held.loop

    def _take(self) -> Loop:
        while self._free:
            try:
                loop = self._free.popleft()
            except IndexError:  # another thread was quicker
                break
            if not loop.is_closed():
                return loop
        return asyncio.new_event_loop()


class _Held:
    """A thread's hold on a loop, which ends with the thread."""

    def __init__(self, loop: Loop, free: deque[Loop]) -> None:
        self.loop = loop
        self._free = free

    def __del__(self) -> None:
        self._free.append(self.loop)


_loops = PerProcess(_Loops)
_inherited: list[Loop] = []
"""In a forked child, the loop that its parent's thread had: it is still its parent's."""


def _current() -> Loop | None:
    """The loop that was set for this thread, if it can run."""
    with warnings.catch_warnings():
        # Deprecated, without another way to a loop that outlives one call.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            loop = asyncio.get_event_loop_policy().get_event_loop()
        except RuntimeError:
            return None
    return None if loop.is_closed() or loop in _inherited else loop


def _note_inherited() -> None:
    """From Python 3.12 on asyncio itself forgets it in a child."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        policy = asyncio.get_event_loop_policy()
    loop = getattr(getattr(policy, "_local", None), "_loop", None)
    if loop is not None:
        put_aside(loop)
        _inherited.append(loop)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_inherited)
