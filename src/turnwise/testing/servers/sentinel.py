"""A primary with replicas, watched by Sentinels."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from .binaries import find_server
from .node import BASE, Config, Node
from .ports import HOST
from .temporary import TemporaryDirectory
from .waiting import until

_PERIODS = "info-period", 500, "publish-period", 200

# In ms. When no Sentinel wins the vote, the next one is held after twice this time: with the
# default of 3 minutes a test would not live to see it.
_FAILOVER_TIMEOUT = 2_000


class ValkeySentinel:
    """A primary called `name`, its `replicas`, and `sentinels` that fail it over.

    When the block is entered, replicas follow the primary and every Sentinel knows all. A primary
    silent for `down_after` (ms) is replaced. `config`: further directives of primary and replicas.

    `nodes` are the servers, the first primary first; `sentinels` are the Sentinels. All can be
    paused, killed and restarted; `wait_ready()` then waits until the living ones are well.
    """

    def __init__(
        self,
        replicas: int = 1,
        sentinels: int = 3,
        *,
        name: str = "mymaster",
        down_after: int = 1_000,
        binary: Path | None = None,
        config: Config | None = None,
        timeout: float = 60.0,
    ) -> None:
        self.name = name
        self._temporary = TemporaryDirectory(self)
        self._timeout = timeout
        self._down_after = down_after
        binary = binary or find_server()
        settings = {**BASE, **(config or {})}
        path = self._temporary.path
        self.nodes: Sequence[Node] = [
            Node(binary, path / f"node-{number}", settings) for number in range(1 + replicas)
        ]
        self.sentinels: Sequence[Node] = [
            Node(binary, path / f"sentinel-{number}", {"bind": HOST}, arguments=["--sentinel"])
            for number in range(sentinels)
        ]

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Host and port of each Sentinel, as `redis.asyncio.Sentinel` wants them."""
        return [(sentinel.host, sentinel.port) for sentinel in self.sentinels]

    @property
    def url(self) -> str:
        """redis+sentinel://127.0.0.1:<port>,.../<name>/0"""
        hosts = ",".join(f"{host}:{port}" for host, port in self.addresses)
        return f"redis+sentinel://{hosts}/{self.name}/0"

    async def start(self) -> None:
        """Start everything and wait until it is ready. Raises ServerFailed, TimeoutError."""
        await asyncio.gather(*(node.start() for node in (*self.nodes, *self.sentinels)))
        await asyncio.gather(*(self._follow(node) for node in self.nodes[1:]))
        # A Sentinel asks at once for the replicas there are, and later only every few seconds.
        await until(self._replicas_follow, self._timeout, "the replicas followed")
        await asyncio.gather(*(self._watch(sentinel) for sentinel in self.sentinels))
        await self.wait_ready()

    async def stop(self) -> None:
        """Kill everything and remove the files."""
        await asyncio.gather(*(node.kill() for node in (*self.sentinels, *self.nodes)))
        self._temporary.remove()

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def wait_ready(self) -> None:
        """Wait until all living Sentinels see all living servers well, and replicas follow."""
        await until(self._is_ready, self._timeout, "the Sentinels were ready")

    async def primary(self) -> Node:
        """The primary, as a living Sentinel names it."""
        return self._node(await self._primary_port(self._living_sentinels[0]))

    async def failover(self) -> Node:
        """Ask a Sentinel for a failover; all living Sentinels know the new primary in the end.

        Waits for `wait_ready()` before. The old primary may think itself a primary for a moment
        longer. Returns the new primary.
        """
        await self.wait_ready()
        old = await self.primary()
        await until(self._accepted, self._timeout, "a Sentinel began the failover")
        return await self.wait_primary_changed(old)

    async def wait_primary_changed(self, old: Node) -> Node:
        """Wait until all living Sentinels name the same primary, not `old`, and it is one.

        For use after `old.kill()` or `old.pause()`.
        """

        async def changed() -> bool:
            ports = {await self._primary_port(sentinel) for sentinel in self._living_sentinels}
            return (
                len(ports) == 1 and old.port not in ports and await self._node(*ports).is_primary()
            )

        await until(changed, self._timeout, f"{self.name} had a new primary")
        return await self.primary()

    @property
    def _living_sentinels(self) -> list[Node]:
        return [sentinel for sentinel in self.sentinels if sentinel.alive]

    async def _follow(self, replica: Node) -> None:
        await replica.command("REPLICAOF", self.nodes[0].host, self.nodes[0].port)
        await replica.command("CONFIG", "REWRITE")

    async def _replicas_follow(self) -> bool:
        return all(await asyncio.gather(*(node.follows_primary() for node in self.nodes[1:])))

    async def _watch(self, sentinel: Node) -> None:
        # How often it asks for replicas, and says hello to the other Sentinels (ms).
        await sentinel.command("SENTINEL", "DEBUG", *_PERIODS)
        quorum = len(self.sentinels) // 2 + 1
        primary = self.nodes[0]
        await sentinel.command("SENTINEL", "MONITOR", self.name, HOST, primary.port, quorum)
        settings = (
            "down-after-milliseconds",
            self._down_after,
            "failover-timeout",
            _FAILOVER_TIMEOUT,
        )
        await sentinel.command("SENTINEL", "SET", self.name, *settings)

    async def _is_ready(self) -> bool:
        living = [node for node in self.nodes if node.alive]
        seen = [await self._well_replicas(sentinel) for sentinel in self._living_sentinels]
        primaries = {await self._primary_port(sentinel) for sentinel in self._living_sentinels}
        expected = {node.port for node in living} - primaries
        if len(primaries) != 1 or any(ports != expected for ports in seen):
            return False
        replicas = [node for node in living if node.port in expected]
        return all(await asyncio.gather(*(node.follows_primary() for node in replicas)))

    async def _well_replicas(self, sentinel: Node) -> set[int]:
        """The ports of the replicas in good state; none, if the primary or a Sentinel is not."""
        primary = _pairs(await sentinel.command("SENTINEL", "MASTER", self.name))
        others = int(primary["num-other-sentinels"])
        if primary["flags"] != "master" or others != len(self.sentinels) - 1:
            return set()
        found = map(_pairs, await sentinel.command("SENTINEL", "REPLICAS", self.name))
        return {
            int(replica["port"])
            for replica in found
            if replica["flags"] == "slave" and replica["master-link-status"] == "ok"
        }

    async def _accepted(self) -> bool:
        # Refused while an earlier failover is going on, or a replica was not heard of lately.
        await self._living_sentinels[0].command("SENTINEL", "FAILOVER", self.name)
        return True

    async def _primary_port(self, sentinel: Node) -> int:
        words = "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.name
        return int((await sentinel.command(*words))[1])

    def _node(self, port: int) -> Node:
        return next(node for node in self.nodes if node.port == port)


def _pairs(flat: list[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
