"""The server's version, and its cache of scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from turnwise.doctor.findings import Fault, Finding, ok, unknown
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

    def fixed_in(self, version: Version) -> Version | None:
        """Which version to upgrade to; None if this one does not have the bug."""
        return next((fixed for first, fixed in self.ranges if first <= version < fixed), None)


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


_READS_WITH_RIGHTS = _Bug(
    "Valkey",
    "reads the append-only file with the rights of the default user",
    (*_BUGS[3].ranges, ((9, 1, 0), (9, 1, 2))),
)


def reads_with_rights(server: Server) -> bool:
    """Whether it reads its append-only file with the default user's rights.

    Redis 7.0.15 does, and for no other version of Redis is it known that it does not.
    """
    product, version, _ = version_of(server)
    return product == "Redis" or _READS_WITH_RIGHTS.fixed_in(version) is not None


def check(probe: RedisProbe) -> Iterator[Finding]:
    for server in probe.servers:
        if server.error:
            yield SERVER_SILENT.found(
                f"it does not answer ({server.error})",
                "start it, or take it out of the deployment",
                server.address,
            )
        elif not server.info:
            yield unknown("server", "INFO is refused", "give the user +info", server.address)
        else:
            yield from _version(server, tls=probe.settings.tls)
            yield from _scripts(server)


def _version(server: Server, *, tls: bool) -> Iterator[Finding]:
    product, version, text = version_of(server)
    faults = list(_faults_of(product, version, text, server.address, tls=tls))
    yield from faults or [ok("server", f"{product} {text}", server.address)]


def version_of(server: Server) -> tuple[str, Version, str]:
    """The product's name, its version, and that as text."""
    product = "Valkey" if "valkey_version" in server.info else "Redis"
    text = str(server.info.get(f"{product.lower()}_version", ""))
    return product, tuple(map(int, re.findall(r"\d+", text))), text


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
        if fixed := bug.fixed_in(version):
            yield KNOWN_BAD.found(
                f"{product} {text}: {bug.what}",
                f"upgrade to {product} {'.'.join(map(str, fixed))} or newer; some distributions "
                "mend it without a new number: see their changelog",
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
