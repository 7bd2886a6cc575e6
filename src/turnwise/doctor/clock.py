"""The clock of each server against the one here."""

from __future__ import annotations

from collections.abc import Iterator

from turnwise.doctor.findings import Fault, Finding, ok
from turnwise.stores.redis.probe import RedisProbe

SKEW = Fault(
    "clock-skew",
    "warning",
    "Leases and expiries go by the server's clock. After a failover to a server whose clock "
    "differs, leases end early or late; and times in logs do not fit those in the store.",
)
FAULTS = (SKEW,)

_LARGEST = 2.0


def check(probe: RedisProbe) -> Iterator[Finding]:
    for server in probe.servers:
        if server.error:
            continue
        what = f"its clock is {abs(server.skew):.1f} s {'ahead' if server.skew > 0 else 'behind'}"
        if abs(server.skew) > _LARGEST:
            fix = "chronyc makestep, here and there, and let chronyd run"
            yield SKEW.found(what, fix, server.address)
        else:
            yield ok("clock", what, server.address)
