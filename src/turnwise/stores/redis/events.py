"""What running turns tell: a stream for each turn, which expires by itself."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from turnwise.limits import Limits
from turnwise.stores.event_log import PAGE, parse
from turnwise.stores.redis.keys import Keys
from turnwise.stores.redis.pubsub import Subscriptions, TokenWaiter
from turnwise.stores.redis.scripts import script
from turnwise.stores.redis.transport import Transport
from turnwise.types import Event, Events

_NO_ATTEMPT = 2**40


class RedisEvents:
    """The contract of `turnwise.contracts.EventLog` on streams."""

    def __init__(
        self, transport: Transport, keys: Keys, subscriptions: Subscriptions, limits: Limits
    ) -> None:
        self._transport = transport
        self._keys = keys
        self._subscriptions = subscriptions
        self._bounds = limits

    async def append(
        self,
        session_id: str,
        turn_id: str,
        attempt: int,
        index: int,
        events: Sequence[bytes],
        *,
        last: bool = False,
    ) -> bool:
        key, limits = self._keys.events(session_id, turn_id), self._bounds
        args = attempt, index, int(last), limits.events_ttl, limits.max_events, key, *events
        (word,) = await self._transport.run(session_id, script("events/append"), key, args)
        return bool(word == b"ok")

    async def read(
        self, session_id: str, turn_id: str, after: str | None = None, wait: float = 0
    ) -> Events:
        if wait <= 0:
            return await self._read(session_id, turn_id, after)
        key, give_up = self._keys.events(session_id, turn_id), time.monotonic() + wait
        wake = TokenWaiter()
        with self._subscriptions.here().listen("", wake.event.set, key) as wake.channel:
            while True:
                answer = await self._read(session_id, turn_id, after)
                left = give_up - time.monotonic()
                if answer.events or answer.reset or answer.ended or left <= 0:
                    return answer
                await wake.wait(left)

    async def _read(self, session_id: str, turn_id: str, after: str | None) -> Events:
        key = self._keys.events(session_id, turn_id)
        # What is no id of ours is before all, in an attempt that no turn has.
        attempt, number = (0, 0) if after is None else parse(after)
        attempt = _NO_ATTEMPT if after is not None and attempt == 0 else attempt
        args = attempt, number, PAGE
        reply = await self._transport.run(session_id, script("events/read"), key, args)
        if reply[0] == b"absent":
            return Events([], reset=after is not None)
        _, reset, entries = reply
        events = [Event(entry.decode(), content[1]) for entry, content in _told(entries)]
        return Events(events, bool(reset), len(events) < len(entries))


def _told(entries: list[Any]) -> list[Any]:
    """Without the entry that says that nothing follows."""
    return [entry for entry in entries if entry[1][0] == b"e"]
