"""Turns that are released: the next attempt continues from their journal."""

from __future__ import annotations

from turnwise.contracts import Store
from turnwise.testing.conformance.lab import (
    LONG,
    Suite,
    added,
    begun,
    expect,
    items,
    mint,
    taken,
    try_begin,
)
from turnwise.types import (
    Absent,
    Busy,
    Done,
    Grant,
    Info,
    Queued,
    Stale,
)


class ReleaseConformance(Suite):
    async def test_a_released_turn_is_taken_over_at_once(self, store: Store) -> None:
        turn = await begun(store, "s", "t")
        await store.journal(*turn.ids, 0, items("done"))
        await store.release(*turn.ids)
        await store.release(*turn.ids)
        assert isinstance(await store.renew(*turn.ids), Stale)
        assert isinstance(await turn.commit(*items("late")), Stale)
        assert isinstance(await try_begin(store, "s", "t", token=turn.token), Stale)
        assert expect(Busy, await try_begin(store, "s", "other")).turn_id == "t"
        second = await begun(store, "s", "t")
        assert (second.grant.attempt, second.grant.released) == (2, 1)
        assert second.grant.journal == items("done")
        assert isinstance(await second.commit(*items(1)), Done)

    async def test_a_released_turn_without_a_journal_is_removed(self, store: Store) -> None:
        await added(store, "s", 0)
        turn, token = await begun(store, "s", "t"), mint()
        await try_begin(store, "s", "next", token=token, ticket_ms=LONG)
        await store.release(*turn.ids, counted=True)
        assert expect(Info, await store.info("s")).open_turn is None
        assert isinstance(await try_begin(store, "s", "next", token=token, ticket_ms=LONG), Grant)

    async def test_a_released_attempt_at_a_message_is_no_failure(self, store: Store) -> None:
        await store.submit("s", "t", b"one")
        for number in range(3):
            turn = await taken(store, "s")
            assert (turn.grant.attempt, turn.grant.released) == (number + 1, number)
            await store.journal(*turn.ids, number, items(number))
            await store.release(*turn.ids)
        turn = await taken(store, "s")
        assert (turn.grant.message, turn.grant.journal) == (b"one", items(0, 1, 2))
        await store.abort(*turn.ids)
        assert await store.status("s", "t") == Queued("", "t", 0, 0, 1)
        turn = await taken(store, "s")
        assert (turn.grant.attempt, turn.grant.released) == (5, 3)
        await store.release(*turn.ids, counted=True)
        turn = await taken(store, "s")
        assert (turn.grant.attempt, turn.grant.released) == (6, 3)
        assert isinstance(await turn.commit(*items(1)), Done)

    async def test_a_parked_attempt_at_a_message_is_no_failure(self, store: Store) -> None:
        await store.submit("s", "t", b"one")
        await store.park(*(await taken(store, "s")).ids, b"{state}")
        turn = await begun(store, "s", "t", resume=True)
        assert (turn.grant.attempt, turn.grant.released) == (2, 1)
        await store.abort(*turn.ids)
        assert await store.status("s", "t") == Queued("", "t", 0, 0, 1)
        turn = await taken(store, "s")
        assert (turn.grant.attempt, turn.grant.released) == (3, 1)

    async def test_a_released_ticket_leaves_the_queue(self, store: Store) -> None:
        turn, token = await begun(store, "s"), mint()
        await try_begin(store, "s", "t", token=token, ticket_ms=LONG)
        await store.release("s", "t", token)
        assert expect(Info, await store.info("s")).queued == 0
        assert isinstance(await try_begin(store, "s", "t", token=token, ticket_ms=LONG), Stale)
        await turn.commit()
        await store.release("no", "t", mint())
        assert await store.info("no") == Absent()
