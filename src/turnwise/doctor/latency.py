"""How long the server takes: the network's share, and that of its own scripts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from turnwise.doctor.findings import Fault, Finding, ok
from turnwise.stores.redis.probe import RedisProbe, Server

SLOW_NETWORK = Fault("slow-network", "warning", "Each turn takes two round trips, at least.")
STALLS = Fault("stalls", "warning", "While the server stalls, every turn waits.")
SLOW_SCRIPTS = Fault(
    "slow-scripts", "warning", "The server runs one script at a time: every turn waits for it."
)
FAULTS = (SLOW_NETWORK, STALLS, SLOW_SCRIPTS)

_MEDIAN, _STALL, _SCRIPT = 20.0, 500.0, 100.0


def check(probe: RedisProbe) -> Iterator[Finding]:
    for server in probe.servers:
        if server.pings:
            faults = [*_pings(server), *_scripts(server)]
            yield from faults or [ok("latency", _described(server.pings), server.address)]


def _described(pings: Sequence[float]) -> str:
    shown = (f"p{share} {percentile(pings, share):.1f} ms" for share in (50, 90, 99))
    return f"{len(pings)} pings: {', '.join(shown)}"


def percentile(ascending: Sequence[float], share: int) -> float:
    """The smallest value that so many percent do not exceed; of few values it is not the worst."""
    return ascending[min(len(ascending) * share // 100, max(len(ascending) - 2, 0))]


def _pings(server: Server) -> Iterator[Finding]:
    what = _described(server.pings)
    if percentile(server.pings, 50) > _MEDIAN:
        yield SLOW_NETWORK.found(
            what, "run the workers in the server's region and zone", server.address
        )
    elif percentile(server.pings, 99) > _STALL:
        yield STALLS.found(
            what,
            "redis-cli SLOWLOG GET 10, redis-cli LATENCY DOCTOR: look for KEYS, large DELs, a slow "
            "disk, forks on a machine with transparent huge pages",
            server.address,
        )


def _scripts(server: Server) -> Iterator[Finding]:
    percentiles = server.info.get("latency_percentiles_usec_evalsha", {})
    slow = float(percentiles.get("p99", 0)) / 1000
    if slow > _SCRIPT:
        yield SLOW_SCRIPTS.found(
            f"of the scripts since its start, one in a hundred took {slow:.0f} ms or more",
            "redis-cli SLOWLOG GET 10 names the keys; then redis-cli CONFIG RESETSTAT",
            server.address,
        )
