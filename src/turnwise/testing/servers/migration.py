"""A slot of a Cluster on its way from one primary to another."""

from collections.abc import Sequence

from .node import Node

_BATCH = 100
_TIMEOUT_MS = 5_000


class SlotMigration:
    """The steps that tools such as redis-cli take, one by one.

    Between `begin` and `finish` the source answers ASK for keys it no longer has.
    """

    def __init__(self, slot: int, source: Node, target: Node, primaries: Sequence[Node]) -> None:
        self.slot = slot
        self.source = source
        self.target = target
        self._primaries = primaries

    async def begin(self) -> None:
        """The target first, as it must accept what the source sends it."""
        await self._set_slot(self.target, "IMPORTING", await _id(self.source))
        await self._set_slot(self.source, "MIGRATING", await _id(self.target))

    async def keys(self, limit: int = _BATCH) -> list[bytes]:
        """Up to `limit` keys that are still at the source."""
        words = "CLUSTER", "GETKEYSINSLOT", self.slot, limit
        return list(await self.source.command(*words, decode=False))

    async def move(self, *keys: bytes) -> None:
        """Move `keys`, or all there are if none is given."""
        if keys:
            await self._migrate(keys)
        while not keys and (batch := await self.keys()):
            await self._migrate(batch)

    async def finish(self) -> None:
        """Move what is left, and assign the slot to the target on every primary."""
        await self.move()
        owner = await _id(self.target)
        others = [node for node in self._primaries if node not in (self.target, self.source)]
        for node in (self.target, self.source, *others):
            await self._set_slot(node, "NODE", owner)

    async def _migrate(self, keys: Sequence[bytes]) -> None:
        address = self.target.host, self.target.port
        await self.source.command("MIGRATE", *address, "", 0, _TIMEOUT_MS, "KEYS", *keys)

    async def _set_slot(self, node: Node, *state: str) -> None:
        await node.command("CLUSTER", "SETSLOT", self.slot, *state)


async def _id(node: Node) -> str:
    return str(await node.command("CLUSTER", "MYID"))
