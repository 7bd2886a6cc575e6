"""Replicas, and the Sentinels that make one of them the primary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from turnwise.doctor.findings import Fault, Finding, ok
from turnwise.stores.redis.probe import RedisProbe, SentinelView, Server, replicas

IS_REPLICA = Fault("is-replica", "critical", "A replica refuses writes: no turn can begin.")
NO_REPLICA = Fault("no-replica", "warning", "There is nothing to fail over to.")
MIN_REPLICAS = Fault(
    "min-replicas-unset",
    "warning",
    "A primary that is cut off goes on acknowledging commits, and drops them when it comes back.",
)
TOO_FEW = Fault("too-few-replicas", "critical", "The server refuses writes: no turn can begin.")
BEHIND = Fault("replica-behind", "warning", "A failover to it loses what it has not received.")
NO_QUORUM = Fault("sentinel-quorum", "critical", "No failover can happen.")
FEW_SENTINELS = Fault(
    "few-sentinels", "warning", "When one Sentinel is lost with the primary, nobody may fail over."
)
SENTINEL_SILENT = Fault(
    "sentinel-silent", "warning", "One more that is lost, and nobody may fail over."
)
FAULTS = (
    *(IS_REPLICA, NO_REPLICA, MIN_REPLICAS, TOO_FEW, BEHIND),
    *(NO_QUORUM, FEW_SENTINELS, SENTINEL_SILENT),
)

_LAG = 10
_SENTINELS = 3
_FIX_MIN = "redis-cli CONFIG SET min-replicas-to-write 1, and the same line in its file"


def check(probe: RedisProbe) -> Iterator[Finding]:
    if probe.kind == "standalone":
        for server in probe.servers:
            if server.info.get("role") == "slave":
                yield IS_REPLICA.found(
                    f"{server.address} is a replica of {server.info.get('master_host')}:"
                    f"{server.info.get('master_port')}",
                    "use the primary's address, or a URL that names the Sentinels",
                )
    for server in probe.servers:
        if server.is_primary:
            yield from _primary(server, must_have_replica=probe.kind != "standalone")
    yield from _sentinels(probe)


def _primary(server: Server, *, must_have_replica: bool) -> Iterator[Finding]:
    found = replicas(server)
    good = server.info.get("min_slaves_good_slaves")  # there if the server asks for some
    wanted = int(server.config.get("min-replicas-to-write", good is not None))
    faults = [*_state(found, server.address)]
    if good is not None and int(good) < wanted:
        faults.append(
            TOO_FEW.found(
                f"{good} replicas are in touch, and min-replicas-to-write is {wanted}",
                "start the replicas, and see their logs",
                server.address,
            )
        )
    elif not found and must_have_replica:
        faults.append(
            NO_REPLICA.found(
                "the primary has no replica",
                f"on another machine: redis-cli REPLICAOF {server.address.replace(':', ' ')}",
                server.address,
            )
        )
    elif found and not wanted:
        faults.append(
            MIN_REPLICAS.found(
                "the primary writes also where no replica hears it", _FIX_MIN, server.address
            )
        )
    yield from faults or [ok("replication", f"{len(found)} replicas", server.address)]


def _state(found: list[Mapping[str, Any]], primary: str) -> Iterator[Finding]:
    for replica in found:
        lag = int(replica.get("lag", 0))
        if replica.get("state") != "online" or lag > _LAG:
            yield BEHIND.found(
                f"the replica {replica.get('ip')}:{replica.get('port')} is "
                f"{replica.get('state')}, last heard of {lag} s ago",
                "check its log and the network between the two",
                primary,
            )


def _sentinels(probe: RedisProbe) -> Iterator[Finding]:
    if not probe.sentinels:
        return
    faults = [fault for view in probe.sentinels if (fault := _silent(view))]
    answering = [view for view in probe.sentinels if not view.error]
    if answering:
        faults += _votes(answering[0].state)
    yield from faults or [ok("sentinel", f"{len(answering)} Sentinels answer")]


def _silent(view: SentinelView) -> Finding | None:
    if not view.error:
        return None
    fix = "start it, or take it out of the URL"
    return SENTINEL_SILENT.found(f"it does not answer ({view.error})", fix, view.address)


def _votes(state: Mapping[str, Any]) -> Iterator[Finding]:
    count, quorum = int(state.get("num-other-sentinels", 0)) + 1, int(state.get("quorum", 0))
    if count < quorum:
        yield NO_QUORUM.found(
            f"{count} Sentinels know each other, and {quorum} must agree",
            f"redis-cli -p 26379 SENTINEL SET NAME quorum {count // 2 + 1}, or start the others",
        )
    elif count < _SENTINELS:
        yield FEW_SENTINELS.found(
            f"there are {count} Sentinels",
            "run three, on machines that do not fail together: sentinel monitor NAME HOST PORT 2",
        )
