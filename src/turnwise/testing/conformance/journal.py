"""What a running turn keeps beside the history, and turns that wait for an approval."""

from __future__ import annotations

from turnwise.contracts import Store
from turnwise.limits import READ_LIMIT
from turnwise.testing.conformance.lab import (
    Held,
    Lab,
    Suite,
    added,
    begun,
    contents,
    expect,
    items,
    mint,
    outcome,
    try_begin,
)
from turnwise.types import Absent, Done, Duplicate, Grant, Info, Parked, Renewed, Running, Stale


class JournalConformance(Suite):
    async def test_entries_come_at_exactly_their_index(self, store: Store) -> None:
        turn = await begun(store, "s")
        assert isinstance(await store.journal(*turn.ids, 0, items(1)), Done)
        assert isinstance(await store.journal(*turn.ids, 1, items(2, 3)), Done)
        assert isinstance(await store.journal(*turn.ids, 2, items("other")), Stale)
        assert isinstance(await store.journal(*turn.ids, 4, items("hole")), Stale)
        assert isinstance(await store.journal(*turn.ids, 4, []), Stale)
        assert isinstance(await store.journal(*turn.ids, 3, []), Done)
        assert isinstance(await store.journal(*turn.ids, 2, items(3, 4)), Stale)
        assert await self._journal(turn) == items(1, 2, 3)

    async def test_entries_sent_again_are_not_appended_again(self, store: Store) -> None:
        turn = await begun(store, "s")
        first = await store.journal(*turn.ids, 0, items(1, 2))
        await store.journal(*turn.ids, 2, items(3))
        assert await store.journal(*turn.ids, 0, items(1, 2)) == first
        assert await store.journal(*turn.ids, 2, items(3)) == first
        assert await self._journal(turn) == items(1, 2, 3)

    async def test_the_journal_is_no_history(self, store: Store) -> None:
        tip = await added(store, "s", 1)
        turn = await begun(store, "s")
        assert await store.journal(*turn.ids, 0, items("done")) == Done(tip)
        assert await contents(store, "s") == items(1)
        info = expect(Info, await store.info("s"))
        assert (info.items, info.journal_entries) == (1, 1)
        await turn.commit(*items(2))
        assert expect(Info, await store.info("s")).journal_entries == 0

    async def test_a_takeover_is_given_a_long_journal_as_well(self, lab: Lab) -> None:
        store, long = lab.store(), [b"{%d" % number for number in range(3 * READ_LIMIT)]
        await added(store, "s", 1)
        turn = await begun(store, "s", "t", lease=lab.lease)
        await store.journal(*turn.ids, 0, long)
        await lab.dead("s")
        second = await begun(store, "s", "t")
        assert second.grant.journal == long
        assert isinstance(await store.journal(*second.ids, len(long), items("more")), Done)

    async def _journal(self, turn: Held) -> list[bytes]:
        answer = await try_begin(turn.store, "s", turn.grant.turn_id, token=turn.token)
        return expect(Grant, answer).journal

    # waiting for an approval

    async def _parked(self, store: Store) -> Held:
        await added(store, "s", 1)
        turn = await begun(store, "s", "t")
        await store.journal(*turn.ids, 0, items("done"))
        assert isinstance(await store.park(*turn.ids, b"{state}"), Done)
        return turn

    async def test_while_a_turn_is_parked_the_answer_is_parked(self, store: Store) -> None:
        tip = (await self._parked(store)).grant.tip
        for answer in (
            await try_begin(store, "s"),
            await try_begin(store, "s", "t"),
            await try_begin(store, "s", ticket_ms=1000),
            await store.append("s", mint(), items(2)),
            await store.pop("s", mint(), tip),
            await store.clear("s", mint()),
            await store.replace("s", mint(), tip, 0, []),
        ):
            assert answer == Parked("t")
        assert await contents(store, "s") == items(1)

    async def test_a_parked_turn_needs_no_lease(self, lab: Lab) -> None:
        store = lab.store()
        turn = await begun(store, "s", "t", lease=lab.lease)
        await store.park(*turn.ids, b"{state}")
        await lab.passed(3 * lab.lease)
        assert await try_begin(store, "s") == Parked("t")
        info = expect(Info, await store.info("s"))
        assert info.expires_in is None
        assert info.open_turn is not None
        assert (info.open_turn.state, info.open_turn.lease_remaining) == ("parked", None)

    async def test_a_parked_turn_is_no_longer_its_token_s(self, store: Store) -> None:
        turn = await self._parked(store)
        assert isinstance(await store.park(*turn.ids, b"{state}"), Done)
        assert isinstance(await store.renew(*turn.ids), Stale)
        assert isinstance(await store.journal(*turn.ids, 1, items(3)), Stale)
        assert isinstance(await turn.commit(*items(2)), Stale)
        await store.abort(*turn.ids)
        assert await try_begin(store, "s") == Parked("t")

    async def test_a_parked_turn_is_resumed_with_its_state(self, store: Store) -> None:
        await self._parked(store)
        second = await begun(store, "s", "t", resume=True)
        assert second.grant.attempt == 2
        assert second.grant.journal == [b"{state}"]
        again = await try_begin(store, "s", "t", token=second.token, resume=True)
        assert again == second.grant
        await second.commit(*items(2))
        assert await contents(store, "s") == items(1, 2)
        assert isinstance(await try_begin(store, "s", "t", resume=True), Duplicate)

    async def test_a_resent_park_is_done_also_after_a_resume(self, store: Store) -> None:
        """Also after the turn was resumed, and after it was released."""
        turn = await self._parked(store)
        second = await begun(store, "s", "t", resume=True)
        assert isinstance(await store.park(*turn.ids, b"{state}"), Done)
        assert await store.renew(*second.ids) == Renewed(None)
        await store.release(*second.ids, counted=False)
        assert isinstance(await store.park(*turn.ids, b"{state}"), Done)
        assert await store.status("s", "t") == Parked("t", [b"{state}"])
        for state, turn_id in ((b"{another}", "t"), (b"{state}", "u")):
            assert isinstance(await store.park("s", turn_id, turn.token, state), Stale)
        third = await begun(store, "s", "t", resume=True)
        await store.park(*third.ids, b"{state 2}")
        assert isinstance(await store.park(*turn.ids, b"{state}"), Stale)

    async def test_a_delayed_begin_does_not_resume_a_turn_parked_since(self, store: Store) -> None:
        await self._parked(store)
        second = await begun(store, "s", "t", resume=True)
        await store.park(*second.ids, b"{state 2}")
        late = await try_begin(store, "s", "t", token=second.token, resume=True)
        assert late == Parked("t")

    async def test_only_a_parked_turn_can_be_resumed(self, store: Store) -> None:
        assert await try_begin(store, "s", "t", resume=True) == Absent()
        await self._parked(store)
        assert await try_begin(store, "s", "u", resume=True) == Absent()

    async def test_status_brings_the_parked_state(self, store: Store) -> None:
        await self._parked(store)
        assert await store.status("s", "t") == Parked("t", [b"{state}"])
        second = await begun(store, "s", "t", resume=True)
        await store.journal(*second.ids, 1, items("approved"))
        await store.park(*second.ids, b"{state 2}")
        assert await store.status("s", "t") == Parked("t", [b"{state 2}"])

    async def test_each_state_replaces_what_was_journaled_before(self, store: Store) -> None:
        turn = await self._parked(store)
        for number in range(5):
            turn = await begun(store, "s", "t", resume=True)
            assert len(turn.grant.journal) == 1
            await store.journal(*turn.ids, 1, items("approved", "done"))
            await store.park(*turn.ids, b"{state %d}" % number)
            assert isinstance(await store.park(*turn.ids, b"{state %d}" % number), Done)
            assert expect(Info, await store.info("s")).journal_entries == 1
        last = await begun(store, "s", "t", resume=True)
        assert last.grant.journal == [b"{state 4}"]
        await last.commit(*items(2))
        assert await contents(store, "s") == items(1, 2)

    async def test_a_resumed_turn_that_dies_is_parked_again(self, lab: Lab) -> None:
        store = lab.store()
        await self._parked(store)
        second = await begun(store, "s", "t", resume=True, lease=lab.lease)
        await store.journal(*second.ids, 1, items("approved"))
        assert isinstance(await store.status("s", "t"), Running)
        await lab.dead("s", beyond=2 * lab.lease)
        assert await store.status("s", "t") == Parked("t", [b"{state}", *items("approved")])
        opened = expect(Info, await store.info("s")).open_turn
        assert opened is not None
        assert (opened.state, opened.lease_remaining) == ("parked", None)
        for turn_id in ("t", "u"):
            assert await try_begin(store, "s", turn_id) == Parked("t")
        third = await begun(store, "s", "t", resume=True)
        assert third.grant.journal == [b"{state}", *items("approved")]
        assert third.grant.attempt == 3
        assert isinstance(await second.commit(*items(2)), Stale)
        await third.commit(*items(3))
        assert await contents(store, "s") == items(1, 3)

    async def test_a_parked_turn_that_is_cancelled_is_dropped(self, store: Store) -> None:
        await self._parked(store)
        assert await outcome(store, "s", "t") == "dropped"
        assert await outcome(store, "s", "t") == "dropped"
        await added(store, "s", 2)
        assert await contents(store, "s") == items(1, 2)
