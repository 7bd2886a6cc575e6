"""The event log: a stream for each turn, which expires by itself."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from turnwise.limits import Limits
from turnwise.stores.event_log import PAGE, parse_event_id, wait_for_events
from turnwise.stores.redis.keys import Keys
from turnwise.stores.redis.pubsub import Subscriptions
from turnwise.stores.redis.scripts import script
from turnwise.stores.redis.transport import Transport
from turnwise.types import Event, Events

_NO_ATTEMPT = 2**40
"""An attempt that no turn has: every reader whose cursor is of it is reset."""


class RedisEvents:
    """The contract of `turnwise.contracts.EventLog` on streams."""

    def __init__(
        self,
        transport: Transport,
        keys: Keys,
        subscriptions: Subscriptions,
        limits: Limits,
        owner: str | None,
    ) -> None:
        self._transport = transport
        self._keys = keys
        self._subscriptions = subscriptions
        self._limits = limits
        self._owner = owner or ""

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
        key, limits = self._keys.events(session_id, turn_id), self._limits
        kept = limits.events_ttl_ms, limits.max_events
        args = attempt, index, int(last), *kept, key, self._owner, *events
        (word,) = await self._transport.run(script("events/append"), key, args, session_id)
        return bool(word == b"ok")

    async def read(
        self, session_id: str, turn_id: str, after: str | None = None, timeout: float = 0
    ) -> Events:
        read = partial(self._read, session_id, turn_id, after)
        if timeout <= 0:
            return await read()
        channel = self._keys.events(session_id, turn_id)
        with self._subscriptions.get().channel_waiter(channel) as waiter:
            return await wait_for_events(read, waiter, timeout)

    async def _read(self, session_id: str, turn_id: str, after: str | None) -> Events:
        key = self._keys.events(session_id, turn_id)
        attempt, number = (0, 0) if after is None else parse_event_id(after)
        if after is not None and attempt == 0:  # which would ask for all events
            attempt = _NO_ATTEMPT
        args = attempt, number, PAGE, self._owner
        reply = await self._transport.run(script("events/read"), key, args, session_id)
        if reply[0] == b"absent":
            return Events([], reset=after is not None)
        _, reset, entries = reply
        events = [
            Event(entry.decode(), content)
            for entry, (field, content) in entries
            if field.startswith(b"event")
        ]
        return Events(events, bool(reset), ended=len(events) < len(entries))
