"""SCAN over the keys of all sessions, on every primary of a cluster."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from typing import Any

from redis.asyncio import RedisCluster
from redis.exceptions import ClusterDownError
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import TimeoutError as TimedOut

from turnwise.errors import UsageError
from turnwise.stores.redis.commands import RAW
from turnwise.stores.redis.transport import Transport

_COUNT = 500
_OUTAGES = Disconnected, TimedOut, ClusterDownError
_CURSOR = re.compile(r"[0-9]{1,20}")


class Scan:
    """Pages of the keys that hold lists and match a pattern, and what the lists begin with.

    A key may come twice.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def pages(self, pattern: str) -> AsyncIterator[list[str]]:
        cursor: str | None = None
        while True:
            keys, cursor, _ = await self.page(pattern, cursor)
            yield keys
            if cursor is None:
                break

    async def page(
        self, pattern: str, cursor: str | None = None, count: int = _COUNT
    ) -> tuple[list[str], str | None, Any]:
        """Keys, the next cursor, and the node that has them.

        A cursor is the server's; on a cluster it names the node that it belongs to.
        """
        nodes = {"" if node is None else node.name: node for node in await self.nodes()}
        names = sorted(nodes)
        name, _, text = (f"{names[0]}/0" if cursor is None else str(cursor)).rpartition("/")
        if name not in nodes or not _CURSOR.fullmatch(text) or int(text) >= 2**64:
            raise UsageError(
                f"{ascii(cursor)[:80]} is no cursor of these servers, or one of them was replaced: "
                "begin again without a cursor"
            )
        options = {"match": pattern, "count": count, "_type": "list"}
        position, found = await self._page(nodes[name], int(text), options)
        later = names[names.index(name) + 1 :]
        following = f"{name}/{position}" if position else f"{later[0]}/0" if later else None
        keys = [key if isinstance(key, str) else key.decode(errors="replace") for key in found]
        return keys, following, nodes[name]

    async def now(self, node: Any) -> int:
        """The time of a node, in ms."""
        client, options = self._transport.client, {} if node is None else {"target_nodes": node}
        seconds, micros = await self._transport.call(lambda: client.time(**options))
        return int(seconds) * 1000 + int(micros) // 1000

    async def first_elements(self, keys: Sequence[str]) -> list[Any]:
        """The first element of each list; None or an error where there is none.

        Raises StoreUnavailable if a server does not answer.
        """
        client = self._transport.client

        async def send() -> Any:
            pipeline: Any = client.pipeline(transaction=False)
            for key in keys:
                pipeline.execute_command("LINDEX", key, 0, **RAW)
            replies = await pipeline.execute(raise_on_error=False)
            # On a cluster, those of other nodes come all the same.
            if outage := next((each for each in replies if isinstance(each, _OUTAGES)), None):
                raise outage
            return replies

        found: list[Any] = await self._transport.call(send) if keys else []
        return found

    async def nodes(self) -> list[Any]:
        """The primaries of a cluster, or None for the one server."""
        client = self._transport.client
        if isinstance(client, RedisCluster):
            await self._transport.call(client.initialize)  # it knows no nodes before
            return list(client.get_primaries())
        return [None]

    async def _page(self, node: Any, cursor: int, options: dict[str, Any]) -> tuple[int, list[Any]]:
        client = self._transport.client

        async def send() -> Any:
            if node is None:
                return await client.scan(cursor, **options)
            # redis-py's types do not know that a cluster's answer names the node.
            by_node: Any
            by_node, keys = await client.scan(cursor, target_nodes=node, **options)
            return next(iter(by_node.values())), keys

        cursor, keys = await self._transport.call(send)
        return cursor, keys
