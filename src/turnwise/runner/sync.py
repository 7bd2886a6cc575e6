"""Running to the end where there is no event loop."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Coroutine
from typing import Any, TypeVar

from turnwise.errors import UsageError

T = TypeVar("T")


def run_until_complete(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` on this thread's event loop, as the SDK's `run_sync` does.

    The same loop each time: the connections of a session belong to the loop that opened them.
    Raises UsageError where a loop runs already.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        loop = _loop_of_this_thread()
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


def _loop_of_this_thread() -> asyncio.AbstractEventLoop:
    with warnings.catch_warnings():
        # Deprecated, without another way to a loop that outlives one call.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            loop = asyncio.get_event_loop_policy().get_event_loop()
        except RuntimeError:
            loop = asyncio.new_event_loop()
        if loop.is_closed():
            loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
    return loop
