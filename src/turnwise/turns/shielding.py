"""Calls that a cancelled caller must not leave half done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from turnwise.errors import TurnwiseError

T = TypeVar("T")


async def resend_if_cancelled(call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Await a call that is safe to send twice.

    If the caller is cancelled meanwhile, the call's outcome is unknown: it is sent again, shielded,
    before the cancellation is raised. (To shield it from the start would cost each call a task.)
    """
    try:
        return await call()
    except asyncio.CancelledError:
        with suppress(TurnwiseError):
            await shielded(call())
        raise


async def shielded(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end even if the caller is cancelled meanwhile; then raise that."""
    task = asyncio.create_task(work)
    cancellation: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancellation = error
    if cancellation is not None:
        task.cancelled() or task.exception()  # looked at, so that asyncio does not complain
        raise cancellation
    return task.result()
