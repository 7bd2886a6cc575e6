"""Ctrl-C pressed again at one line of code after another.

Its arguments are HOW, the name of what strikes there, URL, and a file for the report.

Each line has a child of its own, forked from here, in which all is imported. There a waiting tool
is cancelled by a first Ctrl-C; from then on lines are counted, and the second one comes at line N.
Some lines are left out, for nothing above them can mend what happens there: asyncio may lose a
callback, so that a task waits for ever; a lock in redis-py's pool may stay locked; and the SDK's
cleanup raises what struck it a second time, while asyncio waits for the last tasks.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

from agents import function_tool

from tests.integration import interrupted_program
from tests.scripted import agent, calls
from turnwise import connect

STEP = 37  # of so many lines, one is tried
PATIENCE = 60.0  # seconds that a child may take to end
PACKAGES = "turnwise", "agents", "redis"
ERRORS = {repr(error): error for error in (KeyboardInterrupt(), SystemExit(0))}
LEFT_OUT = "agents.models", "agents.run_internal.model_provider_lifecycle"
LOCKING = "get_connection", "release", "dispatch_async"

Report = dict[str, Any]


class Interrupter:
    """Raises `error` at the first line of PACKAGES from line `number` on."""

    def __init__(self, error: BaseException, number: int, struck: Callable[[str], object]) -> None:
        self._error = error
        self._left = number
        self._struck = struck

    def begin(self) -> None:
        """Count from here on, in each function that runs now too."""
        sys.settrace(self._trace)
        frame: FrameType | None = sys._getframe()
        while frame is not None:
            frame.f_trace = self._trace
            frame = frame.f_back

    def _trace(self, frame: FrameType, event: str, _: object) -> Any:
        if event == "line":
            self._left -= 1
            if self._left <= 0 and _is_mendable(frame):
                sys.settrace(None)
                self._left = sys.maxsize
                self._struck(str(frame.f_globals["__name__"]))
                raise self._error
        return self._trace


def _is_mendable(frame: FrameType) -> bool:
    module = str(frame.f_globals.get("__name__"))
    package = module.partition(".")[0]
    if package not in PACKAGES or module.startswith(LEFT_OUT):
        return False
    return package != "redis" or frame.f_code.co_name not in LOCKING


def interrupted_run(how: str, url: str, session_id: str, interrupter: Interrupter) -> None:
    @function_tool
    async def wait() -> str:
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGINT)
        try:
            await asyncio.Event().wait()
        finally:
            interrupter.begin()
        return "never"

    signal.signal(signal.SIGINT, signal.default_int_handler)
    run = interrupted_program.COROUTINES[how]
    asyncio.run(run(agent(calls("wait"), tools=[wait]), connect(url).bind(session_id)))


def child(how: str, what: str, url: str, session_id: str, number: int, pipe: int) -> None:
    """Write the module that was interrupted, if one was, and how the run ended."""

    def struck(module: str) -> None:
        os.write(pipe, f"{module}\n".encode())

    try:
        interrupted_run(how, url, session_id, Interrupter(ERRORS[what], number, struck))
    except BaseException as error:
        os.write(pipe, repr(error).encode())
    os._exit(0)


def interrupt(how: str, what: str, url: str, number: int) -> Report | None:
    """What became of a child interrupted at line `number`; None if it had ended before."""
    session_id = f"{how}-{what}-{number}"
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        child(how, what, url, session_id, number, writer)
    os.close(writer)
    ended = has_ended(pid)
    with os.fdopen(reader) as pipe:
        words = pipe.read().splitlines()
    if len(words) < 2 and ended:
        return None
    end = words[1] if ended else "it hung"
    return {"session": session_id, "line": number, "module": words[0], "end": end}


def has_ended(pid: int) -> bool:
    """Whether the child ended by itself."""
    deadline = time.monotonic() + PATIENCE
    while not os.waitpid(pid, os.WNOHANG)[0]:
        if time.monotonic() > deadline:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return False
        time.sleep(0.002)
    return True


def main(how: str, what: str, url: str, report: str) -> None:
    lines = []
    for number in count(1, STEP):
        place = interrupt(how, what, url, number)
        if place is None:
            break
        lines.append(json.dumps(place))
    written = Path(f"{report}.part")
    written.write_text("\n".join(lines))
    written.rename(report)


if __name__ == "__main__":
    main(*sys.argv[1:])
