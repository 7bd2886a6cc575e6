"""The topologies: real servers on this machine, started for one round and stopped after it."""

from __future__ import annotations

import glob
import os
import tempfile
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, ClassVar, Self

from chaos.clients import Site
from chaos.nginx import Nginx
from chaos.operations import ALL_KINDS
from chaos.operations.http import SENT_OVER_HTTP
from chaos.protocol import WorkerConfig
from chaos.workload import WorkloadConfig
from turnwise import SQLiteSession, connect
from turnwise.session import Session
from turnwise.testing.proxy import FaultProxy
from turnwise.testing.servers import (
    Node,
    RedisServer,
    ValkeyCluster,
    ValkeySentinel,
    ValkeyServer,
    find_valkey,
)
from turnwise.testing.servers.ports import free_port
from turnwise.testing.servers.waiting import until

PREFIX = "chaos:"
_REPLICATION_TIMEOUT = 30.0
"""Seconds in which a replica has the primary's data."""
_MOST_REPLICAS = 8
_LIBFAKETIME = "/usr/lib/*/faketime/libfaketimeMT.so.1"


def faketime() -> Path | None:
    """Debian's libfaketime, or the one that CHAOS_FAKETIME names; without it no clock steps."""
    given = os.environ.get("CHAOS_FAKETIME")
    found = [given] if given else sorted(glob.glob(_LIBFAKETIME))
    return Path(found[0]) if found else None


