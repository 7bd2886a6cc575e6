"""Listing sessions: their state without their content, in pages."""

from __future__ import annotations

from contextlib import suppress

import pytest

from turnwise.contracts import Store
from turnwise.errors import UsageError
from turnwise.testing.conformance.lab import (
    LONG,
    NONSENSE,
    Lab,
    Suite,
    added,
    begun,
    expect,
    ids,
    items,
    only_session,
    taken,
    try_begin,
)
from turnwise.types import Info, Queued


class ListingConformance(Suite):
    async def test_a_listed_session_is_what_info_says(self, store: Store) -> None:
        await added(store, "s", 1, 2)
        found, info = await only_session(store), expect(Info, await store.info("s"))
        assert (found.session_id, found.state, found.open_turn) == ("s", "idle", None)
        assert (found.items, found.bytes, found.queued) == (2, info.bytes, 0)
        assert found.since == found.updated_at == info.updated_at
        assert found.error is None

    async def test_the_states_of_a_direct_turn(self, lab: Lab) -> None:
        store = lab.store()
        await added(store, "s", 1)
        turn = await begun(store, "s", "t", lease=lab.lease, worker="me")
        await store.journal(*turn.ids, 0, items("done"))
        found = await only_session(store)
        assert (found.state, found.since) == ("running", None)
        assert found.open_turn is not None
        assert (found.open_turn.turn_id, found.open_turn.worker) == ("t", "me")
        await lab.dead("s")
        dead, now = await only_session(store), await lab.now()
        assert dead.state == "dead"
        assert dead.since is not None
        assert now - 10_000 < 1000 * dead.since <= now
        await store.renew(*turn.ids)
        before = await lab.now()
        await store.park(*turn.ids, b"{state}")
        parked = await only_session(store)
        assert parked.state == "parked"
        assert parked.since is not None
        assert before - 1 <= 1000 * parked.since <= await lab.now()

    async def test_the_states_of_a_message(self, store: Store) -> None:
        await store.submit("s", "t", b"one")
        found = await only_session(store)
        assert (found.state, found.queued) == ("queued", 1)
        turn = await taken(store, "s")
        assert (await only_session(store)).state == "running"
        await store.release(*turn.ids, counted=True, delay_ms=LONG)
        assert (await only_session(store)).state == "retrying"

    async def test_a_message_that_is_given_back_waits_for_a_worker(self, lab: Lab) -> None:
        store = lab.store()
        await store.submit("s", "t", b"one")
        before = await lab.now()
        await store.release(*(await taken(store, "s")).ids)
        released = await only_session(store)
        assert released.state == "dead"
        assert released.since is not None
        assert before - 1 <= 1000 * released.since <= await lab.now()

    async def test_a_decided_message_waits_for_a_worker(self, store: Store) -> None:
        await store.submit("s", "t", b"one")
        turn = await taken(store, "s")
        await store.park(*turn.ids, b"{state}")
        assert (await only_session(store)).state == "parked"
        decider = await begun(store, "s", "t", resume=True)
        await store.release(*decider.ids, decided=True)
        assert (await only_session(store)).state == "dead"

    async def test_a_stopped_session(self, lab: Lab) -> None:
        store = lab.store()
        await store.submit("s", "t", b"one")
        turn, before = await taken(store, "s"), await lab.now()
        await store.stop(*turn.ids, b"why")
        stopped = await only_session(store)
        assert stopped.state == "stopped"
        assert stopped.since is not None
        assert before - 1 <= 1000 * stopped.since <= await lab.now()

    @pytest.mark.parametrize("count", [1, 7, 10_000])
    async def test_pages_of_any_size_have_each_session(self, store: Store, count: int) -> None:
        names = {f"s{number}" for number in range(40)}
        for name in names:
            await added(store, name, 1)
        found = await ids(store, "*", count)
        assert set(found) == names
        assert len(found) == len(names)
        assert set(await ids(store, "s1*", count)) == {name for name in names if name[:2] == "s1"}

    @pytest.mark.parametrize("nonsense", NONSENSE, ids=lambda text: ascii(text)[:20])
    async def test_what_is_no_cursor_begins_somewhere_or_is_refused(
        self, store: Store, nonsense: str
    ) -> None:
        await added(store, "s", 1)
        with suppress(UsageError):
            await store.page(cursor=nonsense)

    @pytest.mark.parametrize("nonsense", NONSENSE, ids=lambda text: ascii(text)[:20])
    async def test_a_glob_that_no_id_can_match_finds_nothing(
        self, store: Store, nonsense: str
    ) -> None:
        await added(store, "s", 1)
        assert await ids(store, f"{nonsense}?!") == []

    async def test_a_page_of_nothing(self, store: Store) -> None:
        assert await ids(store) == []
        page = await store.page()
        assert (page.sessions, page.strangers) == ([], [])

    async def test_a_session_that_is_deleted_between_pages_is_not_listed(
        self, store: Store
    ) -> None:
        for number in range(40):
            await added(store, f"s{number}", 1)
        page = await store.page(count=10)
        listed = {found.session_id for found in page.sessions}
        for number in range(40):
            if f"s{number}" not in listed:
                await store.delete(f"s{number}")
        while page.cursor is not None:
            page = await store.page(cursor=page.cursor, count=10)
            assert {found.session_id for found in page.sessions} <= listed

    async def test_the_queue_is_listed_and_stays(self, lab: Lab) -> None:
        store = lab.store()
        assert await store.queue("s", 10) == []
        await added(store, "s", 1)
        assert await store.queue("s", 10) == []
        turn = await begun(store, "s", "open")
        await store.submit("s", "m1", b"\x00 1\n")
        assert isinstance(await try_begin(store, "s", "c", ticket_ms=LONG), Queued)
        await store.submit("s", "m2", b"2")
        await store.submit("s", "m3", b"3")
        await store.cancel("s", "m2")
        await lab.tick()
        for _ in range(2):
            first, caller, last = await store.queue("s", 10)
            assert (first.turn_id, first.kind, first.content) == ("m1", "message", b"\x00 1\n")
            assert (caller.turn_id, caller.kind, caller.worker) == ("c", "caller", "other")
            assert (last.turn_id, last.content) == ("m3", b"3")
            assert 0 < last.waiting_ms <= caller.waiting_ms <= first.waiting_ms < LONG
        assert [entry.turn_id for entry in await store.queue("s", 2)] == ["m1", "c"]
        await store.abort(*turn.ids)
        running = await taken(store, "s")
        assert (await store.queue("s", 1))[0].turn_id == running.grant.turn_id == "m1"
        await store.release(*running.ids, counted=True)
        await taken(store, "s")
        assert (await store.queue("s", 1))[0].attempts == 2
