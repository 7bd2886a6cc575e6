"""The server's version, and its cache of scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from turnwise.doctor.findings import Fault, Finding, ok
from turnwise.stores.redis.probe import RedisProbe, Server

Version = tuple[int, ...]

SERVER_SILENT = Fault(
    "server-silent", "warning", "It holds nothing for a failover, or serves no part of the data."
)
TOO_OLD = Fault("server-too-old", "critical", "Turnwise's scripts need Redis 7.0 or Valkey.")
KNOWN_BAD = Fault(
    "server-known-bad", "warning", "Its release notes tell of a bug that harms deployments as ours."
)
SCRIPT_CACHE = Fault(
    "script-cache",
    "warning",
    "Somebody writes values into the text of scripts. Each text stays in the server's memory, or "
    "pushes Turnwise's scripts out, which are then sent whole again.",
)
FAULTS = (SERVER_SILENT, TOO_OLD, KNOWN_BAD, SCRIPT_CACHE)

_OLDEST = (7, 0)
_MANY_SCRIPTS = 1000


@dataclass(frozen=True)
class _Bug:
    """A bug of the versions from the first (inclusive) to the second (exclusive) of each range."""

    product: str
    what: str
    ranges: tuple[tuple[Version, Version], ...]
    with_tls: bool = False


_BUGS = (
    _Bug(
        "Redis",
        "who may run scripts may run code on the server (CVE-2025-49844)",
        (
            ((0,), (6, 2, 20)),
            ((7, 0, 0), (7, 2, 11)),
            ((7, 4, 0), (7, 4, 6)),
            ((8, 0, 0), (8, 0, 4)),
            ((8, 2, 0), (8, 2, 2)),
        ),
    ),
    _Bug(
        "Redis",
        "with TLS, anybody who reaches the port may run code on the server (CVE-2026-81934)",
        (
            ((0,), (6, 2, 24)),
            ((7, 0, 0), (7, 2, 16)),
            ((7, 4, 0), (7, 4, 11)),
            ((8, 0, 0), (8, 2, 9)),
            ((8, 4, 0), (8, 4, 6)),
            ((8, 6, 0), (8, 6, 6)),
            ((8, 8, 0), (8, 8, 2)),
            ((8, 10, 0), (8, 10, 1)),
        ),
        with_tls=True,
    ),
    _Bug(
        "Valkey",
        "who may run scripts may run code on the server (CVE-2025-49844)",
        (((7, 2, 0), (7, 2, 11)), ((8, 0, 0), (8, 0, 6)), ((8, 1, 0), (8, 1, 4))),
    ),
    _Bug(
        "Valkey",
        "after a crash and two restarts, writes are missing from the append-only file: each script "
        "of Turnwise is a MULTI block there (pull request 4342)",
        (
            ((7, 2, 0), (7, 2, 15)),
            ((8, 0, 0), (8, 0, 11)),
            ((8, 1, 0), (8, 1, 10)),
            ((9, 0, 0), (9, 0, 6)),
        ),
    ),
    _Bug(
        "Valkey",
        "anybody who reaches the port may damage the server's memory (GHSA-fq2f-crmw-q97r)",
        (((9, 1, 0), (9, 1, 2)),),
    ),
)


def check(probe: RedisProbe) -> Iterator[Finding]:
    for server in probe.servers:
        if server.error:
            yield SERVER_SILENT.found(
                f"it does not answer ({server.error})",
                "start it, or take it out of the deployment",
                server.address,
            )
        else:
            yield from _version(server, tls=probe.settings.tls)
            yield from _scripts(server)


def _version(server: Server, *, tls: bool) -> Iterator[Finding]:
    product, text = product_of(server)
    version = tuple(map(int, re.findall(r"\d+", text)))
    faults = list(_faults_of(product, version, text, server.address, tls=tls))
    yield from faults or [ok("server", f"{product} {text}", server.address)]


def product_of(server: Server) -> tuple[str, str]:
    """Its name and its version."""
    if "valkey_version" in server.info:
        return "Valkey", str(server.info["valkey_version"])
    return "Redis", str(server.info.get("redis_version", ""))


def _faults_of(
    product: str, version: Version, text: str, where: str, *, tls: bool
) -> Iterator[Finding]:
    if version and version < _OLDEST:
        yield TOO_OLD.found(
            f"it is {product} {text}", "upgrade it to Valkey 9.1 or a supported Redis", where
        )
    for bug in _BUGS:
        if bug.product != product or (bug.with_tls and not tls):
            continue
        for first, fixed in bug.ranges:
            if first <= version < fixed:
                yield KNOWN_BAD.found(
                    f"{product} {text}: {bug.what}",
                    f"upgrade to {product} {'.'.join(map(str, fixed))} or newer; some "
                    "distributions mend it without a new number: see their changelog",
                    where,
                )


def _scripts(server: Server) -> Iterator[Finding]:
    cached = int(server.info.get("number_of_cached_scripts", 0))
    evicted = int(server.info.get("evicted_scripts", 0))
    if cached > _MANY_SCRIPTS or evicted:
        yield SCRIPT_CACHE.found(
            f"{cached} scripts are cached, {evicted} were pushed out; Turnwise has fewer than 50",
            "have the other application pass values as ARGV; then redis-cli SCRIPT FLUSH ASYNC",
            server.address,
        )
    else:
        yield ok("script-cache", f"{cached} scripts are cached", server.address)
