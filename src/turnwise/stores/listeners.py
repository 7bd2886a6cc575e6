"""Who in this process wants to be called when a token is woken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from turnwise.process import LOCK, ProcessBound, put_aside

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

    @contextmanager
    def listening(self, token: str, callback: Callback) -> Iterator[None]:
        listener = _Listener(callback)
        with LOCK:
            self._by_token.setdefault(token, []).append(listener)
        try:
            yield
        finally:
            listener.gone = True
            self._remove(token, listener)

    def _remove(self, token: str, listener: _Listener) -> None:
        with LOCK:
            listening = self._by_token.get(token, [])
            if listener in listening:  # not in a child, which has none of its parent's
                listening.remove(listener)
            if not listening:
                self._by_token.pop(token, None)

    def forked(self) -> None:
        put_aside(self._by_token)
        self._by_token = {}

    def call(self, token: str) -> None:
        """From any thread."""
        for listener in tuple(self._by_token.get(token, ())):
            listener.call_soon()

    def call_all(self) -> None:
        for token in tuple(self._by_token):
            self.call(token)


class _Listener:
    def __init__(self, callback: Callback) -> None:
        self.gone = False
        self._callback = callback
        self._loop = asyncio.get_running_loop()

    def call_soon(self) -> None:
        with suppress(RuntimeError):  # its loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._call)

    def _call(self) -> None:
        if not self.gone:
            self._callback()


class EventWaiter:
    """The wake-ups of one token, waited for. `longest` limits a wait, in seconds."""

    def __init__(self, longest: float) -> None:
        self.event = asyncio.Event()
        self._longest = longest

    async def wait(self, timeout: float) -> None:
        # Not by wait_for: before Python 3.12 it swallows a cancellation that meets the event.
        with suppress(TimeoutError):
            async with asyncio.timeout(min(timeout, self._longest)):
                await self.event.wait()
        self.event.clear()


@asynccontextmanager
async def waiter(listeners: Listeners, token: str, longest: float) -> AsyncIterator[EventWaiter]:
    wake = EventWaiter(longest)
    with listeners.listening(token, wake.event.set):
        yield wake
