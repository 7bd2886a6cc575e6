"""What a worker says of itself in the registry, and what is made of it."""

from __future__ import annotations

import logging

import msgspec

from turnwise.turns import Runtime
from turnwise.types import HeldTurn, RegistryEntry, WorkerInfo

_log = logging.getLogger("turnwise")
INTERVAL = 5.0
"""Seconds from one heartbeat to the next."""
SILENT_AFTER = 3 * INTERVAL
"""Seconds without a heartbeat after which a worker does not count as alive."""


class WorkerRecord(msgspec.Struct, omit_defaults=True):
    """What is stored; see `WorkerInfo`. `turns` has pairs of session id and turn_id."""

    host: str
    pid: int
    version: str
    started_at: float
    agents: list[str]
    concurrency: int
    active: int = 0
    stopping: bool = False
    turns: list[tuple[str, str]] = []
    quiet: bool = False
    latency: list[int] = []
    takeovers: int = 0


_decoder = msgspec.json.Decoder(WorkerRecord)


async def list_workers(runtime: Runtime) -> list[WorkerInfo]:
    """See `Session.workers`."""
    found = map(_decoded, await runtime.store.workers.list())
    return [worker for worker in found if worker is not None]


def _decoded(entry: RegistryEntry) -> WorkerInfo | None:
    """None for a record that another version wrote in another form."""
    try:
        record = _decoder.decode(entry.record)
    except msgspec.MsgspecError:
        _log.warning("the record of worker %r cannot be decoded", entry.name)
        return None
    silent_for = entry.age_ms / 1000
    return WorkerInfo(
        name=entry.name,
        host=record.host,
        pid=record.pid,
        version=record.version,
        started_at=record.started_at,
        silent_for=silent_for,
        alive=silent_for <= SILENT_AFTER,
        stopping=record.stopping,
        quiet=record.quiet,
        agents=tuple(record.agents),
        concurrency=record.concurrency,
        active=record.active,
        turns=tuple(HeldTurn(*turn) for turn in record.turns),
        latency=tuple(record.latency),
        takeovers=record.takeovers,
    )
