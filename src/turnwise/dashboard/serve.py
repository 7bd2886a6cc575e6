"""The dashboard run alone, by uvicorn."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from ipaddress import ip_address

import uvicorn

from turnwise.dashboard.app import dashboard
from turnwise.dashboard.authentication import Authenticate
from turnwise.session import Session

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_CLOSING = 2
"""Seconds that open pages have when the server stops."""


class NotListening(Exception):
    """The dashboard cannot, or does not, listen at this address."""


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def serve(
    session: Session,
    host: str,
    port: int,
    *,
    authenticate: Authenticate | None,
    read_only: bool,
    on_ready: Callable[[str], None],
) -> None:
    """Serve until SIGINT or SIGTERM.

    Without `authenticate` it listens on loopback only, and answers under loopback's names only:
    another site's name may be made to point here.

    Args:
        session: The object that stands for all sessions of the store.
        host: The address to listen at.
        port: The port; 0 for a free one.
        authenticate, read_only: See `dashboard`.
        on_ready: Gets the dashboard's address once it answers.

    Raises:
        NotListening: The port is taken, or the address would let others in.
    """
    if authenticate is None and not is_loopback(host):
        raise NotListening(
            f"it does not listen at {host}, where others reach it, without --token or --user-header"
        )
    hosts = {"localhost", "127.0.0.1", "::1", host} if authenticate is None else None
    app = dashboard(session, authenticate=authenticate, read_only=read_only, hosts=hosts)
    config = uvicorn.Config(
        app,
        log_level=logging.WARNING,
        access_log=False,
        proxy_headers=False,  # who connects is what `UserHeader` looks at
        server_header=False,
        timeout_graceful_shutdown=_CLOSING,
    )
    with _listening(host, port) as listener:
        on_ready(_address(host, listener))
        await _run(uvicorn.Server(config), listener)


async def _run(server: uvicorn.Server, listener: socket.socket) -> None:
    """Run it. uvicorn raises the signal that ended it once more: that is no end without cleanup."""

    def stop() -> None:
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop)
    serving = asyncio.create_task(server.serve([listener]))
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        stop()
        await serving
        raise
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        raise NotListening(f"it cannot listen at {host}, port {port}: {error}") from None


def _address(host: str, listener: socket.socket) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}/"