class Topology:
    """A store on real servers. `share` is its share of a run's time.

    Where there is a `proxy` that injects network faults, every other worker connects through it.
    `site` is where the workers serve HTTP, if they do.
    """

    name: ClassVar[str]
    share: ClassVar[float] = 1.0
    ttl: ClassVar[float | None] = None
    workload: ClassVar[WorkloadConfig] = WorkloadConfig()
    site: Site | None = None
    url = ""
    proxy: FaultProxy | None = None

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="turnwise-chaos-"))
        self.execution_log = self.directory / "executions"
        self.stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stack.aclose()
        for path in sorted(self.directory.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        self.directory.rmdir()

    async def start(self) -> None:
        """Start everything, on `self.stack`."""

    async def heal(self) -> None:
        """Restart what is down, and wait until everything is healthy."""

    def worker_config(self, number: int, name: str, lease: float) -> WorkerConfig:
        """The settings of worker `number`: every third uses redis-py's own retries."""
        url = self.proxy.url if self.proxy is not None and number % 2 == 0 else self.url
        client = "redis-py" if number % 3 == 1 else "turnwise"
        log = str(self.execution_log)
        return WorkerConfig(name, url, lease, log, client, self.ttl, PREFIX)

    def connect(self, lease: float) -> Session:
        """For the checks: bypasses the proxy."""
        return connect(self.url, lease=lease, key_prefix=PREFIX)

    def servers(self) -> list[Node]:
        """The servers that are up and hold data: primaries and replicas."""
        return []


class SingleServer(Topology):
    """One server that syncs every command to its disk, behind a proxy."""

    server: ValkeyServer
    clock_file: Path | None = None
    """The file that libfaketime reads the server's clock offset from."""

    def make_server(self) -> ValkeyServer:
        return ValkeyServer(appendonly="always")

    async def start(self) -> None:
        self.server = await self.stack.enter_async_context(self.make_server())
        self.url = self.server.url
        self.proxy = await self.stack.enter_async_context(FaultProxy.before(self.server.url))

    async def heal(self) -> None:
        if not self.server.alive:
            await self.server.restart()
        self.server.resume()
        await self.server.wait_ready()

    def servers(self) -> list[Node]:
        return [self.server] if self.server.alive else []


class Valkey(SingleServer):
    """Valkey. It gets a larger share: it does the most operations per second."""

    name = "valkey"
    share = 1.5


class ValkeyWithClock(SingleServer):
    """Valkey with libfaketime preloaded: its clock can be stepped."""

    name = "valkey-clock"
    share = 0.2

    def make_server(self) -> ValkeyServer:
        library, binary = faketime(), find_valkey()
        assert library is not None
        assert binary is not None
        self.clock_file = self.directory / "clock"
        self.clock_file.write_text("+0")
        script = self.directory / "server.sh"
        script.write_text(
            "#!/bin/sh\n"
            f"export LD_PRELOAD='{library}' FAKETIME_TIMESTAMP_FILE='{self.clock_file}'\n"
            "export FAKETIME_CACHE_DURATION=1 FAKETIME_DONT_FAKE_MONOTONIC=1\n"
            f'exec "{binary}" "$@"\n'
        )
        script.chmod(0o700)
        return ValkeyServer(appendonly="always", binary=script)


class Redis(SingleServer):
    """Debian's Redis; sessions have a TTL."""

    name = "redis"
    share = 1.5
    ttl = 3600.0

    def make_server(self) -> ValkeyServer:
        return RedisServer(appendonly="always")


class Served(SingleServer):
    """Valkey, and workers that serve HTTP behind nginx. Clients of every wire ask them.

    A worker and the one that replaces it have different ports, since both live for a while.
    """

    name = "served"
    share = 2.0
    nginx: Nginx
    workload = WorkloadConfig(
        clients=32,
        turn_sessions=24,
        plain_sessions=0,
        approval_sessions=0,
        policy_sessions=0,
        duplicate_share=0.15,
        cancel_share=0.05,
        twin_share=0.1,
        peek_share=0.2,
        weights={kind.name: float(kind.name in SENT_OVER_HTTP) for kind in ALL_KINDS},
    )

    async def start(self) -> None:
        await super().start()
        self._ports = [free_port() for _ in range(2 * _MOST_REPLICAS)]
        self._started = Counter[int]()
        self.nginx = await self.stack.enter_async_context(Nginx(self.directory, self._ports))
        self.site = Site(self.nginx.address)
        self.stack.push_async_callback(self.site.aclose)

    def worker_config(self, number: int, name: str, lease: float) -> WorkerConfig:
        """The settings of worker `number`."""
        self._started[number] += 1
        config = super().worker_config(number, name, lease)
        config.client = "turnwise"
        config.port = self._ports[2 * number + self._started[number] % 2]
        return config


class Balanced(Topology):
    """A primary and its replica behind the proxy, which leads all clients to one of them.

    So does a load balancer. `primary` is the one that it leads to.
    """

    name = "balanced"
    share = 0.5
    proxy: FaultProxy
    primary: ValkeyServer
    replica: ValkeyServer

    async def start(self) -> None:
        # One that lost its primary reads nothing: what it had would be old.
        config = {"replica-serve-stale-data": "no"}
        self.primary = await self.stack.enter_async_context(ValkeyServer(config=config))
        self.replica = await self.stack.enter_async_context(ValkeyServer(config=config))
        self.proxy = await self.stack.enter_async_context(FaultProxy.before(self.primary.url))
        self.url = self.proxy.url

    async def fail_over(self) -> None:
        """Swap the two, losing nothing. The old primary is cut off from the new one, and keeps its
        clients' connections; new ones lead to the new primary.
        """
        old, new = self.primary, self.replica
        for kind in ("normal", "pubsub"):  # those that it has kept since it was the primary
            await new.command("CLIENT", "KILL", "TYPE", kind)
        await new.command("REPLICAOF", old.host, old.port)
        await until(new.follows_primary, _REPLICATION_TIMEOUT, "the replica follows")
        await old.command("FAILOVER", "TO", new.host, new.port)
        await until(new.is_primary, _REPLICATION_TIMEOUT, "the replica is promoted")
        await old.command("REPLICAOF", old.host, free_port())
        self.primary, self.replica = new, old
        self.proxy.lead_to(new.host, new.port)

    def worker_config(self, number: int, name: str, lease: float) -> WorkerConfig:
        """The settings of worker `number`: each connects through the proxy."""
        client = "redis-py" if number % 3 == 1 else "turnwise"
        log = str(self.execution_log)
        return WorkerConfig(name, self.url, lease, log, client, self.ttl, PREFIX)

    def servers(self) -> list[Node]:
        return [self.primary, self.replica]


class SentinelGroup(Topology):
    """A primary and two replicas, watched by three Sentinels. Replication is asynchronous."""

    name = "sentinel"
    group: ValkeySentinel

    async def start(self) -> None:
        config = {"appendonly": "yes", "appendfsync": "everysec"}
        self.group = await self.stack.enter_async_context(ValkeySentinel(replicas=2, config=config))
        self.url = self.group.url

    async def heal(self) -> None:
        for node in (*self.group.nodes, *self.group.sentinels):
            if not node.alive:
                await node.restart()
            node.resume()
        await self.group.wait_ready()

    def servers(self) -> list[Node]:
        return [node for node in self.group.nodes if node.alive]


class Cluster(Topology):
    """Three primaries with a replica each. Replication is asynchronous."""

    name = "cluster"
    cluster: ValkeyCluster

    async def start(self) -> None:
        config = {"appendonly": "yes", "appendfsync": "everysec"}
        self.cluster = await self.stack.enter_async_context(
            ValkeyCluster(node_timeout=1_000, config=config)
        )

    @property
    def url(self) -> str:  # type: ignore[override]  # of a node that is up now
        return self.cluster.url

    async def heal(self) -> None:
        for node in self.cluster.nodes:
            if not node.alive:
                await node.restart()
            node.resume()
        await self.cluster.wait_ready()

    def servers(self) -> list[Node]:
        return self.cluster.living


class SQLite(Topology):
    """One SQLite file, several processes."""

    name = "sqlite"
    share = 0.6

    async def start(self) -> None:
        self.path = self.directory / "sessions.db"
        self.url = f"sqlite:///{self.path}"

    def worker_config(self, number: int, name: str, lease: float) -> WorkerConfig:
        return WorkerConfig(name, self.url, lease, str(self.execution_log))

    def connect(self, lease: float) -> Session:
        return SQLiteSession(str(self.path), lease=lease)


TOPOLOGIES: dict[str, type[Any]] = {
    kind.name: kind
    for kind in (Valkey, ValkeyWithClock, Redis, Served, Balanced, SentinelGroup, Cluster, SQLite)
}
