"""A session that is stopped at a message that failed for good."""

from __future__ import annotations

from turnwise.contracts import Store
from turnwise.testing.conformance.lab import (
    LONG,
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
    taken,
    try_begin,
)
from turnwise.testing.conformance.wake_ups import in_queue
from turnwise.types import (
    Absent,
    Accepted,
    Done,
    Duplicate,
    Gone,
    Grant,
    Info,
    Queued,
    Stale,
    Stopped,
)

LETTER = b"{letter}"


class StoppedConformance(Suite):
    async def _stopped(self, store: Store, *, lease: int = LONG) -> Held:
        """Stopped at message "t" in its first attempt, with "u" behind it."""
        await added(store, "s", 1)
        await store.submit("s", "t", b"one")
        await store.submit("s", "u", b"two")
        turn = await taken(store, "s", lease=lease)
        await store.journal(*turn.ids, 0, items("done"))
        assert isinstance(await store.stop(*turn.ids, LETTER), Done)
        return turn

    async def test_whoever_wants_a_stopped_session_is_answered_stopped(self, store: Store) -> None:
        tip = (await self._stopped(store)).grant.tip
        for answer in (
            await store.next("s", mint(), LONG, worker="w"),
            await try_begin(store, "s"),
            await try_begin(store, "s", "t"),
            await try_begin(store, "s", "t", resume=True),
            await try_begin(store, "s", ticket_ms=1000),
            await store.append("s", mint(), items(2)),
            await store.pop("s", mint(), tip),
            await store.clear("s", mint()),
            await store.replace("s", mint(), tip, 0, []),
        ):
            assert answer == Stopped("t")
        assert await contents(store, "s") == items(1)

    async def test_it_stays_stopped_without_a_lease(self, lab: Lab) -> None:
        store = lab.store()
        before = await lab.now()
        await self._stopped(store, lease=lab.lease)
        await lab.passed(3 * lab.lease)
        status = expect(Stopped, await store.status("s", "t"))
        assert (status.turn_id, status.letter) == ("t", LETTER)
        assert before - 1 <= status.at_ms <= await lab.now() - 3 * lab.lease
        info = expect(Info, await store.info("s"))
        assert (info.queued, info.expires_in) == (2, None)
        assert info.open_turn is not None
        assert (info.open_turn.state, info.open_turn.lease_remaining) == ("stopped", None)
        assert await store.next("s", mint(), LONG, worker="w") == Stopped("t")
        assert await store.ready.claim("w", 5, 0) == []

    async def test_only_the_holder_of_a_turn_can_stop_its_session(self, lab: Lab) -> None:
        store = lab.store()
        assert await store.stop("s", "t", mint(), LETTER) == Gone()
        await store.submit("s", "t", b"one")
        turn = await taken(store, "s", lease=lab.lease)
        assert isinstance(await store.stop("s", "t", mint(), LETTER), Stale)
        await lab.dead("s")
        second = await taken(store, "s")
        assert isinstance(await store.stop(*turn.ids, LETTER), Stale)
        assert isinstance(await second.commit(*items(1)), Done)

    async def test_a_stopped_turn_is_no_longer_its_token_s(self, store: Store) -> None:
        turn = await self._stopped(store)
        assert isinstance(await store.renew(*turn.ids), Stale)
        assert isinstance(await store.journal(*turn.ids, 1, items(2)), Stale)
        assert isinstance(await store.park(*turn.ids, b"{state}"), Stale)
        assert isinstance(await turn.commit(*items(2)), Stale)
        await store.abort(*turn.ids)
        await store.release(*turn.ids)
        assert await try_begin(store, "s") == Stopped("t")

    async def test_a_stop_that_is_sent_again_is_done_until_the_turn_ends(
        self, store: Store
    ) -> None:
        turn = await self._stopped(store)
        for _ in range(2):
            assert isinstance(await store.stop(*turn.ids, LETTER), Done)
        assert isinstance(await store.stop(*turn.ids, b"{another}"), Stale)
        assert isinstance(await store.stop("s", "u", turn.token, LETTER), Stale)
        assert isinstance(await store.dead_letter("s", "t", mint(), LETTER), Done)
        assert isinstance(await store.stop(*turn.ids, LETTER), Stale)

    async def test_its_letter_ends_the_turn_as_dead(self, store: Store) -> None:
        await self._stopped(store)
        token = mint()
        for _ in range(2):
            assert isinstance(await store.dead_letter("s", "t", token, LETTER), Done)
        (letter,) = await store.dead_letters()
        assert (letter.turn_id, letter.content, letter.state) == ("t", LETTER, "dead")
        record = expect(Duplicate, await store.status("s", "t")).record
        assert record is not None
        assert (record.kind, record.payload) == ("dead", letter.id.encode())
        assert await contents(store, "s") == items(1)
        assert (await taken(store, "s")).grant.turn_id == "u"

    async def test_of_two_who_end_it_one_does(self, store: Store) -> None:
        await self._stopped(store)
        assert isinstance(await store.dead_letter("s", "t", mint(), LETTER), Done)
        assert isinstance(await store.dead_letter("s", "t", mint(), LETTER), Stale)
        assert len(await store.dead_letters()) == 1

    async def test_another_letter_or_turn_ends_nothing(self, store: Store) -> None:
        await self._stopped(store)
        assert isinstance(await store.dead_letter("s", "t", mint(), b"{other}"), Stale)
        assert isinstance(await store.dead_letter("s", "u", mint(), LETTER), Stale)
        assert await store.dead_letters() == []
        assert await try_begin(store, "s") == Stopped("t")

    async def test_its_letter_does_not_end_a_turn_that_is_not_stopped(self, store: Store) -> None:
        await self._stopped(store)
        await store.dead_letter("s", "t", mint(), LETTER)
        (first,) = await store.dead_letters()
        await store.submit("s", "t", b"one", retry_of=first.id)
        await (await taken(store, "s")).commit(*items(2))  # the message behind it
        turn = await taken(store, "s")
        assert (turn.grant.turn_id, turn.grant.journal, turn.grant.attempt) == ("t", [], 1)
        assert isinstance(await store.dead_letter("s", "t", mint(), LETTER), Stale)
        await store.park(*turn.ids, LETTER)
        assert isinstance(await store.dead_letter("s", "t", mint(), LETTER), Stale)
        third = await begun(store, "s", "t", resume=True)
        assert isinstance(await store.stop(*third.ids, b"{second}"), Done)
        assert isinstance(await store.dead_letter("s", "t", mint(), LETTER), Stale)
        assert isinstance(await store.dead_letter("s", "t", mint(), b"{second}"), Done)

    async def test_a_stopped_turn_that_is_cancelled_is_dropped(self, store: Store) -> None:
        await self._stopped(store)
        assert await outcome(store, "s", "t", keep=True) == "absent"
        assert await outcome(store, "s", reason="why") == "dropped"
        record = expect(Duplicate, await store.status("s", "t")).record
        assert record is not None
        assert (record.kind, record.payload) == ("cancelled", b"why")
        assert (await taken(store, "s")).grant.turn_id == "u"

    async def test_a_turn_that_was_to_be_cancelled_can_be_stopped_and_dropped(
        self, store: Store
    ) -> None:
        await store.submit("s", "t", b"one")
        turn = await taken(store, "s")
        assert await outcome(store, "s", "t", reason="first") == "flagged"
        assert isinstance(await store.stop(*turn.ids, LETTER), Done)
        assert await outcome(store, "s", "t", reason="second") == "dropped"
        record = expect(Duplicate, await store.status("s", "t")).record
        assert record is not None
        assert record.payload == b"first"

    async def test_messages_are_queued_behind_it(self, store: Store) -> None:
        await self._stopped(store)
        assert await store.submit("s", "v", b"three") == Accepted(2)
        assert expect(Queued, await store.status("s", "v")).position == 2

    async def test_callers_in_the_queue_are_woken_and_learn_that_it_stopped(
        self, store: Store
    ) -> None:
        await store.submit("s", "t", b"one")
        turn = await taken(store, "s")
        async with in_queue(store, ["a", "b"]) as queue:
            await store.stop(*turn.ids, LETTER)
            await queue.all_woken()
            assert await queue.ask("a") == Stopped("t")
            assert await queue.ask("b") == Stopped("t")

    async def test_the_head_of_the_queue_is_woken_when_the_turn_ends(self, store: Store) -> None:
        await store.submit("s", "t", b"one")
        turn = await taken(store, "s")
        async with in_queue(store, ["a"]) as queue:
            await store.stop(*turn.ids, LETTER)
            await queue.all_woken()
            await store.dead_letter("s", "t", mint(), LETTER)
            await queue.all_woken()
            assert isinstance(await queue.ask("a"), Grant)

    async def test_a_stopped_session_can_be_deleted(self, store: Store) -> None:
        turn = await self._stopped(store)
        assert await store.delete("s")
        assert await store.stop(*turn.ids, LETTER) == Gone()
        assert await store.dead_letter("s", "t", mint(), LETTER) == Gone()
        assert await store.status("s", "t") == Absent()
        assert await store.dead_letters() == []
