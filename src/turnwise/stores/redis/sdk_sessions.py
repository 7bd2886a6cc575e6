"""Conversations that the Agents SDK's RedisSession keeps. Nothing is written."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from typing import Any

from redis.exceptions import RedisError

from turnwise.errors import StoreUnavailable, UsageError
from turnwise.stores.redis.clients import close, standalone_client
from turnwise.types import SDKConversation, SDKItem

_PAGE = 1000
_GLOB = re.compile(r"([*?\[\]\\])")


class SDKKeys:
    """The keys of `RedisSession` under one prefix, on one server."""

    def __init__(self, url: str, key_prefix: str) -> None:
        try:
            self._client = standalone_client(url)
        except ValueError as error:
            raise UsageError(f"the URL of the SDK's sessions is none of Redis: {error}") from None
        self._prefix = key_prefix

    async def close(self) -> None:
        await close(self._client)

    async def ids(self) -> AsyncIterator[str]:
        """The ids of all sessions; one may come twice."""
        pattern, cursor = _GLOB.sub(r"\\\1", self._prefix) + ":*", 0
        while True:
            cursor, keys = await self._call(
                "SCAN", cursor, "MATCH", pattern, "COUNT", _PAGE, "TYPE", "hash"
            )
            for key in keys:
                yield key.decode(errors="surrogateescape")[len(self._prefix) + 1 :]
            if not (cursor := int(cursor)):
                return

    async def read(self, session_id: str) -> SDKConversation:
        """A session."""
        key = f"{self._prefix}:{session_id}".encode(errors="surrogateescape")
        created, updated = await self._call("HMGET", key, "created_at", "updated_at")
        left_ms = await self._call("PTTL", key + b":messages")
        items: list[Any] = []
        while page := await self._call(
            "LRANGE", key + b":messages", len(items), len(items) + _PAGE - 1
        ):
            items += page
        at = _seconds(updated)
        return SDKConversation(
            session_id,
            [SDKItem(data, at) for data in items],
            created_at=_seconds(created),
            expires_at=time.time() + left_ms / 1000 if left_ms >= 0 else None,
        )

    async def _call(self, *command: Any) -> Any:
        client: Any = self._client  # whose commands have no types
        try:
            return await client.execute_command(*command)
        except (RedisError, OSError) as error:
            raise StoreUnavailable(f"the server of the SDK's sessions failed: {error}") from None


def _seconds(value: bytes | None) -> float | None:
    try:
        return None if value is None else float(value)
    except ValueError:
        return None
