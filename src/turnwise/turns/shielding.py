"""Calls that a cancelled caller must not leave half done.

Ctrl-C comes as a cancellation (of the main task, by `asyncio.run`), as a KeyboardInterrupt at any
line of code, and pressed a second time as both: all tasks are cancelled, also those that end turns.
"""

from __future__ import annotations

import asyncio
from asyncio import CancelledError
from collections.abc import Callable, Coroutine
from contextlib import nullcontext, suppress
from typing import Any, TypeVar

import anyio

from turnwise.errors import TurnwiseError
from turnwise.process import EXITS

T = TypeVar("T")
_INTERRUPTIONS = CancelledError, *EXITS
_ATTEMPTS = 3


async def resend_if_cancelled(call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Await a call that is safe to send twice.

    If the caller is cancelled meanwhile, the call's outcome is unknown: it is sent again, shielded,
    before the cancellation is raised. (To shield it from the start would cost each call a task.)
    """
    try:
        return await call()
    except _INTERRUPTIONS:
        with suppress(TurnwiseError):
            await shielded(call)
        raise


async def shielded(call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Await a call that is safe to send twice to its end, though the caller is cancelled meanwhile.

    Then raise that cancellation.
    """
    interruption: BaseException | None = None
    for _ in range(_ATTEMPTS):
        task = asyncio.create_task(call())
        interruption = await until_done(task) or interruption
        if not _was_interrupted(task):  # else the event loop is closing
            break
    if interruption is not None:
        raise interruption
    return result_of(task)


async def until_done(
    task: asyncio.Task[Any], on_cancel: Callable[[], object] | None = None
) -> BaseException | None:
    """Wait until the task is done, though the caller is cancelled meanwhile.

    Args:
        task: The task, which is not cancelled.
        on_cancel: Called whenever the caller is cancelled.

    Returns:
        The cancellation, for the caller to raise.
    """
    interruption: BaseException | None = None
    while not task.done():
        # A cancelled scope of anyio cancels its tasks again and again, as fast as the event loop
        # turns, until they leave the scope or are shielded.
        shield = nullcontext() if interruption is None else anyio.CancelScope(shield=True)
        try:
            with shield:
                await asyncio.wait({task})
        except _INTERRUPTIONS as error:
            interruption = error
            if on_cancel is not None:
                on_cancel()
    return interruption


def result_of(task: asyncio.Task[T]) -> T:
    """What a task returned; raises what it raised, but CancelledError for one of EXITS.

    Those have left the event loop already. Raised again, they would leave it again, while
    `asyncio.run` waits for the last tasks, and those that end turns would never be done.
    """
    if _was_interrupted(task):
        raise CancelledError
    return task.result()


def is_cancelled(error: BaseException | None) -> bool:
    """Whether it is a cancellation that somebody asked for.

    Code may also raise CancelledError by itself. That is an error like others.
    """
    task = asyncio.current_task()
    return isinstance(error, CancelledError) and task is not None and task.cancelling() > 0


def _was_interrupted(task: asyncio.Task[Any]) -> bool:
    return task.cancelled() or isinstance(task.exception(), EXITS)
