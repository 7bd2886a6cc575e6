"""The stacks of all tasks of an event loop: what a worker prints if it hangs.

Its forked children print where their threads stand.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any


def install() -> None:
    """Let SIGUSR1 print them. In a forked child SIGUSR2 does, which needs no event loop."""
    faulthandler.register(signal.SIGUSR2, all_threads=True)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, print_all)


def print_all() -> None:
    """Write them to stderr."""
    for child in Path("/proc/self/task").glob("*/children"):
        for pid in child.read_text().split():
            os.kill(int(pid), signal.SIGUSR2)
    for task in asyncio.all_tasks():
        print(f"task {task.get_name()}", *frames(task.get_coro()), sep="\n    ", file=sys.stderr)
    sys.stderr.flush()


def frames(awaited: Any) -> Iterator[str]:
    """The frames of a coroutine and of what it awaits, the outermost first."""
    while awaited is not None:
        frame = _first_attribute(awaited, "cr_frame", "gi_frame", "ag_frame")
        if isinstance(frame, FrameType):
            code = frame.f_code
            yield f"{code.co_filename}:{frame.f_lineno} {code.co_qualname}"
        else:
            yield repr(awaited)
        awaited = _first_attribute(awaited, "cr_await", "gi_yieldfrom", "ag_await")


def _first_attribute(thing: Any, *names: str) -> Any:
    return next((getattr(thing, name) for name in names if hasattr(thing, name)), None)
