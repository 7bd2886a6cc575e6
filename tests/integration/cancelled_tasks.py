"""Work whose task is cancelled at one of its awaits."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Literal

Blow = Literal["early", "late", "twice"]


class Cancelled(Coroutine[Any, Any, Any]):
    """A coroutine that cancels its own task at its n-th await.

    *early* before what is awaited has come, *late* when it has come but the task does not know it
    yet, *twice* again at the very next await.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Any], at: int, blow: Blow) -> None:
        self._coroutine = coroutine
        self._blows = {at, at + 1} if blow == "twice" else {at}
        self._late = blow == "late"
        self.awaits = 0
        self.task: asyncio.Task[Any] | None = None

    @property
    def struck(self) -> bool:
        return self.awaits >= min(self._blows)

    def send(self, value: Any) -> Any:
        return self._seen(self._coroutine.send(value))

    def throw(
        self,
        kind: type[BaseException] | BaseException,
        value: BaseException | object = None,
        traceback: TracebackType | None = None,
    ) -> Any:
        error = kind if isinstance(kind, BaseException) else kind()
        return self._seen(self._coroutine.throw(error))

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Any:
        return self._coroutine.__await__()

    def _seen(self, awaited: Any) -> Any:
        self.awaits += 1
        if self.awaits in self._blows:
            assert self.task is not None
            if not self._late:
                self.task.cancel()
            elif awaited is None:
                asyncio.get_running_loop().call_soon(self.task.cancel)
            else:
                cancel = self.task.cancel
                awaited.add_done_callback(lambda _: cancel())
        return awaited


async def struck(work: Coroutine[Any, Any, Any], at: int, blow: Blow) -> bool:
    """Whether the cancellation came before the work was done."""
    cancelled = Cancelled(work, at, blow)
    cancelled.task = asyncio.get_running_loop().create_task(cancelled)
    with suppress(asyncio.CancelledError):
        await cancelled.task
    return cancelled.struck
