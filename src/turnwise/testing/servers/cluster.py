"""A Cluster: primaries and replicas, slots that move, primaries that fail over."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal, Self

from .binaries import find_server
from .members import SLOTS, Members
from .migration import SlotMigration
from .node import BASE, Config, Node
from .temporary import TemporaryDirectory
from .waiting import until


class ValkeyCluster:
    """A Cluster of `primaries` that share the slots evenly, and `replicas` dealt out to them.

    When the block is entered, every node finds the cluster ok, knows every replica, and every
    replica follows its primary. `node_timeout` (ms): a primary that is silent for that long is
    replaced, so a crash is survived in about twice that time. `config`: further directives.

    Nodes are `nodes`, primaries first (as they were at the start). They can be paused, killed and
    restarted like single servers; `wait_ready()` then waits until the living ones are well.
    """

    def __init__(
        self,
        primaries: int = 3,
        replicas: int = 3,
        *,
        node_timeout: int = 2_000,
        binary: Path | None = None,
        config: Config | None = None,
        timeout: float = 60.0,
    ) -> None:
        self._temporary = TemporaryDirectory(self)
        self._primaries = primaries
        self._timeout = timeout
        settings = {**BASE, **_cluster_settings(node_timeout), **(config or {})}
        binary = binary or find_server()
        self.nodes: Sequence[Node] = [
            Node(
                binary,
                self._temporary.path / f"node-{number}",
                settings,
                ports=("port", "cluster-port"),
            )
            for number in range(primaries + replicas)
        ]

    @property
    def url(self) -> str:
        """redis+cluster://127.0.0.1:<port>/0, of a node that is alive."""
        return f"redis+cluster://{self.address}/0"

    @property
    def node_url(self) -> str:
        """redis://127.0.0.1:<port>/0, as `redis.asyncio.RedisCluster.from_url` wants it."""
        return f"redis://{self.address}/0"

    @property
    def address(self) -> str:
        """Host and port of a node that is alive."""
        return f"{self.living[0].host}:{self.living[0].port}"

    @property
    def living(self) -> list[Node]:
        """The nodes that have a process."""
        return [node for node in self.nodes if node.alive]

    async def start(self) -> None:
        """Start the nodes and make them one cluster. Raises ServerFailed, TimeoutError."""
        await asyncio.gather(*(node.start() for node in self.nodes))
        await self._share_slots()
        await self._introduce()
        await self._attach_replicas()
        await self.wait_ready()

    async def stop(self) -> None:
        """Kill every node and remove the files."""
        await asyncio.gather(*(node.kill() for node in self.nodes))
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
        """Wait until all living nodes agree on a cluster that is ok, and replicas follow.

        Clients then see every living node."""
        await until(self._is_ready, self._timeout, "the cluster was ready")

    async def primary_of(self, slot: int) -> Node:
        """The owner of `slot`, as a living node sees it, though it may be dead just now."""
        members = await Members.seen_by(self.living[0])
        return self._node(members.owner(slot).port)

    async def replicas_of(self, primary: Node) -> list[Node]:
        """The living replicas of `primary`, as a living node sees it."""
        members = await Members.seen_by(self.living[0])
        found = members.replicas_of(members.at(primary.port))
        nodes = [self._node(member.port) for member in found]
        return [node for node in nodes if node.alive]

    async def failover(
        self, slot: int, how: Literal["graceful", "force", "takeover"] = "graceful"
    ) -> Node:
        """Make a replica the primary of `slot`; all living nodes know it in the end.

        *graceful* loses no write; *force* does not ask the old primary, *takeover* does not ask
        the other primaries either. Returns the new primary.
        """
        old = await self.primary_of(slot)
        replica = (await self.replicas_of(old))[0]
        option = [] if how == "graceful" else [how.upper()]
        # The others do not vote twice for one shard within two node timeouts, and then the
        # attempt ends without a word: ask again.
        for attempt in range(3):
            await replica.command("CLUSTER", "FAILOVER", *option)
            try:
                return await self.wait_primary_changed(slot, old, timeout=6)
            except TimeoutError:
                if attempt == 2:
                    raise
        raise AssertionError("unreachable")

    async def wait_primary_changed(
        self, slot: int, old: Node, *, timeout: float | None = None
    ) -> Node:
        """Wait until all living nodes name the same primary of `slot`, and it is not `old`.

        For use after `old.kill()` or `old.pause()` (a paused node is not asked).
        """
        askable = [node for node in self.living if node is not old]

        async def changed() -> bool:
            views = await asyncio.gather(*map(Members.seen_by, askable))
            ports = {view.owner(slot).port for view in views}
            return len(ports) == 1 and old.port not in ports

        await until(changed, timeout or self._timeout, f"slot {slot} had a new primary")
        members = await Members.seen_by(askable[0])
        return self._node(members.owner(slot).port)

    @asynccontextmanager
    async def migration(self, slot: int, target: Node) -> AsyncIterator[SlotMigration]:
        """Move `slot` to the primary `target`, live: inside the block it is on its way.

        Some keys may be moved in the block, by `move()`; the rest follows at its end, then the
        slot changes hands. If the block raises, the slot stays open, on both sides.
        """
        source = await self.primary_of(slot)
        primaries = [node for node in self.living if await node.is_primary()]
        migration = SlotMigration(slot, source, target, primaries)
        await migration.begin()
        yield migration
        await migration.finish()
        await self._wait_owner(slot, target)

    async def migrate(self, slot: int, target: Node) -> None:
        """Move `slot` with its keys to the primary `target`, live."""
        async with self.migration(slot, target):
            pass

    async def _wait_owner(self, slot: int, owner: Node) -> None:
        async def known() -> bool:
            views = await asyncio.gather(*map(Members.seen_by, self.living))
            return all(view.owner(slot).port == owner.port for view in views)

        await until(known, self._timeout, f"all nodes knew the new owner of slot {slot}")

    async def _share_slots(self) -> None:
        for number, node in enumerate(self.nodes):
            # Distinct epochs from the start; the nodes would otherwise have to agree on them first.
            await node.command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for number, node in enumerate(self.nodes[: self._primaries]):
            first = SLOTS * number // self._primaries
            last = SLOTS * (number + 1) // self._primaries - 1
            await node.command("CLUSTER", "ADDSLOTSRANGE", first, last)

    async def _introduce(self) -> None:
        # Everybody to everybody: gossip alone takes seconds.
        for number, node in enumerate(self.nodes):
            for other in self.nodes[number + 1 :]:
                address = other.host, other.port, other.port_of("cluster-port")
                await node.command("CLUSTER", "MEET", *address)

        async def acquainted() -> bool:
            views = await asyncio.gather(*map(Members.seen_by, self.nodes))
            return all(view.all_known(len(self.nodes)) for view in views)

        await until(acquainted, self._timeout, "all nodes knew each other")

    async def _attach_replicas(self) -> None:
        for number, replica in enumerate(self.nodes[self._primaries :]):
            primary = self.nodes[number % self._primaries]
            await replica.command("CLUSTER", "REPLICATE", await primary.command("CLUSTER", "MYID"))

    async def _is_ready(self) -> bool:
        views = await asyncio.gather(*map(Members.seen_by, self.living))
        if not all(view.ok and view.same_as(views[0]) for view in views):
            return False
        primaries = [member.port for member in views[0].living if member.is_primary]
        replicas = [node for node in self.living if node.port not in primaries]
        if len(primaries) != self._primaries or len(views[0].living) != len(self.living):
            return False
        if not all(await asyncio.gather(*(node.follows_primary() for node in replicas))):
            return False
        shown = await asyncio.gather(*map(_ports_shown, self.living))
        return all(ports == {node.port for node in self.living} for ports in shown)

    def _node(self, port: int) -> Node:
        return next(node for node in self.nodes if node.port == port)


async def _ports_shown(node: Node) -> set[int]:
    """The ports that `node` reports to a client."""
    shards = await node.command("CLUSTER", "SLOTS")
    return {int(address[1]) for _, _, *addresses in shards for address in addresses}


def _cluster_settings(node_timeout: int) -> Config:
    return {
        "cluster-enabled": "yes",
        "cluster-config-file": "nodes.conf",
        "cluster-node-timeout": str(node_timeout),
        # Any replica may take over, however long it was cut off: tests pause replicas.
        "cluster-replica-validity-factor": "0",
        "cluster-allow-replica-migration": "no",
    }
