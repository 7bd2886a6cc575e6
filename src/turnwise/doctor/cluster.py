"""A Cluster: whether each slot has a server that works."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from turnwise.doctor.findings import Fault, Finding, ok, unknown
from turnwise.stores.redis.probe import RedisProbe

UNCOVERED = Fault(
    "slots-uncovered",
    "critical",
    "Sessions in these slots cannot be reached; by default the whole cluster then refuses.",
)
NODE_FAILED = Fault("node-failed", "warning", "Its shard has one node less to fail over to.")
FAULTS = (UNCOVERED, NODE_FAILED)

_SLOTS = 16_384


def check(probe: RedisProbe) -> Iterator[Finding]:
    if probe.kind != "cluster":
        return
    if not probe.shards:
        yield unknown("cluster", "CLUSTER SHARDS is refused", "give the user +cluster|shards")
        return
    covered, faults = 0, []
    for shard in probe.shards:
        covered += shard.size if shard.has_primary else 0
        faults += [_failed(node) for node in shard.nodes if node["health"] != "online"]
    if covered < _SLOTS:
        faults.append(
            UNCOVERED.found(
                f"{_SLOTS - covered} of {_SLOTS} slots have no primary that works",
                "start the failed primaries, or: redis-cli --cluster fix HOST:PORT",
            )
        )
    yield from faults or [ok("cluster", f"{len(probe.shards)} shards cover all slots")]


def _failed(node: Mapping[str, str]) -> Finding:
    return NODE_FAILED.found(
        f"the {node['role']} {node['id'][:8]} is {node['health']}",
        f"start it, or on each other node: redis-cli CLUSTER FORGET {node['id']}",
        f"{node.get('ip', '')}:{node.get('port', node.get('tls-port', ''))}",
    )
