"""All checks of one deployment, in the order in which a person would look."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from turnwise.doctor import (
    acl,
    client,
    clock,
    cluster,
    connection,
    latency,
    memory,
    persistence,
    replication,
    server,
    sqlite,
)
from turnwise.doctor.findings import Finding, Report, ok
from turnwise.errors import StoreError, StoreRefused
from turnwise.session import Session
from turnwise.stores.redis import RedisStore
from turnwise.stores.sqlite import SQLiteStore
from turnwise.stores.sqlite.probe import probe

FAULTS = tuple(
    fault
    for module in (
        *(connection, server, memory, persistence, replication, cluster),
        *(acl, clock, latency, client, sqlite),
    )
    for fault in module.FAULTS
)
"""Every fault that doctor knows."""


async def diagnose(session: Session) -> Report:
    """Check the deployment behind a session object: its servers, its client, its disk.

    It changes nothing. On Redis it tries the user's rights on two keys of its own, which are gone
    when the answer comes; and it sends 100 pings to each server.

    Args:
        session: The sessions of the deployment, with the client and the options of the application.

    Returns:
        What was found. A store that does not answer is a finding, no exception.
    """
    store = session.runtime.store
    if isinstance(store, SQLiteStore):
        return Report(await _sqlite(store))
    try:
        if isinstance(store, RedisStore):
            return Report(await _redis(store, session.runtime.settings.lease))
    except StoreError as error:
        return Report([connection.failure(error, "redis-cli -u URL PING")])
    return Report([ok("memory", "sessions are in this process, and end with it")])


async def _redis(store: RedisStore, lease: float) -> list[Finding]:
    try:
        await store.ping()
    except StoreRefused as error:
        # A server that cannot save refuses a PING too; what it tells of itself says more.
        if "MISCONF" not in str(error):
            raise
    probe = await store.probe()

    def checks() -> Iterator[Finding]:
        for module in (connection, server, persistence, memory, replication, cluster):
            yield from module.check(probe)
        yield from acl.check(probe, store.keys.prefix)
        yield from clock.check(probe)
        yield from latency.check(probe)
        yield from client.check(probe, lease)

    return list(checks())


async def _sqlite(store: SQLiteStore) -> list[Finding]:
    seen = await asyncio.to_thread(probe, store.path)
    found = list(sqlite.check(seen))
    try:
        # A file that can be made is not made here.
        if seen.exists or not seen.can_be_made:
            await store.ping()
    except StoreError as error:
        if not seen.network:
            found.append(connection.failure(error, f"ls -ld {store.path}; fuser -v {store.path}"))
    return found
