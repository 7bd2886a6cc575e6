"""What belongs to one process, or to one of its event loops, and must not outlive it there.

A forked child shares its parent's sockets and the epoll object of its event loops. Neither may be
used there, nor closed: a loop or transport that is closed, by the garbage collector too, takes the
parent's sockets out of that epoll object. So the child puts aside what it inherited, for ever and
before it does anything else, and makes its own when it needs it.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import Callable
from threading import RLock
from typing import Generic, TypeVar
from weakref import WeakSet

from turnwise.errors import UsageError

T = TypeVar("T")
Loop = asyncio.AbstractEventLoop

LOCK = RLock()
"""Held for a moment while what threads share is changed; no I/O and no code of callers inside.

A fork waits for it, so that no child inherits what is half changed. It can be entered again: the
garbage collector may run anywhere, and ends coroutines that hold listeners.
"""


class ProcessBound:
    """What a forked child must not go on with."""

    def __init__(self) -> None:
        with LOCK:
            _BOUND.add(self)

    def forked(self) -> None:
        """Called in a child before anything else: put aside what was inherited."""
        raise NotImplementedError


_BOUND: WeakSet[ProcessBound] = WeakSet()


def put_aside(inherited: object) -> None:
    """Keep it for ever, past the interpreter's own end: nothing in it is closed or collected."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(inherited))


def _forked() -> None:
    try:
        for bound in tuple(_BOUND):
            bound.forked()
    finally:
        LOCK.release()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork either
    os.register_at_fork(before=LOCK.acquire, after_in_parent=LOCK.release, after_in_child=_forked)


class PerProcess(ProcessBound, Generic[T]):
    """One object for each process, made when it is first asked for."""

    def __init__(self, make: Callable[[], T]) -> None:
        super().__init__()
        self._make = make
        self._made: T | None = None

    def get(self) -> T:
        made = self._made
        return self._new() if made is None else made

    def _new(self) -> T:
        with LOCK:
            if self._made is None:
                self._made = self._make()
            return self._made

    def forked(self) -> None:
        put_aside(self._made)
        self._made = None


class PerLoop(ProcessBound, Generic[T]):
    """One object for each event loop of this process, made when that loop first asks for it.

    `gone` is told of the objects of loops that were closed.
    """

    def __init__(self, make: Callable[[], T], gone: Callable[[T], None] | None = None) -> None:
        super().__init__()
        self._make = make
        self._gone = gone
        self._by_loop: dict[Loop, T] = {}

    def here(self) -> T:
        """The running event loop's. Raises RuntimeError where none runs."""
        loop = asyncio.get_running_loop()
        found = self._by_loop.get(loop)
        return self._new(loop) if found is None else found

    def _new(self, loop: Loop) -> T:
        gone = self._pop_closed()
        for left in gone:
            if self._gone is not None:
                self._gone(left)
        with LOCK:
            made = self._by_loop[loop] = self._make()
        return made

    def _pop_closed(self) -> list[T]:
        with LOCK:
            closed = [loop for loop in self._by_loop if loop.is_closed()]
            return [self._by_loop.pop(loop) for loop in closed]

    def pop(self, loop: Loop) -> T | None:
        """What a loop has, which has it no longer; None if it has nothing."""
        with LOCK:
            return self._by_loop.pop(loop, None)

    def loops(self) -> list[Loop]:
        """The loops that have one."""
        with LOCK:
            return list(self._by_loop)

    def all(self) -> list[T]:
        with LOCK:
            return list(self._by_loop.values())

    def forked(self) -> None:
        put_aside(self._by_loop)
        self._by_loop = {}


def process_name(name: str) -> PerProcess[str]:
    """The name of the process that asks: `name` here, with its own number in a forked child."""
    process = os.getpid()
    return PerProcess(lambda: name if os.getpid() == process else f"{name}:{os.getpid()}")


def is_running(loop: Loop) -> bool:
    """Whether `loop` runs here: in this thread, and not in a parent of this process."""
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


def check_loop(loop: Loop, what: str) -> None:
    """Raise UsageError unless `loop`, to which `what` belongs, runs here."""
    if not is_running(loop):
        raise UsageError(
            f"{what} belongs to the event loop and the process that began it, and was used in "
            "another one. Use it where it began; session objects may be shared"
        )
