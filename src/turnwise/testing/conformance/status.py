"""The status of one turn."""

from __future__ import annotations

from turnwise.contracts import Store
from turnwise.testing.conformance.lab import (
    LONG,
    Lab,
    Suite,
    added,
    begun,
    expect,
    items,
    taken,
    try_begin,
)
from turnwise.types import (
    Absent,
    Cancelled,
    Duplicate,
    Grant,
    Info,
    Parked,
    Queued,
    Running,
)


class StatusConformance(Suite):
    async def test_the_status_of_a_turn(self, store: Store) -> None:
        assert await store.status("s", "t") == Absent()
        await store.submit("s", "t1", b"one")
        await store.submit("s", "t2", b"two")
        assert await store.status("s", "t1") == Queued("", "t1", 0, 0, 0)
        assert await store.status("s", "t2") == Queued("", "t2", 0, 1, 0)
        turn = await taken(store, "s")
        await store.cancel("s", "t1", keep=True)
        running = expect(Running, await store.status("s", "t1"))
        assert (running.turn_id, running.worker, running.attempt) == ("t1", "worker", 1)
        assert 0 < running.remaining_ms <= LONG
        assert (running.cancel_mode, running.background) == ("keep", True)
        await turn.commit(*items(1), payload=b"kept")
        finished = expect(Duplicate, await store.status("s", "t1"))
        assert finished.record is not None
        assert (finished.record.kind, finished.record.payload) == ("turn", b"kept")
        assert finished.elements == items(1)
        await store.cancel("s", "t2")
        cancelled = expect(Duplicate, await store.status("s", "t2"))
        assert cancelled.record is not None
        assert cancelled.record.kind == "cancelled"

    async def test_the_status_of_a_turn_that_is_parked_dead_or_unknown(self, lab: Lab) -> None:
        store = lab.store()
        await added(store, "s", 0)
        turn = await begun(store, "s", "t", lease=lab.lease)
        await try_begin(store, "s", "queued", ticket_ms=LONG)
        assert await store.status("s", "queued") == Absent()
        await lab.dead("s")
        running = expect(Running, await store.status("s", "t"))
        assert running.remaining_ms <= 0
        assert not running.background
        await store.renew(*turn.ids)
        await store.park(*turn.ids, b"{state}")
        assert await store.status("s", "t") == Parked("t", [b"{state}"])
        assert await store.status("s", "other") == Absent()

    async def test_a_parked_turn_is_dropped_or_left(self, store: Store) -> None:
        """It is left by a cancel with `keep`, also if it was parked after that."""
        turn = await begun(store, "s", "t")
        await store.cancel("s", "t", keep=True)
        await store.park(*turn.ids, b"{state}")
        for force in (False, True):
            answer = await store.cancel("s", "t", keep=True, force=force)
            assert answer == Cancelled("absent", "t")
        assert expect(Grant, await try_begin(store, "s", "t", resume=True)).cancel_mode is None
        await store.cancel("s", "t", force=True)
        assert isinstance(await store.status("s", "t"), Duplicate)

    async def test_status_changes_nothing(self, lab: Lab) -> None:
        store = lab.store()
        await added(store, "s", 0)
        await begun(store, "s", "t", lease=lab.lease)
        await lab.dead("s")
        before = expect(Info, await store.info("s"))
        await store.status("s", "t")
        await store.status("s", "u")
        after = expect(Info, await store.info("s"))
        assert (after.turns, after.updated_at, after.queued) == (before.turns, before.updated_at, 0)
        assert after.open_turn is not None
