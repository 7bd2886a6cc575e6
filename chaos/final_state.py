"""What the store holds after all workers have exited: the histories, and leftovers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any

from chaos.clients.site import OWNERS
from chaos.history import DeadLetter, FinalState, Leftover, StoredTurn
from chaos.topologies import PREFIX, Topology
from turnwise.codec import Codec, DecodeError
from turnwise.codec.elements import MARKER, RECORD, is_item, parse_record
from turnwise.session import Session
from turnwise.stores.redis.keys import Keys
from turnwise.stores.redis.store import RedisStore
from turnwise.testing.servers import Node
from turnwise.types import Duplicate
from turnwise.types import History as StoredHistory

_codec = Codec()
# The one that asks; those of Sentinels; those over which other servers migrate slots.
_NOT_CLIENTS = "cmd=client|list", " name=sentinel-", "cmd=restore", "cmd=asking"
_CONCURRENCY = 16


async def read_sessions(session: Session, names: Iterable[str]) -> list[FinalState]:
    """The history of each session, parsed into turns."""
    return await _for_each(list(names), lambda name: _read_session(session, name))


async def leftover_turns(session: Session, names: Iterable[str]) -> list[Leftover]:
    """Open turns, queue entries, journals without a turn."""
    found = await _for_each(list(names), lambda name: _leftover_turns(session, name))
    return [leftover for some in found for leftover in some]


async def unlisted_sessions(session: Session, names: Iterable[str]) -> list[Leftover]:
    """Sessions that the list of their owner lacks."""
    infos = await _for_each(list(names), session.info)
    owned = [info for info in infos if info is not None and info.owner is not None]
    listed: set[str] = set()
    for owner in {info.owner for info in owned}:
        cursor: str | None = None
        while True:
            page = await session.for_owner(owner).sessions(cursor=cursor)
            listed |= {row.session_id for row in page.sessions}
            if (cursor := page.cursor) is None:
                break
    return [
        Leftover(f"no line in the list of {info.owner}", "session", info.session_id)
        for info in owned
        if info.session_id not in listed
    ]


async def read_dead_letters(session: Session) -> list[DeadLetter]:
    """All dead letters."""
    found: list[DeadLetter] = []
    after: str | None = None
    while page := await session.dead_letters(500, after):
        found += [DeadLetter(one.session_id, one.turn_id, one.attempts, one.error) for one in page]
        after = page[-1].id
    return found


async def leftover_wakeups(session: Session, timeout: float) -> list[Leftover]:
    """Wake-ups for finished messages that nobody acks within `timeout` seconds.

    A wake-up may precede a message that is never submitted; workers ack such ones later. Workers
    look again at sessions that waited for something after minutes only, or when told to: so they
    are told to.
    """
    store = session.runtime.store
    if not isinstance(store, RedisStore):
        return []
    deadline = time.monotonic() + timeout
    while True:
        found = [
            Leftover(f"a wake-up for {turn_id or 'some message'}", shard, session_id)
            for shard in Keys(PREFIX).ready
            for session_id, turn_id in await _wakeups(store, shard)
            if not turn_id or isinstance(await store.status(session_id, turn_id), Duplicate)
        ]
        if not found or time.monotonic() > deadline:
            return found + [
                Leftover(f"{count} more pending entries than entries", shard)
                for shard in Keys(PREFIX).ready
                if (count := await _dangling_entries(store, shard)) > 0
            ]
        for key in {Keys(PREFIX).session(one.session) for one in found if one.session}:
            await store.client.publish(Keys(PREFIX).ready_channel, key)
        await asyncio.sleep(0.1)


async def _wakeups(store: RedisStore, shard: str) -> list[tuple[str, str]]:
    found: Any = await store.client.xrange(shard)
    return [(fields[b"session_id"].decode(), fields[b"turn_id"].decode()) for _, fields in found]


async def _dangling_entries(store: RedisStore, shard: str) -> int:
    """The number of pending entries whose stream entry does not exist."""
    groups = await store.client.xinfo_groups(shard) if await store.client.exists(shard) else []
    return sum(int(group["pending"]) for group in groups) - int(await store.client.xlen(shard))


async def _for_each(names: list[str], function: Any) -> list[Any]:
    limit = asyncio.Semaphore(_CONCURRENCY)

    async def one(name: str) -> Any:
        async with limit:
            return await function(name)

    return list(await asyncio.gather(*map(one, names)))


async def _read_session(session: Session, name: str) -> FinalState:
    stored = await session.runtime.store.read(name)
    if not isinstance(stored, StoredHistory):
        return FinalState(name, [], 0)
    return parse(name, stored.elements, stored.items)


def parse(name: str, elements: list[bytes], items: int) -> FinalState:
    """Split the elements of a session into its turns."""
    turns: list[StoredTurn] = []
    pending: list[dict[str, Any]] = []
    turn_id: str | None = None
    corruption = ""
    for index, element in enumerate(elements):
        kind = element[:1]
        try:
            if is_item(element) and turn_id is None:
                pending.append(_codec.decode(element))
            elif kind == MARKER and turn_id is None:
                turn_id = element[1:].decode()
            elif kind == RECORD and turn_id is not None:
                record = parse_record(element)
                turns.append(StoredTurn(turn_id, record.kind, pending, record.items))
                pending, turn_id = [], None
            else:
                corruption = corruption or f"element {index} is out of place: {element[:60]!r}"
        except (DecodeError, ValueError) as error:
            corruption = corruption or f"element {index} cannot be decoded: {error}"
    if pending or turn_id is not None:
        corruption = corruption or f"{len(pending)} items at the end belong to no turn"
    return FinalState(name, turns, items, corruption)


async def _leftover_turns(session: Session, name: str) -> list[Leftover]:
    info = await session.info(name)
    if info is None:
        return []
    found = []
    if info.open_turn is not None:
        turn = info.open_turn
        left = turn.state if turn.lease_remaining is None else f"{turn.lease_remaining:.1f} s left"
        what = f"open turn {turn.turn_id} of {turn.worker}, {left}"
        found.append(Leftover(what, "session", name))
    if info.queued:
        found.append(Leftover(f"{info.queued} in the queue", "session", name))
    if info.journal_entries:
        found.append(Leftover(f"a journal of {info.journal_entries} entries", "session", name))
    return found


async def leftover_keys(topology: Topology, names: Iterable[str]) -> list[Leftover]:
    """Keys without a TTL that are no session of the workload, no owner's, and none of the fleet."""
    keys = Keys(PREFIX)
    known = {PREFIX + name for name in names} | {*keys.fleet, *map(keys.owned, OWNERS)}
    found: list[Leftover] = []
    for node in topology.servers():
        if not await node.is_primary():
            continue
        found += [
            Leftover(f"key {key} without a TTL", f"port {node.port}")
            async for key in _keys(node)
            if key not in known and await node.command("PTTL", key) == -1
        ]
    return found


async def _keys(node: Node) -> AsyncIterator[str]:
    cursor = 0
    while True:
        cursor, keys = await node.command("SCAN", cursor, "COUNT", 1000)
        for key in keys:
            yield key
        if int(cursor) == 0:
            return


async def leftover_connections(topology: Topology) -> list[Leftover]:
    """Client connections that are still open after all workers have exited."""
    for _ in range(50):
        found = [
            Leftover(f"connection {line}", f"port {node.port}")
            for node in topology.servers()
            for line in await _clients(node)
        ]
        if not found:
            return []
        await asyncio.sleep(0.1)
    return found


async def _clients(node: Node) -> list[str]:
    listing = str(await node.command("CLIENT", "LIST", "TYPE", "normal"))
    listing += str(await node.command("CLIENT", "LIST", "TYPE", "pubsub"))
    return [line for line in listing.splitlines() if not any(mark in line for mark in _NOT_CLIENTS)]
