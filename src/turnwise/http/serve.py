"""The server run alone, by uvicorn."""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import ip_address

import uvicorn
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp

from turnwise.http.app import WIRES, Wire, app_of
from turnwise.http.principals import Authenticate, nobody
from turnwise.http.replica import SIGNALS, Replica

_CLOSING = 5.0
"""Seconds in which a slow reader may take what is left for it when the server ends."""
_BACKLOG = 2048
_KEEP_ALIVE = 75
"""Seconds for which an idle connection stays open: longer than a load balancer keeps one (60)."""
_CONNECTIONS = 10_000
"""How many a process may have, if the system's hard limit lets it. (macOS allows 10,240.)"""


class NotListening(Exception):
    """The server cannot, or does not, listen at this address."""


class _Server(uvicorn.Server):
    """It is told when to end: by `serve`, not by a signal."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """See `uvicorn.Server`."""
        yield


async def serve(
    replica: Replica,
    host: str,
    port: int,
    *,
    authenticate: Authenticate | None = None,
    wires: Sequence[Wire] = WIRES,
    page: bool = True,
    mounts: Mapping[str, ASGIApp] | None = None,
    signals: bool = True,
    closing: float = _CLOSING,
    on_ready: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve until SIGTERM or SIGINT, or until the replica ends otherwise; then end it well.

    It still answers while its worker ends its turns. A second signal releases them at once.

    Args:
        replica: Ends when this does.
        host: The address to listen at.
        port: The port; 0 for a free one.
        authenticate: Says who sends a request. Without it, it listens on loopback only.
        wires: The dialects that it speaks.
        page: Whether `/` is the chat page, which needs the chat wire.
        mounts: Other apps by the paths that they are mounted at.
        signals: Whether signals end it; otherwise the caller calls `replica.stop`.
        closing: Seconds in which a slow reader may take what is left for it at the end.
        on_ready: Gets the server's address once it answers.

    Raises:
        NotListening: The port is taken, or the address would let others in.
    """
    if authenticate is None and not _is_loopback(host):
        raise NotListening(
            f"it does not listen at {host}, where others reach it, without authentication"
        )
    app = app_of(replica, authenticate or nobody, wires, page)
    for path, mounted in (mounts or {}).items():
        app.mount(path, mounted)
    if authenticate is None:  # another site's name may be made to point here
        names = ["localhost", "127.0.0.1", "::1", "[::1]", host]
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=names, www_redirect=False)
    config = uvicorn.Config(
        app,
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE,
    )
    _allow_connections()
    with _listening(host, port) as listener, _stopped_by(SIGNALS if signals else (), replica):
        async with replica.running():
            on_ready(_address(host, listener))
            await _run(_Server(config), listener, replica, closing)


@contextmanager
def _stopped_by(signals: Sequence[int], replica: Replica) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in signals:
        loop.add_signal_handler(number, replica.stop)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


async def _run(server: _Server, listener: socket.socket, replica: Replica, closing: float) -> None:
    """Answer until the replica has ended. Whoever still reads after `closing` is cut off."""
    serving = asyncio.create_task(server.serve([listener]))
    ended = asyncio.create_task(replica.ended.wait())
    try:
        await asyncio.wait({serving, ended}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended.cancel()
        server.should_exit = True
        await asyncio.wait({serving}, timeout=closing)
        for connection in list(server.server_state.connections):
            connection.transport.abort()
        await serving


def _allow_connections() -> None:
    """Each stream is a connection, and most systems allow 1,024 to who does not ask for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _CONNECTIONS if hard == resource.RLIM_INFINITY else min(_CONNECTIONS, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise NotListening(
                f"it cannot listen at {host}: another process has port {port}"
            ) from None
        raise NotListening(f"it cannot listen at {host}, port {port}: {error}") from None


def _address(host: str, listener: socket.socket) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}/"
