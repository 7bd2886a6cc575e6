"""Persistence: what a restart of the server leaves."""

from __future__ import annotations

from collections.abc import Iterator

from turnwise.doctor.findings import Fault, Finding, ok, unknown
from turnwise.stores.redis.probe import RedisProbe, Server

NOTHING_SAVED = Fault("not-persistent", "critical", "A restart loses every conversation.")
NO_AOF = Fault(
    "no-aof", "warning", "A crash loses all commits since the last snapshot, which is minutes."
)
FSYNC_OFF = Fault(
    "fsync-off", "warning", "A crash of the machine loses as much as the kernel had not written."
)
WRITES_REFUSED = Fault(
    "write-failed",
    "critical",
    "The server refuses writes, or writes what no restart will find again.",
)
SAVE_FAILED = Fault("save-failed", "warning", "The file grows, or is older than it looks.")
FAULTS = (NOTHING_SAVED, NO_AOF, FSYNC_OFF, WRITES_REFUSED, SAVE_FAILED)

_FIX_AOF = "redis-cli CONFIG SET appendonly yes, and the same line in its file"
_FIX_DISK = "make room on its disk and check the owner of its directory (the server's log says "
_FIX_DISK += "which); then redis-cli "


def check(probe: RedisProbe) -> Iterator[Finding]:
    for server in probe.servers:
        if "aof_enabled" in server.info:
            faults = [*_mode(server), *_last_state(server)]
            yield from faults or [ok("persistence", _described(server), server.address)]
            if not server.config:
                yield unknown(
                    "settings",
                    "CONFIG GET is refused: appendfsync and save were not looked at",
                    "run it once more as an administrator",
                    server.address,
                )


def _described(server: Server) -> str:
    fsync = server.config.get("appendfsync")
    return "append-only file" + (f", appendfsync {fsync}" if fsync else "")


def _mode(server: Server) -> Iterator[Finding]:
    if int(server.info["aof_enabled"]):
        if server.config.get("appendfsync") == "no":
            yield FSYNC_OFF.found(
                "appendfsync is no",
                "redis-cli CONFIG SET appendfsync everysec, and the same line in its file",
                server.address,
            )
    elif server.config.get("save") == "":
        yield NOTHING_SAVED.found("nothing is written to a disk", _FIX_AOF, server.address)
    else:
        yield NO_AOF.found("there is no append-only file", _FIX_AOF, server.address)


def _last_state(server: Server) -> Iterator[Finding]:
    info, address = server.info, server.address
    if info.get("aof_last_write_status", "ok") != "ok":
        yield WRITES_REFUSED.found(
            "the last write to the append-only file failed", _FIX_DISK + "PING", address
        )
    if info.get("rdb_last_bgsave_status", "ok") != "ok":
        refuses = server.config.get("stop-writes-on-bgsave-error", "yes") == "yes"
        saves = server.config.get("save", "?") != ""
        fault = WRITES_REFUSED if refuses and saves else SAVE_FAILED
        yield fault.found("the last snapshot failed", _FIX_DISK + "BGSAVE", address)
    if info.get("aof_last_bgrewrite_status", "ok") != "ok":
        yield SAVE_FAILED.found(
            "the last rewrite of the append-only file failed", _FIX_DISK + "BGREWRITEAOF", address
        )
