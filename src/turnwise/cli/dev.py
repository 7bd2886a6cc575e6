"""`turnwise dev`: server, worker, dashboard and chat page for one developer, in one process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
import webbrowser
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from turnwise.background import Policy
from turnwise.cli.loading import load
from turnwise.cli.logs import LogLevel, set_up_logging
from turnwise.cli.options import Connected, verb
from turnwise.cli.run_options import AgentsArgument
from turnwise.session import Session
from turnwise.worker import Worker

if TYPE_CHECKING:
    from turnwise.http.replica import Replica

_HOST = "127.0.0.1"
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_GRACE = 1.0
"""Seconds in which a running turn may finish; the next `turnwise dev` continues it."""
_CLOSING = 0.5
_IMPATIENT = 1.0
"""Seconds after the second signal in which turns may be given back."""
_POLICY = Policy(max_attempts=1)
"""What fails is to be seen at once, and not to be tried again."""


@verb
def dev(
    agents: AgentsArgument,
    port: Annotated[
        int, typer.Option(help="The port; 0 takes a free one.", min=0, max=65535)
    ] = 8000,
    data: Annotated[
        Path, typer.Option(help="The folder where the sessions are kept; it is made if need be.")
    ] = Path(".turnwise"),
    open_page: Annotated[
        bool, typer.Option("--open", help="Open the chat page in a browser.")
    ] = False,
    log_level: Annotated[LogLevel, typer.Option(help="The least that is logged.")] = "warning",
) -> None:
    """Chat with your agents on this machine: server, worker, dashboard and chat page in one.

    The sessions are in an SQLite file, and are there again the next time. It listens on loopback
    only. A message that fails is not tried again. Ctrl-C ends it, a second one at once.

    Exit status: 0 ended by a signal; 1 it failed; 2 the command line is wrong; 130 ended at once.
    """
    try:
        from turnwise.dashboard import dashboard
        from turnwise.http.gateway import Gateway
        from turnwise.http.replica import Replica
        from turnwise.http.serve import NotListening, serve
    except ModuleNotFoundError as error:
        if error.name not in ("fastapi", "jinja2", "jwt", "limits", "starlette", "uvicorn"):
            raise
        sys.exit(f"turnwise: this needs {error.name}; install turnwise[serve,dashboard]")
    set_up_logging(log_level, "text")
    found, file = load(agents), _file_in(data)

    def tell(address: str) -> None:
        typer.echo(
            f"chat        {address}\n"
            f"dashboard   {address}dashboard/\n"
            f"API         {address}openapi.json\n"
            f"sessions    {file}\n"
            "Ctrl-C ends it."
        )
        if open_page:
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

    async def run(session: Session) -> None:
        worker = Worker(session, found, grace=_GRACE, policy=_POLICY)
        replica = Replica(Gateway(session, found), worker)
        _Signals(replica).take()
        await serve(
            replica,
            _HOST,
            port,
            mounts={"/dashboard": dashboard(session, authenticate=None)},
            signals=False,
            closing=_CLOSING,
            on_ready=tell,
        )
        if replica.failed:
            sys.exit(1)

    try:
        Connected(f"sqlite:///{quote(str(file))}").run(run)
    except NotListening as error:
        sys.exit(f"turnwise: {error}. Choose another port with --port")


def _file_in(folder: Path) -> Path:
    """The database, in a folder that git leaves alone."""
    try:
        if not folder.exists():
            folder.mkdir(parents=True)
            (folder / ".gitignore").write_text("*\n")
    except OSError as error:
        raise typer.BadParameter(f"--data: {error}") from None
    if not folder.is_dir():
        raise typer.BadParameter(f"--data: {folder} is no folder")
    return folder / "sessions.db"


class _Signals:
    """The first signal ends the server well, the second one the process, whatever runs in it.

    They are Python's own handlers, and stay to the end: a tool may block the event loop, or run in
    a thread that the process waits for.
    """

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._loop = asyncio.get_running_loop()
        self._came = False

    def take(self) -> None:
        """Handle them from now on."""
        for number in _SIGNALS:
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._replica.stop)
        if self._came:
            threading.Thread(target=_end_soon, daemon=True).start()
        self._came = True


def _end_soon() -> None:
    time.sleep(_IMPATIENT)
    os._exit(128 + signal.SIGINT)
