"""The client: its pool and its timeouts, and whether the server has room for it."""

from __future__ import annotations

from collections.abc import Iterator

from turnwise.doctor.findings import Fault, Finding, ok
from turnwise.stores.redis.probe import RedisProbe, Server

SMALL_POOL = Fault(
    "small-pool", "warning", "Calls wait for a free connection, and time out if none becomes free."
)
SHORT_TIMEOUT = Fault(
    "short-timeout", "warning", "Calls are given up that the server is about to answer."
)
LONG_TIMEOUT = Fault(
    "long-timeout",
    "warning",
    "A turn loses its lease before the worker learns that a connection is dead.",
)
FEW_CONNECTIONS = Fault("few-connections", "warning", "A server with no connection left refuses.")
FAULTS = (SMALL_POOL, SHORT_TIMEOUT, LONG_TIMEOUT, FEW_CONNECTIONS)

_SMALL, _SHORT, _SHARE = 4, 0.5, 0.8


def check(probe: RedisProbe, lease: float) -> Iterator[Finding]:
    settings = probe.settings
    faults = list(_settings(settings.max_connections, settings.timeout, lease))
    for server in probe.servers:
        faults += _room(server)
    timeout = "no timeout" if settings.timeout is None else f"timeout {settings.timeout:g} s"
    described = f"up to {settings.max_connections} connections, {timeout}"
    yield from faults or [ok("client", described)]


def _settings(connections: int, timeout: float | None, lease: float) -> Iterator[Finding]:
    if connections < _SMALL:
        yield SMALL_POOL.found(
            f"the client opens at most {connections} connections",
            "take max_connections out of the URL (100 is the default)",
        )
    if timeout is not None and timeout < _SHORT:
        yield SHORT_TIMEOUT.found(
            f"an answer is given up after {timeout:g} s",
            "take socket_timeout out of the URL (5 s is the default)",
        )
    if timeout is None or timeout >= lease:
        waits = "never" if timeout is None else f"after {timeout:g} s"
        yield LONG_TIMEOUT.found(
            f"an answer is given up {waits}, and the lease is {lease:g} s",
            f"?socket_timeout={min(5.0, lease / 3):g} in the URL, or a longer lease=",
        )


def _room(server: Server) -> Iterator[Finding]:
    used, limit = (int(server.info.get(name, 0)) for name in ("connected_clients", "maxclients"))
    if limit and used > _SHARE * limit:
        yield FEW_CONNECTIONS.found(
            f"{used} of {limit} connections are in use",
            f"redis-cli CONFIG SET maxclients {4 * limit}, and the same line in its file",
            server.address,
        )
