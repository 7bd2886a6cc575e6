"""The open turns that the code at hand is part of. If it waited for one of them, it would wait for
itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol


class EnclosingTurn(Protocol):
    """A turn that a worker holds."""

    session_id: str
    turn_id: str
    worker: str
    ended: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """Code that is part of a turn: one task, or (None) all tasks and threads that come of it."""

    turn: Callable[[], EnclosingTurn | None]
    task: asyncio.Task[object] | None


_parts: ContextVar[tuple[_Part, ...]] = ContextVar("turnwise_enclosing", default=())


@contextmanager
def part_of(
    turn: Callable[[], EnclosingTurn | None], task: asyncio.Task[object] | None = None
) -> Iterator[None]:
    """The block is part of a turn, as long as that is open.

    Args:
        turn: returns the turn; None before it has begun, or when its code is over.
        task: what other tasks do that the block starts is no part of the turn. None: it is.
    """
    part = _Part(turn, task)
    _parts.set((*_parts.get(), part))
    try:
        yield
    finally:  # without a token: a web framework may leave the block in another context
        _parts.set(tuple(other for other in _parts.get() if other is not part))


@contextmanager
def tasks_included() -> Iterator[None]:
    """The tasks that the block starts are part of the turns that the current task is part of."""
    before, current = _parts.get(), asyncio.current_task()
    _parts.set(tuple(_Part(one.turn, None) if one.task is current else one for one in before))
    try:
        yield
    finally:
        _parts.set(before)


def enclosing_turns(session_id: str) -> list[EnclosingTurn]:
    """The open turns of this session that the current task is part of."""
    parts = _parts.get()
    if not parts:
        return []
    current = asyncio.current_task()
    turns = [part.turn() for part in parts if part.task is None or part.task is current]
    return [
        turn
        for turn in turns
        if turn is not None and turn.session_id == session_id and not turn.ended
    ]
