"""Callbacks of this process by the token that calls them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, suppress

from turnwise.process import LOCK, ProcessBound, keep_forever

Callback = Callable[[], None]


class Listeners(ProcessBound):
    """Callbacks by token. Each is called in the event loop in which it was added."""

    def __init__(self) -> None:
        super().__init__()
        self._by_token: dict[str, list[_Listener]] = {}

    def __bool__(self) -> bool:
        return bool(self._by_token)

    def __contains__(self, token: str) -> bool:
        return token in self._by_token

    def listening(self, token: str, callback: Callback) -> AbstractContextManager[None]:
        """Call `callback` when the token is woken, as long as the block lasts."""
        return _Listener(self, token, callback)

    def add(self, token: str, listener: _Listener) -> None:
        with LOCK:
            self._by_token.setdefault(token, []).append(listener)

    def remove(self, token: str, listener: _Listener) -> None:
        with LOCK:
            known = self._by_token.get(token, [])
            if listener in known:  # a forked child has none of its parent's
                known.remove(listener)
            if not known:
                self._by_token.pop(token, None)

    def reset_in_child(self) -> None:
        keep_forever(self._by_token)
        self._by_token = {}

    def wake(self, token: str) -> None:
        """Call the token's callbacks soon. Safe from any thread."""
        for listener in tuple(self._by_token.get(token, ())):
            listener.call_soon()

    def wake_all(self) -> None:
        for token in tuple(self._by_token):
            self.wake(token)


class _Listener:
    """A block that listens: no generator, since each turn has one."""

    def __init__(self, listeners: Listeners, token: str, callback: Callback) -> None:
        self._listeners = listeners
        self._token = token
        self._callback = callback
        self._loop = asyncio.get_running_loop()
        self._removed = False

    def __enter__(self) -> None:
        self._listeners.add(self._token, self)

    def __exit__(self, *_: object) -> None:
        self._removed = True
        self._listeners.remove(self._token, self)

    def call_soon(self) -> None:
        with suppress(RuntimeError):  # its loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._call)

    def _call(self) -> None:
        if not self._removed:
            self._callback()


class EventWaiter:
    """Waits for the wake-ups of one token, each time no longer than `max_wait` seconds."""

    def __init__(self, max_wait: float) -> None:
        self.event = asyncio.Event()
        self._max_wait = max_wait

    async def wait(self, timeout: float) -> None:
        # Not by wait_for: before Python 3.12 it swallows a cancellation that meets the event.
        with suppress(TimeoutError):
            async with asyncio.timeout(min(timeout, self._max_wait)):
                await self.event.wait()
        self.event.clear()


@asynccontextmanager
async def event_waiter(
    listeners: Listeners, token: str, max_wait: float
) -> AsyncIterator[EventWaiter]:
    """A waiter that the token wakes, as long as the block lasts."""
    waiter = EventWaiter(max_wait)
    with listeners.listening(token, waiter.event.set):
        yield waiter
