"""Turns that are released: the next attempt continues from their journal."""

from __future__ import annotations

import asyncio

from turnwise.contracts import Store
from turnwise.testing.conformance.lab import (
    LONG,
    Held,
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
    Parked,
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

    async def test_a_decided_turn_of_a_message_is_opened_by_workers(self, store: Store) -> None:
        await store.submit("s", "t", b"one")
        await store.submit("s", "behind", b"two")
        await store.park(*(await taken(store, "s")).ids, b"{state}")
        assert await store.next("s", mint(), LONG, worker="w") == Parked("t")
        turn = await begun(store, "s", "t", resume=True)
        await store.journal(*turn.ids, 1, items("decided"))
        await store.release(*turn.ids)
        assert await store.next("s", mint(), LONG, worker="w") == Parked("t")
        turn = await begun(store, "s", "t", resume=True)
        await store.release(*turn.ids, decided=True)
        await store.release(*turn.ids, decided=True)
        assert expect(Parked, await try_begin(store, "s", "other")) == Parked("t")
        assert isinstance(await store.status("s", "t"), Parked)
        turn = await taken(store, "s")
        assert (turn.grant.turn_id, turn.grant.message) == ("t", b"one")
        assert turn.grant.journal == [b"{state}", *items("decided")]
        assert (turn.grant.attempt, turn.grant.released) == (4, 3)
        assert expect(Busy, await store.next("s", mint(), LONG, worker="w")).turn_id == "t"
        await store.release(*turn.ids, counted=True)
        turn = await taken(store, "s")
        assert (turn.grant.attempt, turn.grant.released) == (5, 3)
        assert isinstance(await turn.commit(*items(1)), Done)
        assert (await taken(store, "s")).grant.turn_id == "behind"

    async def test_a_decided_turn_that_is_parked_again_waits_again(self, store: Store) -> None:
        await store.submit("s", "t", b"one")
        await store.park(*(await taken(store, "s")).ids, b"{state}")
        await store.release(*(await begun(store, "s", "t", resume=True)).ids, decided=True)
        await store.park(*(await taken(store, "s")).ids, b"{another}")
        assert await store.next("s", mint(), LONG, worker="w") == Parked("t")

    async def test_a_decided_turn_is_delayed_like_any_other(self, store: Store) -> None:
        await store.submit("s", "t", b"one")
        await store.park(*(await taken(store, "s")).ids, b"{state}")
        await store.release(*(await begun(store, "s", "t", resume=True)).ids, decided=True)
        turn = await taken(store, "s")
        await store.release(*turn.ids, counted=True, delay_ms=LONG)
        busy = expect(Busy, await store.next("s", mint(), LONG, worker="w"))
        assert 0 < busy.remaining_ms <= LONG

    async def test_a_decided_turn_can_be_taken_from_the_workers(self, store: Store) -> None:
        await store.submit("s", "t", b"one")
        await store.park(*(await taken(store, "s")).ids, b"{state}")
        await store.release(*(await begun(store, "s", "t", resume=True)).ids, decided=True)
        await store.release(*(await taken(store, "s")).ids, decided=False)
        assert await store.next("s", mint(), LONG, worker="w") == Parked("t")
        assert isinstance(await begun(store, "s", "t", resume=True), Held)

    async def test_a_decided_direct_turn_waits_for_whoever_resumes_it(self, store: Store) -> None:
        await store.park(*(await begun(store, "s", "t")).ids, b"{state}")
        await store.submit("s", "behind", b"two")
        await store.release(*(await begun(store, "s", "t", resume=True)).ids, decided=True)
        assert await store.next("s", mint(), LONG, worker="w") == Parked("t")
        assert isinstance(await begun(store, "s", "t", resume=True), Held)

    async def test_a_released_ticket_leaves_the_queue(self, store: Store) -> None:
        turn, token = await begun(store, "s"), mint()
        await try_begin(store, "s", "t", token=token, ticket_ms=LONG)
        await store.release("s", "t", token)
        assert expect(Info, await store.info("s")).queued == 0
        assert isinstance(await try_begin(store, "s", "t", token=token, ticket_ms=LONG), Stale)
        await turn.commit()
        await store.release("no", "t", mint())
        assert await store.info("no") == Absent()


class ForcedReleaseConformance(Suite):
    """What an operator releases, without the token of whoever holds it."""

    async def test_a_message_is_taken_over_at_once(self, store: Store) -> None:
        await store.submit("s", "t", b"one")
        turn, call = await taken(store, "s"), mint()
        await store.journal(*turn.ids, 0, items("done"))
        for _ in range(2):
            assert await store.release("s", "t", call, attempt=1) is True
        assert isinstance(await store.renew(*turn.ids), Stale)
        assert isinstance(await turn.commit(*items("late")), Stale)
        assert isinstance(await store.next("s", turn.token, LONG, worker="w"), Stale)
        second = await taken(store, "s")
        assert (second.grant.attempt, second.grant.released) == (2, 1)
        assert second.grant.journal == items("done")
        assert await store.release("s", "t", call, attempt=1) is True  # sent again, late
        assert isinstance(await second.commit(*items(1)), Done)

    async def test_only_the_attempt_that_is_meant_is_released(self, store: Store) -> None:
        await store.submit("s", "t", b"one")
        turn = await taken(store, "s")
        for turn_id, attempt in (("t", 2), ("other", 1)):
            assert await store.release("s", turn_id, mint(), attempt=attempt) is False
        assert await store.release("none", "t", mint(), attempt=1) is False
        assert isinstance(await turn.commit(*items(1)), Done)
        assert await store.release("s", "t", mint(), attempt=1) is False

    async def test_a_direct_turn_waits_for_its_sender(self, store: Store) -> None:
        turn = await begun(store, "s", "t")
        await store.journal(*turn.ids, 0, items("done"))
        assert await store.release("s", "t", mint(), attempt=1) is True
        assert expect(Busy, await try_begin(store, "s", "other")).turn_id == "t"
        second = await begun(store, "s", "t")
        assert (second.grant.attempt, second.grant.journal) == (2, items("done"))
        assert isinstance(await try_begin(store, "s", "t", token=turn.token), Stale)

    async def test_a_direct_turn_without_a_journal_is_removed(self, store: Store) -> None:
        await added(store, "s", 0)
        turn, call = await begun(store, "s", "t"), mint()
        for _ in range(2):
            assert await store.release("s", "t", call, attempt=1) is True
        assert expect(Info, await store.info("s")).open_turn is None
        assert isinstance(await try_begin(store, "s", "t", token=turn.token), Stale)

    async def test_its_worker_is_woken(self, store: Store) -> None:
        woken, token, worker = asyncio.Event(), mint(), getattr(store, "worker", "")
        with store.on_wakeup(token, woken.set):
            await begun(store, "s", "t", token=token, worker=worker)
            await store.release("s", "t", mint(), attempt=1)
            await asyncio.wait_for(woken.wait(), 30)

    async def test_a_parked_turn_stays_parked(self, store: Store) -> None:
        await store.submit("s", "t", b"one")
        await store.park(*(await taken(store, "s")).ids, b"{state}")
        assert await store.release("s", "t", mint(), attempt=1) is False
        resumed = await begun(store, "s", "t", resume=True)
        attempt = resumed.grant.attempt
        assert await store.release("s", "t", mint(), attempt=attempt) is True
        assert await store.next("s", mint(), LONG, worker="w") == Parked("t")
