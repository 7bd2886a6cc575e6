"""Waiter-ups of background workers: a few streams for the whole fleet, each with one group.

The server keeps what a worker has claimed (its pending entries). What is put off belongs to nobody
in particular, and looks as old as it takes to be claimed in time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from zlib import crc32

from turnwise.errors import NewerFormat, NotASession, StoreRefused
from turnwise.limits import SWEEP_MS, Limits
from turnwise.process import PerLoop
from turnwise.stores.redis.header import parse
from turnwise.stores.redis.keys import Keys
from turnwise.stores.redis.pubsub import Channel, Subscription, Subscriptions
from turnwise.stores.redis.scan import Scan
from turnwise.stores.redis.scripts import script
from turnwise.stores.redis.transport import Transport
from turnwise.types import Claim

GROUP = "workers"
NOBODY = "-"
_LOOK, _UNRELIABLE = 1.0, 0.25
_AT_ONCE = 50
_SWEEPING_MS = 60_000
_FORGET_MS = 3_600_000


class RedisReady:
    """The contract of `turnwise.contracts.Ready` on streams."""

    def __init__(
        self, transport: Transport, keys: Keys, subscriptions: Subscriptions, limits: Limits
    ) -> None:
        self._transport = transport
        self._keys = keys
        self._bounds = limits
        self._scan = Scan(transport)
        self._all_news = PerLoop(lambda: _News(subscriptions.here(), keys))
        self._held: dict[str, set[str]] = {}
        self._cursors = ["0-0"] * len(keys.ready)

    async def announce(self, session_id: str, turn_id: str | None) -> int:
        shard = crc32(session_id.encode()) % len(self._keys.ready)
        told = session_id, turn_id or "", self._keys.ready_channel, shard
        _, now = await self._run("announce", shard, *told)
        return int(now)

    async def claim(self, worker: str, count: int, wait: float) -> list[Claim]:
        give_up = time.monotonic() + wait
        while True:
            found: list[Claim] = []
            last = time.monotonic() >= give_up
            await self._hurry(self._news.freed())
            for shard in self._news.take(everything=last):
                found += await self._claim(shard, worker, count - len(found))
            if found or last:
                break
            await self._news.wait(give_up - time.monotonic())
        self._held.setdefault(worker, set()).update([claim.id for claim in found])
        return found

    async def _claim(self, shard: int, worker: str, count: int) -> list[Claim]:
        if count <= 0:
            self._news.add(shard)
            return []
        cursor = self._cursors[shard]
        reply = await self._run("claim", shard, GROUP, worker, count, self._bounds.claim, cursor)
        _, now, cursor, entries = reply
        self._cursors[shard] = cursor.decode()
        if len(entries) >= count or self._cursors[shard] != "0-0":
            self._news.add(shard)
        return [_wakeup(shard, entry, now) for entry in entries]

    async def extend(self, worker: str) -> None:
        await self._move(worker, worker, 0, list(self._held.get(worker, ())))

    async def requeue(self, worker: str, claims: Sequence[Claim], delay: float) -> None:
        put_off = min(max(0, int(delay * 1000)), self._bounds.claim)
        ids = self._forget(worker, claims)
        channel = "" if put_off else self._keys.ready_channel
        await self._move(worker, NOBODY, self._bounds.claim - put_off, ids, channel)
        for shard in _by_shard(ids):
            self._news.expect(shard, delay)
        for claim in claims if put_off else ():
            self._news.put_off(self._keys.session(claim.session_id), claim.id, delay)

    async def _hurry(self, ids: Sequence[str]) -> None:
        """What was put off, and nobody has taken since, is due now: its session is free."""
        await self._move(NOBODY, NOBODY, self._bounds.claim, ids)
        for shard in _by_shard(ids):
            self._news.add(shard)

    async def _move(
        self, worker: str, to: str, idle: int, ids: Iterable[str], channel: str = ""
    ) -> None:
        for shard, entries in _by_shard(ids).items():
            await self._run("move", shard, GROUP, worker, to, idle, channel, shard, *entries)

    async def ack(self, worker: str, claims: Sequence[Claim]) -> None:
        for shard, entries in _by_shard(self._forget(worker, claims)).items():
            await self._run("ack", shard, GROUP, *entries)

    def _forget(self, worker: str, claims: Sequence[Claim]) -> list[str]:
        ids = [claim.id for claim in claims]
        self._held.get(worker, set()).difference_update(ids)
        return ids

    async def sweep(self, *, force: bool = False) -> int:
        servers = await self._servers()
        if not await self._is_due(servers, force, _SWEEPING_MS):
            return 0
        count = 0
        async for keys in self._scan.pages(self._keys.pattern("*")):
            for start in range(0, len(keys), _AT_ONCE):
                waits = await asyncio.gather(*map(self._has_queue, keys[start : start + _AT_ONCE]))
                for session_id in filter(None, waits):
                    await self.announce(session_id, None)
                    count += 1
        for shard in range(len(self._keys.ready)):
            await self._run("tidy", shard, GROUP, _FORGET_MS)
        await self._is_due(servers, True, SWEEP_MS)
        return count

    async def _is_due(self, servers: str, force: bool, time: int) -> bool:
        args = servers, int(force), time
        word, *_ = await self._transport.run(None, script("ready/due"), self._keys.swept, args)
        return bool(word == b"due")

    async def _servers(self) -> str:
        """What changes with a failover: the replication ids of all primaries."""
        return " ".join(sorted([await self._server(node) for node in await self._scan.nodes()]))

    async def _server(self, node: Any) -> str:
        client, options = self._transport.client, {} if node is None else {"target_nodes": node}
        try:
            told = await self._transport.settle(lambda: client.info("replication", **options))
        except StoreRefused:  # no right to ask: a failover is then noticed with the next sweep
            return ""
        return str(told.get("master_replid", ""))

    async def _has_queue(self, key: Any) -> str | None:
        session_id = self._keys.session_id(key)
        key = self._keys.session(session_id)
        raw = await self._transport.plain(session_id, key, "LINDEX", key, 0)
        try:
            waits = raw is not None and parse(session_id, key, raw).queued > 0
        except (NotASession, NewerFormat):
            return None
        return session_id if waits else None

    async def _run(self, name: str, shard: int, *args: Any) -> Any:
        return await self._transport.run(
            None, script(f"ready/{name}"), self._keys.ready[shard], args
        )

    def close(self) -> None:
        """Listen no more in this event loop; the next claim does again."""
        if (news := self._all_news.pop(asyncio.get_running_loop())) is not None:
            news.close()

    @property
    def _news(self) -> _News:
        return self._all_news.here()


class _News:
    """Which streams are worth a look: told by their channel, or because time has passed."""

    def __init__(self, subscription: Subscription, keys: Keys) -> None:
        self._subscription = subscription
        self._channel = keys.ready_channel
        self._all = set(range(len(keys.ready)))
        self._told: set[int] = set()
        self._expected: list[tuple[float, int]] = []
        self._put_off: dict[str, _PutOff] = {}
        self._freed: list[str] = []
        self._event = asyncio.Event()
        self._looked = 0.0
        self._listening = ExitStack()
        self._heard: Channel | None = None

    def add(self, shard: int) -> None:
        self._told.add(shard)
        self._event.set()

    def expect(self, shard: int, delay: float) -> None:
        self._expected.append((time.monotonic() + delay, shard))

    def put_off(self, key: str, wakeup_id: str, delay: float) -> None:
        """Until then, listen for the session's coming free."""
        if self._heard is None:
            return
        known = self._put_off.get(key)
        if known is None:
            known = self._put_off[key] = _PutOff()
            known.listening.enter_context(
                self._heard.listeners.listening(key, partial(self._free, key))
            )
        known.due = max(known.due, time.monotonic() + delay)
        known.ids.append(wakeup_id)

    def _free(self, key: str) -> None:
        known = self._put_off.pop(key)
        known.listening.close()
        self._freed += known.ids
        self._event.set()

    def freed(self) -> list[str]:
        """The wake-ups that were put off, of sessions that are free since; each once."""
        now = time.monotonic()
        for key in [key for key, known in self._put_off.items() if known.due <= now]:
            self._put_off.pop(key).listening.close()
        freed, self._freed = self._freed, []
        return freed

    def take(self, *, everything: bool) -> list[int]:
        self._listen()
        now = time.monotonic()
        if everything or now - self._looked >= self._interval:
            self._looked = now
            self._told |= self._all
        self._told |= {shard for due, shard in self._expected if due <= now}
        self._expected = [(due, shard) for due, shard in self._expected if due > now]
        told, self._told = self._told, set()
        self._event.clear()
        return list(told)

    async def wait(self, timeout: float) -> None:
        now = time.monotonic()
        dues = [due - now for due, _ in self._expected]
        timeout = min(timeout, self._looked + self._interval - now, *dues)
        try:
            async with asyncio.timeout(max(0.001, timeout)):
                await self._event.wait()
        except TimeoutError:
            return

    @property
    def _interval(self) -> float:
        return _LOOK if self._heard is not None and self._heard.standing else _UNRELIABLE

    def _listen(self) -> None:
        if self._heard is None:
            for shard in self._all:
                tell: Callable[[], None] = partial(self.add, shard)
                heard = self._subscription.listen(str(shard), tell, self._channel)
                self._heard = self._listening.enter_context(heard)

    def close(self) -> None:
        self._heard = None
        for known in self._put_off.values():
            known.listening.close()
        self._put_off.clear()
        self._listening.close()


@dataclass
class _PutOff:
    """A session's wake-ups that are due later, and until when its coming free is listened for."""

    due: float = 0.0
    ids: list[str] = field(default_factory=list)
    listening: ExitStack = field(default_factory=ExitStack)


def _by_shard(ids: Iterable[str]) -> dict[int, list[str]]:
    shards: dict[int, list[str]] = {}
    for claim in ids:
        shard, _, entry = claim.partition(":")
        shards.setdefault(int(shard), []).append(entry)
    return shards


def _wakeup(shard: int, entry: Any, now: int) -> Claim:
    number, fields = entry
    found = {name: value.decode() for name, value in zip(fields[::2], fields[1::2], strict=True)}
    age = now - int(found[b"a"])
    return Claim(found[b"s"], found[b"t"] or None, age, f"{shard}:{number.decode()}")
