"""Rights: whether the user may do all that Turnwise does."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from turnwise.doctor.findings import Fault, Finding, ok, unknown
from turnwise.doctor.server import reads_with_rights
from turnwise.stores.redis.probe import RedisProbe
from turnwise.stores.redis.rights import COMMANDS

RIGHTS = Fault("rights-missing", "critical", "What needs them raises StoreRefused.")
CHANNELS = Fault(
    "channels-missing",
    "warning",
    "Nobody is woken: callers and background workers poll every 250 ms, and cancels come late.",
)
DEFAULT_USER = Fault(
    "default-user-rights",
    "critical",
    "This version reads its append-only file with the default user's rights, and drops what these "
    "forbid: after a restart all conversations are gone.",
)
FAULTS = (RIGHTS, CHANNELS, DEFAULT_USER)

_CHANNELS = ("publish", "subscribe", "unsubscribe")


def check(probe: RedisProbe, key_prefix: str) -> Iterator[Finding]:
    yield from _default_user(probe)
    if isinstance(probe.denied, str):
        yield unknown(
            "acl", f"the rights could not be tried ({probe.denied})", "mend the other faults first"
        )
        return
    for fault, about_channels in ((RIGHTS, False), (CHANNELS, True)):
        denied = [each for each in probe.denied if (each.command in _CHANNELS) == about_channels]
        if denied:
            commands = sorted({each.command for each in denied})
            what = f"user {probe.user!r} may not: {', '.join(commands)} ({denied[0].answer})"
            keys = [f"~{key_prefix}*", f"~{{{key_prefix}*"]
            patterns = [f"&{{{key_prefix}*"] if about_channels else keys
            rights = [probe.user, *patterns, *(f"+{command}" for command in commands)]
            yield fault.found(what, f"redis-cli ACL SETUSER {shlex.join(rights)}")
    if not probe.denied:
        yield ok("acl", f"user {probe.user!r} may run all {len(COMMANDS)} commands")


def _default_user(probe: RedisProbe) -> Iterator[Finding]:
    user = probe.default_user
    is_limited = user and not ("+@all" in user["commands"] and "~*" in user["keys"].split())
    for server in probe.servers if is_limited else ():
        if int(server.info.get("aof_enabled", 0)) and reads_with_rights(server):
            yield DEFAULT_USER.found(
                f"the default user may not do everything ({user['commands']}), and there is an "
                "append-only file",
                "redis-cli ACL SETUSER default '~*' '&*' +@all, and the same in its file. While it "
                "is off, nobody can log in as it",
                server.address,
            )
