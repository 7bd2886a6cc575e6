"""One count of all sessions, which all who are asked for metrics share."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.fault_lab import message
from tests.integration.stores import Sessions, new_sessions_of
from turnwise.errors import StoreUnavailable
from turnwise.fleet import SharedCensus, census
from turnwise.fleet.census import Census, Walk
from turnwise.session import Session
from turnwise.testing.servers.waiting import until
from turnwise.types import Grant, SessionCounts

sessions = new_sessions_of(["memory", "sqlite", "valkey"])
LONG = 60.0


async def counted(shared: SharedCensus) -> SessionCounts:
    found: list[SessionCounts] = []

    async def is_there() -> bool:
        latest = await shared.latest()
        found.extend([] if latest is None else [latest])
        return latest is not None

    await until(is_there, LONG, "a count")
    return found[0]


async def filled(session: Session) -> None:
    """Two idle sessions, a parked one and a stopped one."""
    store = session.runtime.store
    for name in ("one", "two"):
        await session.bind(name).add_items([message("hi")])
    assert isinstance(await store.begin("parked", "t", "a", 60_000, worker="w"), Grant)
    await store.park("parked", "t", "a", b"{state}")
    await store.submit("stopped", "t", b"poison")
    assert isinstance(await store.next("stopped", "b", 60_000, worker="w"), Grant)
    await store.stop("stopped", "t", "b", b"why")


async def test_sessions_are_counted_by_their_state(sessions: Sessions) -> None:
    session = sessions.worker()
    await filled(session)
    shared = SharedCensus(session)
    assert await shared.latest() is None
    found = await counted(shared)
    assert found.states == {"idle": 2, "parked": 1, "stopped": 1}
    assert found.oldest_approval is not None
    assert 0 <= found.oldest_approval < LONG
    assert found.age < LONG
    await session.runtime.store.cancel("parked")
    await session.delete("stopped")
    assert (await counted(shared)).states == found.states  # it is not counted anew at once
    await shared.aclose()


async def test_an_old_count_is_made_again(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = sessions.worker()
    await filled(session)
    shared = SharedCensus(session)
    assert (await counted(shared)).states["stopped"] == 1
    await session.delete("stopped")
    monkeypatch.setattr(census, "LEAST", 0)

    async def has_changed() -> bool:
        return (await counted(shared)).states == {"idle": 2, "parked": 1}

    await until(has_changed, LONG, "a new count")
    await shared.aclose()


async def test_of_several_who_ask_one_counts(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If it is paused another one counts, and the paused one notices that."""
    first, second = (SharedCensus(sessions.worker()) for _ in range(2))
    await filled(sessions.worker())
    gate, walking, further = asyncio.Event(), list[census.Walk](), census.Walk.further

    async def gated(walk: census.Walk) -> census.Census | None:
        walking.append(walk)
        if walk is walking[0]:
            await gate.wait()
        return await further(walk)

    monkeypatch.setattr(census.Walk, "further", gated)
    assert await first.latest() is None

    async def is_walking() -> bool:
        return bool(walking)

    await until(is_walking, LONG, "the first one walks")
    assert await second.latest() is None
    await asyncio.sleep(0)
    assert len(walking) == 1
    monkeypatch.setattr(census, "_SILENT_MS", 0)
    assert (await counted(second)).states["parked"] == 1
    before = await sessions.worker().runtime.store.counts.list()
    gate.set()
    await first.aclose()
    assert [entry.name for entry in before] == ["counted"]
    after = await sessions.worker().runtime.store.counts.list()
    assert [(e.name, e.record) for e in after] == [(e.name, e.record) for e in before]
    await second.aclose()


async def test_a_record_of_another_version_counts_as_none(sessions: Sessions) -> None:
    session = sessions.worker()
    await session.runtime.store.counts.write("counted", b'{"states": 7}')
    shared = SharedCensus(session)
    assert await shared.latest() is None
    await shared.aclose()


async def test_a_walk_whose_end_fails_is_not_counted_twice(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = sessions.worker()
    await filled(session)
    walk = Walk(session)
    count = session.runtime.store.count_dead_letters

    async def fail() -> int:
        raise StoreUnavailable("it does not answer", session_id=None)

    async def walked() -> Census:
        while (found := await walk.further()) is None:
            pass
        return found

    monkeypatch.setattr(session.runtime.store, "count_dead_letters", fail)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await walked()
    monkeypatch.setattr(session.runtime.store, "count_dead_letters", count)
    for _ in range(2):
        assert (await walked()).states == {"idle": 2, "parked": 1, "stopped": 1}
