"""What is in the store when everybody has gone: the histories, and what should not be there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any

from chaos.history import DeadLetterEntry, Entry, Final, Leftover
from chaos.topologies import PREFIX, Topology
from turnwise.codec import Codec, DecodeError
from turnwise.codec.elements import MARKER, RECORD, is_item, parse_record
from turnwise.session import Session
from turnwise.stores.redis.keys import Keys
from turnwise.stores.redis.store import RedisStore
from turnwise.testing.servers import Node
from turnwise.types import Duplicate
from turnwise.types import History as Stored

_codec = Codec()
# Ours that asks; those of Sentinels; those over which other servers sent slots.
_NO_CLIENTS = "cmd=client|list", " name=sentinel-", "cmd=restore", "cmd=asking"
_AT_ONCE = 16


async def finals(session: Session, names: Iterable[str]) -> list[Final]:
    """The content of each session, in its turns."""
    return await _each(list(names), lambda name: _final(session, name))


async def open_ends(session: Session, names: Iterable[str]) -> list[Leftover]:
    """Turns still open, callers still in line, journals without a turn."""
    found = await _each(list(names), lambda name: _open_ends(session, name))
    return [leftover for some in found for leftover in some]


async def dead_letters(session: Session) -> list[DeadLetterEntry]:
    """All dead letters."""
    found: list[DeadLetterEntry] = []
    after: str | None = None
    while page := await session.dead_letters(500, after):
        found += [
            DeadLetterEntry(one.session_id, one.turn_id, one.attempts, one.error) for one in page
        ]
        after = page[-1].id
    return found


async def claims(session: Session, patience: float) -> list[Leftover]:
    """What tells workers of messages that are finished, and is not acknowledged in good time.

    That a message will come may be said of one that never did; those go later by themselves.
    """
    store = session.runtime.store
    if not isinstance(store, RedisStore):
        return []
    give_up = time.monotonic() + patience
    while True:
        found = [
            Leftover(f"a wake-up for {turn_id or 'some message'}", shard, session_id)
            for shard in Keys(PREFIX).ready
            for session_id, turn_id in await _entries(store, shard)
            if not turn_id or isinstance(await store.status(session_id, turn_id), Duplicate)
        ]
        if not found or time.monotonic() > give_up:
            return found + [
                Leftover(f"{count} pending entries more than there are", shard)
                for shard in Keys(PREFIX).ready
                if (count := await _unfounded(store, shard)) > 0
            ]
        await asyncio.sleep(0.1)


async def _entries(store: RedisStore, shard: str) -> list[tuple[str, str]]:
    found: Any = await store.client.xrange(shard)
    return [(fields[b"s"].decode(), fields[b"t"].decode()) for _, fields in found]


async def _unfounded(store: RedisStore, shard: str) -> int:
    """How many entries are claimed that do not exist."""
    groups = await store.client.xinfo_groups(shard) if await store.client.exists(shard) else []
    return sum(int(group["pending"]) for group in groups) - int(await store.client.xlen(shard))


async def _each(names: list[str], work: Any) -> list[Any]:
    limit = asyncio.Semaphore(_AT_ONCE)

    async def one(name: str) -> Any:
        async with limit:
            return await work(name)

    return list(await asyncio.gather(*map(one, names)))


async def _final(session: Session, name: str) -> Final:
    stored = await session.runtime.store.read(name)
    if not isinstance(stored, Stored):
        return Final(name, [], 0)
    return parsed(name, stored.elements, stored.items)


def parsed(name: str, elements: list[bytes], items: int) -> Final:
    """Elements as the turns that they are."""
    entries: list[Entry] = []
    pending: list[dict[str, Any]] = []
    turn_id: str | None = None
    trouble = ""
    for place, element in enumerate(elements):
        kind = element[:1]
        try:
            if is_item(element) and turn_id is None:
                pending.append(_codec.decode(element))
            elif kind == MARKER and turn_id is None:
                turn_id = element[1:].decode()
            elif kind == RECORD and turn_id is not None:
                record = parse_record(element)
                entries.append(Entry(turn_id, record.kind, pending, record.items))
                pending, turn_id = [], None
            else:
                trouble = trouble or f"element {place} is out of place: {element[:60]!r}"
        except (DecodeError, ValueError) as error:
            trouble = trouble or f"element {place} cannot be read: {error}"
    if pending or turn_id is not None:
        trouble = trouble or f"{len(pending)} items at the end belong to no turn"
    return Final(name, entries, items, trouble)


async def _open_ends(session: Session, name: str) -> list[Leftover]:
    info = await session.info(name)
    if info is None:
        return []
    found = []
    if info.open_turn is not None:
        turn = info.open_turn
        what = f"open turn {turn.turn_id} of {turn.worker}, {turn.remaining} ms left"
        found.append(Leftover(what, "session", name))
    if info.queued:
        found.append(Leftover(f"{info.queued} in the queue", "session", name))
    if info.journal:
        found.append(Leftover(f"a journal of {info.journal} entries", "session", name))
    return found


async def stray_keys(topology: Topology, names: Iterable[str]) -> list[Leftover]:
    """Keys that are no session of ours and do not expire."""
    known = {PREFIX + name for name in names} | set(Keys(PREFIX).fleet)
    found: list[Leftover] = []
    for node in topology.servers():
        if not await node.is_primary():
            continue
        found += [
            Leftover(f"key {key} without expiry", f"port {node.port}")
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


async def connections(topology: Topology) -> list[Leftover]:
    """Connections of clients, once all workers have gone."""
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
    return [line for line in listing.splitlines() if not any(mark in line for mark in _NO_CLIENTS)]
