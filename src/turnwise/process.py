"""State that belongs to one process, or to one of its event loops.

A forked child shares its parent's sockets and the epoll object of its event loops. It may neither
use nor close them: closing a loop or a transport there, by the garbage collector too, removes the
parent's sockets from the shared epoll object. So a child, before it does anything else, keeps what
it inherited alive and unused, and makes its own when it needs it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures.thread  # noqa: F401  # see _before_fork
import ctypes
import logging  # noqa: F401
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from threading import Condition, RLock
from typing import Generic, TypeVar
from weakref import WeakSet

from turnwise.errors import UsageError

T = TypeVar("T")
Loop = asyncio.AbstractEventLoop

EXITS = KeyboardInterrupt, SystemExit
"""What a signal's handler raises at any line, and what no event loop keeps from its caller."""

LOCK = RLock()
"""Held briefly while state that threads share is changed; no I/O and no callers' code inside.

A fork waits for it, so that no child inherits a half-made change. It is reentrant because the
garbage collector may run anywhere, and closes coroutines that hold listeners.
"""


class ProcessBound(ABC):
    """An object with state that a forked child must not use."""

    def __init__(self) -> None:
        with LOCK:
            _BOUND.add(self)

    def before_fork(self) -> None:  # noqa: B027  # most have nothing to do
        """Close what no child may inherit. Nothing is inside FORK_BARRIER then."""

    @abstractmethod
    def reset_in_child(self) -> None:
        """Replace the inherited state, kept alive by `keep_forever`. Called first in a child."""


_BOUND: WeakSet[ProcessBound] = WeakSet()


def keep_forever(inherited: object) -> None:
    """Keep it past the interpreter's own end: nothing in it is closed or collected."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(inherited))


class ForkBarrier:
    """`with FORK_BARRIER:` runs what a fork waits for.

    A C library that holds a lock of its own at the fork leaves it locked for ever in the child.
    Nothing in it may wait for a fork, or enter it again.

    Attributes:
        forks: how many forks wait, or happen.
    """

    def __init__(self) -> None:
        self.reset_in_child()

    def reset_in_child(self) -> None:
        self._changed = Condition()
        self._inside = self.forks = 0

    def __enter__(self) -> None:
        with self._changed:
            while self.forks:  # else threads that come and go might keep a fork waiting
                self._changed.wait()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()

    def before_fork(self) -> None:
        """Return when nothing is inside, and let nothing in until `after_fork`."""
        self._changed.acquire()
        self.forks += 1
        while self._inside:
            with suppress(*EXITS):  # Python would fork all the same, and tell nobody
                self._changed.wait()

    def after_fork(self) -> None:
        self.forks -= 1
        self._changed.notify_all()
        self._changed.release()


FORK_BARRIER = ForkBarrier()


def _before_fork() -> None:
    """Runs before the like of modules that were imported earlier.

    What is inside the barrier may need their locks, and LOCK.
    """
    FORK_BARRIER.before_fork()
    LOCK.acquire()
    for bound in tuple(_BOUND):
        bound.before_fork()


def _after_fork_in_parent() -> None:
    LOCK.release()
    FORK_BARRIER.after_fork()


def _after_fork_in_child() -> None:
    try:
        for bound in tuple(_BOUND):
            bound.reset_in_child()
    finally:
        LOCK.release()
        FORK_BARRIER.reset_in_child()


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )


class PerProcess(ProcessBound, Generic[T]):
    """One object for each process, made on first use."""

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

    def reset_in_child(self) -> None:
        keep_forever(self._made)
        self._made = None


class PerLoop(ProcessBound, Generic[T]):
    """One object for each event loop of this process, made on first use.

    `discard` is called with the object of a loop that was closed.
    """

    def __init__(self, make: Callable[[], T], discard: Callable[[T], None] | None = None) -> None:
        super().__init__()
        self._make = make
        self._discard = discard
        self._by_loop: dict[Loop, T] = {}

    def get(self) -> T:
        """The running event loop's. Raises RuntimeError where none runs."""
        loop = asyncio.get_running_loop()
        found = self._by_loop.get(loop)
        return self._new(loop) if found is None else found

    def _new(self, loop: Loop) -> T:
        for left in self._pop_closed():
            if self._discard is not None:
                self._discard(left)
        with LOCK:
            made = self._by_loop[loop] = self._make()
        return made

    def _pop_closed(self) -> list[T]:
        with LOCK:
            closed = [loop for loop in self._by_loop if loop.is_closed()]
            return [self._by_loop.pop(loop) for loop in closed]

    def pop(self, loop: Loop) -> T | None:
        """Remove and return the object of `loop`; None if it has none."""
        with LOCK:
            return self._by_loop.pop(loop, None)

    def loops(self) -> list[Loop]:
        """The loops that have an object."""
        with LOCK:
            return list(self._by_loop)

    def all(self) -> list[T]:
        with LOCK:
            return list(self._by_loop.values())

    def reset_in_child(self) -> None:
        keep_forever(self._by_loop)
        self._by_loop = {}


def process_name(name: str) -> PerProcess[str]:
    """`name` in this process; in a forked child, `name` and the child's process id."""
    process = os.getpid()
    return PerProcess(lambda: name if os.getpid() == process else f"{name}:{os.getpid()}")


def is_running(loop: Loop) -> bool:
    """Whether `loop` is the running event loop of this thread, in this process."""
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


def check_loop(loop: Loop, what: str) -> None:
    """Raise UsageError unless `loop`, to which `what` belongs, is the running event loop."""
    if not is_running(loop):
        raise UsageError(
            f"{what} was used outside the event loop and process that opened it. Use a turn only "
            "there; session objects can be shared"
        )
