"""The open turns that the code at hand is part of. If it waited for one of them, it would wait for
itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Protocol


class EnclosingTurn(Protocol):
    """A turn that a worker holds."""

    session_id: str
    turn_id: str
    worker: str

    @property
    def is_held(self) -> bool:
        """Whether the worker still holds it."""


@dataclass(slots=True, eq=False)
class PartOf:
    """The block is part of a turn, as long as that is open.

    Args:
        turn: returns the turn; None before it has begun, or when its code is over.
        task: only what this task does is part of the turn; None: also what the tasks and threads do
            that the block starts.
        runtime: only what is done with this runtime is part of the turn; None: whatever is done.
    """

    turn: Callable[[], EnclosingTurn | None]
    task: asyncio.Task[object] | None = None
    runtime: object | None = None

    def __enter__(self) -> None:
        _parts.set((*_parts.get(), self))

    def __exit__(self, *_: object) -> None:
        # Without a token: a web framework may leave the block in another context.
        _parts.set(tuple(part for part in _parts.get() if part is not self))


_parts: ContextVar[tuple[PartOf, ...]] = ContextVar("turnwise_enclosing", default=())


@contextmanager
def tasks_included() -> Iterator[None]:
    """The tasks that the block starts are part of the turns that the current task is part of."""
    before = _parts.get()
    if before:  # then a task runs: without one there may be no event loop
        current = asyncio.current_task()
        _parts.set(tuple(replace(one, task=None) if one.task is current else one for one in before))
    try:
        yield
    finally:
        _parts.set(before)


def enclosing_turns(session_id: str, runtime: object) -> list[EnclosingTurn]:
    """The open turns of this session for which the current task would wait in vain.

    Args:
        session_id: the session.
        runtime: what the task uses to wait.
    """
    parts = _parts.get()
    if not parts:
        return []
    current = asyncio.current_task()
    turns = [
        part.turn()
        for part in parts
        if part.task in (None, current) and part.runtime in (None, runtime)
    ]
    return [
        turn
        for turn in turns
        if turn is not None and turn.session_id == session_id and turn.is_held
    ]
