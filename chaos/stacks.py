"""Where the tasks of an event loop stand: what a worker says of itself that does not leave."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any


def show() -> None:
    """Write them to stderr."""
    for task in asyncio.all_tasks():
        print(f"task {task.get_name()}", *places(task.get_coro()), sep="\n    ", file=sys.stderr)
    sys.stderr.flush()


def places(awaited: Any) -> Iterator[str]:
    """Of a coroutine and what it waits for, one after the other, the outermost first."""
    while awaited is not None:
        frame = _first(awaited, "cr_frame", "gi_frame", "ag_frame")
        if isinstance(frame, FrameType):
            code = frame.f_code
            yield f"{code.co_filename}:{frame.f_lineno} {code.co_qualname}"
        else:
            yield repr(awaited)
        awaited = _first(awaited, "cr_await", "gi_yieldfrom", "ag_await")


def _first(thing: Any, *names: str) -> Any:
    return next((getattr(thing, name) for name in names if hasattr(thing, name)), None)
