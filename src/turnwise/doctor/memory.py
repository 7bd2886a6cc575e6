"""Memory: what the server does when it is full, and how far that is."""

from __future__ import annotations

from collections.abc import Iterator

from turnwise.doctor.findings import Fault, Finding, ok
from turnwise.stores.redis.probe import RedisProbe, Server

EVICTS = Fault(
    "evicts",
    "critical",
    "A server that is full deletes keys. An evicted session is a lost conversation.",
)
WOULD_EVICT = Fault(
    "would-evict", "warning", "As soon as maxmemory is set, a full server deletes conversations."
)
NO_LIMIT = Fault(
    "no-maxmemory",
    "warning",
    "A server that outgrows its machine is killed by the kernel, instead of refusing writes.",
)
LOW = Fault("memory-low", "warning", "A full server refuses each turn.")
FULL = Fault("memory-full", "critical", "A full server refuses each turn.")
FAULTS = (EVICTS, WOULD_EVICT, NO_LIMIT, LOW, FULL)

_LOW, _FULL = 0.80, 0.95
_FIX_POLICY = "redis-cli CONFIG SET maxmemory-policy noeviction, and the same line in its file"


def check(probe: RedisProbe) -> Iterator[Finding]:
    for server in probe.servers:
        if "maxmemory_policy" in server.info:
            yield from _eviction(server)
            yield from _head_room(server)


def _eviction(server: Server) -> Iterator[Finding]:
    policy = server.info["maxmemory_policy"]
    if policy == "noeviction":
        yield ok("eviction", "maxmemory-policy is noeviction", server.address)
        return
    limited = int(server.info.get("maxmemory", 0)) > 0
    fault = EVICTS if limited else WOULD_EVICT
    yield fault.found(f"maxmemory-policy is {policy}", _FIX_POLICY, server.address)


def _head_room(server: Server) -> Iterator[Finding]:
    used, limit = int(server.info.get("used_memory", 0)), int(server.info.get("maxmemory", 0))
    machine = int(server.info.get("total_system_memory", 0))
    if not limit:
        yield NO_LIMIT.found(
            f"maxmemory is not set, and {_mb(used)} are used",
            f"redis-cli CONFIG SET maxmemory {max(machine * 6 // 10, 2 * used) >> 20}mb, and the "
            "same line in its file. Leave a third of the machine to saving and replication",
            server.address,
        )
    share = used / (limit or machine or 1)
    if share < _LOW:
        if limit:
            what = f"{_mb(used)} of {_mb(limit)} are used"
            yield ok("memory", what, server.address)
        return
    fault = FULL if share >= _FULL else LOW
    yield fault.found(
        f"{_mb(used)} of {_mb(limit or machine)} are used ({share:.0%})",
        f"redis-cli CONFIG SET maxmemory {2 * used >> 20}mb on a machine that has it, or let old "
        "sessions expire: connect(..., ttl=30 * 86400)",
        server.address,
    )


def _mb(size: int) -> str:
    return f"{size / (1 << 20):,.0f} MB"
