"""The ready streams: announcements that sessions have messages, a few streams with a group each.

The server knows which entries a worker has claimed: they are pending. A requeued entry is pending
for nobody, with an idle time that makes it claimable after the delay.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import Any
from zlib import crc32

from turnwise.errors import NewerFormat, NotASession, StoreError, StoreRefused
from turnwise.limits import SWEEP_INTERVAL_MS, Limits
from turnwise.process import PerLoop
from turnwise.stores.redis.header import parse_own
from turnwise.stores.redis.keys import Keys
from turnwise.stores.redis.pubsub import Subscriptions
from turnwise.stores.redis.ready_schedule import DelayedEntry, ReadySchedule
from turnwise.stores.redis.scan import Scan
from turnwise.stores.redis.scripts import script
from turnwise.stores.redis.transport import Transport
from turnwise.types import Claim, Unclaimed

GROUP = "workers"
NOBODY = "-"
_SWEEP_CONCURRENCY = 50
_SWEEP_TIMEOUT_MS = 60_000
"""After how long another worker sweeps, if the one that sweeps has died."""
_IDLE_WORKER_MS = 3_600_000


class RedisReady:
    """The contract of `turnwise.contracts.Ready` on streams."""

    def __init__(
        self, transport: Transport, keys: Keys, subscriptions: Subscriptions, limits: Limits
    ) -> None:
        self._transport = transport
        self._keys = keys
        self._timeout_ms = limits.visibility_timeout_ms
        self._scan = Scan(transport)
        self._schedules = PerLoop(lambda: ReadySchedule(subscriptions.get(), keys))
        self._claimed: dict[str, set[str]] = {}
        self._cursors = ["0-0"] * len(keys.ready)

    async def announce(self, session_id: str, turn_id: str | None) -> int:
        shard = self._swept_shard if turn_id is None else self._shard(session_id)
        args = session_id, turn_id or "", self._keys.ready_channel, shard
        _, now = await self._run("announce", shard, *args)
        return int(now)

    def _shard(self, session_id: str) -> int:
        return crc32(session_id.encode()) % self._swept_shard

    @property
    def _swept_shard(self) -> int:
        """A stream of its own: no new message waits behind thousands that a sweep found."""
        return len(self._keys.ready) - 1

    async def last_claim(self, session_id: str) -> int | None:
        # Of any stream: a worker that finds as much as it has room for leaves the others for later.
        shards = range(len(self._keys.ready))
        asking = (self._run("last_claim", shard, GROUP, NOBODY) for shard in shards)
        found = await asyncio.gather(*asking)
        return min((int(idle_ms) for _, idle_ms in found if idle_ms >= 0), default=None)

    async def announced(self, count: int) -> list[str]:
        found: list[tuple[int, str]] = []
        for shard in range(len(self._keys.ready)):
            _, entries = await self._run("oldest", shard, count)
            for _, (_, session_id, _, _, _, announced_at) in entries:
                found.append((int(announced_at), session_id.decode()))
        return list(dict.fromkeys(session_id for _, session_id in sorted(found)))[:count]

    async def unclaimed(self) -> Unclaimed:
        count, ages = 0, []
        for shard in range(len(self._keys.ready)):
            _, now, some, first = await self._run("unclaimed", shard, GROUP)
            count += some
            if first >= 0:
                ages.append(max(0, now - first))
        return Unclaimed(count, max(ages, default=None))

    async def claim(self, worker: str, count: int, timeout: float) -> list[Claim]:
        deadline = time.monotonic() + timeout
        while True:
            claims: list[Claim] = []
            is_last = time.monotonic() >= deadline
            await self._make_claimable(self._schedule.take_claimable())
            try:
                for shard in self._schedule.take_shards(all_of_them=timeout <= 0):
                    has_time = not claims or not self._schedule.has_failed(shard)
                    room = count - len(claims) if has_time else 0
                    claims += await self._claim(shard, worker, room)
            except StoreError:
                if not claims:  # else they would be hidden from all until they time out
                    raise
            if claims or is_last:
                break
            await self._schedule.wait(deadline - time.monotonic())
        self._claimed.setdefault(worker, set()).update([claim.id for claim in claims])
        return claims

    async def _claim(self, shard: int, worker: str, count: int) -> list[Claim]:
        if count <= 0:
            self._schedule.add(shard)
            return []
        args = GROUP, worker, count, self._timeout_ms, self._cursors[shard]
        try:
            _, now, cursor, entries = await self._run("claim", shard, *args)
        except StoreError:
            self._schedule.failed(shard)
            raise
        self._cursors[shard] = cursor.decode()
        self._schedule.looked_at(shard)
        if len(entries) >= count or self._cursors[shard] != "0-0":
            self._schedule.add(shard)
        return [_parse_claim(shard, entry, now) for entry in entries]

    async def extend(self, worker: str) -> None:
        await self._move(worker, worker, 0, list(self._claimed.get(worker, ())))

    async def requeue(self, worker: str, claims: Sequence[Claim], delay_ms: int) -> None:
        delay_ms = self._schedule.possible_delay(max(0, delay_ms))
        is_held = delay_ms > self._timeout_ms  # longer than nobody's entry can be hidden
        if not is_held:
            ids = self._forget(worker, claims)
            channel = "" if delay_ms else self._keys.ready_channel
            await self._move(worker, NOBODY, self._timeout_ms - delay_ms, ids, channel)
        for claim in claims if delay_ms else ():
            key, holder = self._keys.session(claim.session_id), worker if is_held else NOBODY
            self._schedule.requeued(key, DelayedEntry(claim.id, holder), delay_ms / 1000)

    async def recall(self, session_ids: Sequence[str]) -> None:
        for session_id in session_ids:
            self._schedule.end_delay(self._keys.session(session_id))

    async def leave(self, worker: str) -> None:
        ids = list(self._claimed.pop(worker, ()))
        await self._move(worker, NOBODY, self._timeout_ms, ids, self._keys.ready_channel)

    async def _make_claimable(self, delayed: Sequence[DelayedEntry]) -> None:
        """End the delay of requeued entries that nobody has claimed since.

        If the store does not answer, the next claim does it: a worker extends those that it holds.
        """
        left = list(delayed)
        try:
            while left:
                holder = left[0].holder
                ids = [entry.id for entry in left if entry.holder == holder]
                await self._move(holder, NOBODY, self._timeout_ms, ids)
                self._claimed.get(holder, set()).difference_update(ids)
                left = [entry for entry in left if entry.holder != holder]
                for shard in _by_shard(ids):
                    self._schedule.add(shard)
        finally:
            self._schedule.still_delayed(left)

    async def _move(
        self, worker: str, to: str, idle_ms: int, ids: Iterable[str], channel: str = ""
    ) -> None:
        for shard, entries in _by_shard(ids).items():
            await self._run("move", shard, GROUP, worker, to, idle_ms, channel, shard, *entries)

    async def ack(self, worker: str, claims: Sequence[Claim]) -> None:
        for shard, entries in _by_shard(self._forget(worker, claims)).items():
            await self._run("ack", shard, GROUP, *entries)

    def _forget(self, worker: str, claims: Sequence[Claim]) -> list[str]:
        ids = [claim.id for claim in claims]
        self._claimed.get(worker, set()).difference_update(ids)
        return ids

    async def sweep(self, *, force: bool = False) -> int:
        primaries = await self._primaries()
        if not await self._is_sweep_due(primaries, force, _SWEEP_TIMEOUT_MS):
            return 0
        count = 0
        async for keys in self._scan.pages(self._keys.pattern("*")):
            for start in range(0, len(keys), _SWEEP_CONCURRENCY):
                some = keys[start : start + _SWEEP_CONCURRENCY]
                queued = await asyncio.gather(*map(self._session_with_queue, some))
                for session_id in filter(None, queued):
                    await self.announce(session_id, None)
                    count += 1
        for shard in range(len(self._keys.ready)):
            await self._run("remove_idle_workers", shard, GROUP, _IDLE_WORKER_MS)
        await self._is_sweep_due(primaries, True, SWEEP_INTERVAL_MS)
        return count

    async def _is_sweep_due(self, primaries: str, force: bool, ttl_ms: int) -> bool:
        """Whether to sweep now. If so, it is not due again for `ttl_ms`."""
        args = primaries, int(force), ttl_ms
        word, *_ = await self._transport.run(script("ready/sweep_due"), self._keys.swept, args)
        return bool(word == b"due")

    async def _primaries(self) -> str:
        """The replication ids of all primaries: a failover changes one."""
        return " ".join(sorted([await self._primary(node) for node in await self._scan.nodes()]))

    async def _primary(self, node: Any) -> str:
        client, options = self._transport.client, {} if node is None else {"target_nodes": node}
        try:
            info = await self._transport.call(lambda: client.info("replication", **options))
        except StoreRefused:  # no permission: then a failover has to wait for the next sweep
            return ""
        return str(info.get("master_replid", ""))

    async def _session_with_queue(self, key: Any) -> str | None:
        """The key's session id, if anything waits in its queue.

        A longer prefix that begins with ours has sessions of its own, and workers of its own.
        """
        session_id = self._keys.session_id(key)
        key = self._keys.session(session_id)
        raw = await self._transport.command(session_id, "LINDEX", key, 0)
        try:
            header = None if raw is None else parse_own(self._keys, session_id, raw)
        except (NotASession, NewerFormat):
            return None
        return session_id if header is not None and header.queued > 0 else None

    async def _run(self, name: str, shard: int, *args: Any) -> Any:
        return await self._transport.run(script(f"ready/{name}"), self._keys.ready[shard], args)

    def close(self) -> None:
        """Stop listening in this event loop; the next claim starts again."""
        if (schedule := self._schedules.pop(asyncio.get_running_loop())) is not None:
            schedule.close()

    @property
    def _schedule(self) -> ReadySchedule:
        return self._schedules.get()


def _by_shard(ids: Iterable[str]) -> dict[int, list[str]]:
    shards: dict[int, list[str]] = {}
    for claim_id in ids:
        shard, _, entry = claim_id.partition(":")
        shards.setdefault(int(shard), []).append(entry)
    return shards


def _parse_claim(shard: int, entry: Any, now: int) -> Claim:
    entry_id, (_, session_id, _, turn_id, _, announced_at) = entry
    age_ms, claim_id = now - int(announced_at), f"{shard}:{entry_id.decode()}"
    return Claim(session_id.decode(), turn_id.decode() or None, age_ms, claim_id)
