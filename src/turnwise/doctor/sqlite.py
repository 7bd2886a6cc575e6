"""A SQLite file: the library's version, its disk."""

from __future__ import annotations

from collections.abc import Iterator

from turnwise.doctor.findings import Fault, Finding, ok
from turnwise.stores.sqlite.probe import SQLiteProbe

KNOWN_BAD = Fault(
    "sqlite-known-bad",
    "warning",
    "With a write-ahead log these versions may damage a file that several processes use. Turnwise "
    "uses a rollback journal instead, which is safe and slower; other programs must as well.",
)
NETWORK = Fault(
    "network-file-system",
    "critical",
    "The locks of a network file system do not work: histories would be damaged.",
)
DISK_LOW = Fault("disk-low", "warning", "On a full disk each turn is refused.")
DISK_FULL = Fault("disk-full", "critical", "On a full disk each turn is refused.")
FAULTS = (KNOWN_BAD, NETWORK, DISK_LOW, DISK_FULL)

_MB = 1 << 20
_LOW, _FULL = 200 * _MB, 20 * _MB


def check(probe: SQLiteProbe) -> Iterator[Finding]:
    yield from _version(probe)
    if probe.free is not None:
        yield from _disk(probe.path, probe.size, probe.free)
    if probe.network:
        yield NETWORK.found(
            f"{probe.path} is on {probe.network}",
            "use a local disk, or Redis for several machines: --url redis://HOST:6379/0",
        )


def _version(probe: SQLiteProbe) -> Iterator[Finding]:
    if probe.wal_is_safe:
        yield ok("sqlite", f"SQLite {probe.version}")
        return
    yield KNOWN_BAD.found(
        f"SQLite {probe.version} has the WAL-reset bug",
        "give all workers a Python with SQLite 3.51.3 or newer (or 3.50.7, 3.44.6); a new file is "
        "then made with a write-ahead log",
    )


def _disk(path: str, size: int, free: int) -> Iterator[Finding]:
    what = f"{free / _MB:,.0f} MB are free, and the file has {size / _MB:,.0f} MB"
    fix = "make room on the disk of its directory, or let old sessions expire: connect(..., "
    fix += "ttl=30 * 86400)"
    if free < _FULL:
        yield DISK_FULL.found(what, fix, path)
    elif free < max(_LOW, size):  # a vacuum may need as much again as the file
        yield DISK_LOW.found(what, fix, path)
    else:
        yield ok("disk", what, path)
