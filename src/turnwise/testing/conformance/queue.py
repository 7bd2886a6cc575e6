"""The queue: messages that workers take as turns, and callers that wait, in one order."""

from __future__ import annotations

import asyncio

import pytest

from turnwise.contracts import Store
from turnwise.limits import HEAD_TIMEOUT_MS, LATE_MS, Limits
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
from turnwise.types import (
    Absent,
    Accepted,
    Busy,
    Done,
    Duplicate,
    Full,
    Grant,
    Idle,
    Info,
    Late,
    Parked,
    Queued,
    Stale,
)


class QueueConformance(Suite):
    # messages

    async def test_messages_are_taken_in_their_order(self, store: Store) -> None:
        assert await store.submit("s", "t1", b"\x00 one") == Accepted(0)
        assert await store.submit("s", "t2", b"") == Accepted(1)
        first = await taken(store, "s")
        assert (first.grant.turn_id, first.grant.message) == ("t1", b"\x00 one")
        assert first.grant.attempt == 1
        await first.commit(*items(1))
        second = await taken(store, "s")
        assert (second.grant.turn_id, second.grant.message) == ("t2", b"")
        await second.commit(*items(2))
        assert await store.next("s", mint(), LONG, worker="w") == Idle()
        assert await contents(store, "s") == items(1, 2)

    async def test_a_message_sent_again_waits_once(self, store: Store) -> None:
        await store.submit("s", "t1", b"one")
        await store.submit("s", "t2", b"two")
        assert await store.submit("s", "t1", b"one") == Accepted(0)
        assert await store.submit("s", "t2", b"two") == Accepted(1)
        assert await store.submit("s", "t1", b"other") == Duplicate(None)
        assert expect(Info, await store.info("s")).queued == 2

    async def test_a_message_stays_in_the_queue_until_its_commit(self, store: Store) -> None:
        await store.submit("s", "t", b"one")
        turn = await taken(store, "s")
        assert await store.submit("s", "t", b"one") == Accepted(0)
        assert expect(Info, await store.info("s")).queued == 1
        await turn.commit(*items(1))
        assert expect(Info, await store.info("s")).queued == 0
        answer = expect(Duplicate, await store.submit("s", "t", b"one"))
        assert answer.record is not None
        assert answer.elements == items(1)

    async def test_a_turn_id_belongs_to_one_turn(self, store: Store) -> None:
        turn = await begun(store, "s", "direct")
        busy = expect(Busy, await store.submit("s", "direct", b"one"))
        assert (busy.worker, busy.turn_id) == ("worker", "direct")
        assert 0 < busy.remaining_ms <= LONG
        await store.park(*turn.ids, b"{state}")
        assert expect(Busy, await store.submit("s", "direct", b"one")).turn_id == "direct"
        assert expect(Info, await store.info("s")).queued == 0
        await store.submit("s", "message", b"one")
        assert expect(Queued, await try_begin(store, "s", "message")).turn_id == "message"

    async def test_the_same_token_is_granted_the_same_message_again(self, store: Store) -> None:
        await store.submit("s", "t", b"one")
        turn = await taken(store, "s")
        again = await store.next("s", turn.token, LONG, worker="worker")
        assert again == turn.grant
        await turn.commit(*items(1))
        assert isinstance(await store.next("s", turn.token, LONG, worker="worker"), Stale)

    async def test_while_a_turn_is_open_no_message_is_taken(self, store: Store) -> None:
        await store.submit("s", "t", b"one")
        await taken(store, "s")
        busy = expect(Busy, await store.next("s", mint(), LONG, worker="other"))
        assert (busy.worker, busy.turn_id) == ("worker", "t")
        await begun(store, "direct", "d")
        await store.submit("direct", "t", b"one")
        busy = expect(Busy, await store.next("direct", mint(), LONG, worker="other"))
        assert busy.turn_id == "d"

    @pytest.mark.parametrize("behind", ["nobody", "a caller", "a cancelled message"])
    async def test_without_a_message_a_dead_turn_with_a_journal_is_left_to_its_sender(
        self, lab: Lab, behind: str
    ) -> None:
        store = lab.store()
        turn = await begun(store, "s", "t", lease=lab.lease)
        await store.journal(*turn.ids, 0, items("done"))
        if behind == "a caller":
            assert isinstance(await try_begin(store, "s", ticket_ms=LONG), Queued)
        elif behind != "nobody":
            await store.submit("s", "m", b"one")
            assert await outcome(store, "s", "m") == "dropped"
        await lab.dead("s", beyond=2 * lab.lease)
        assert await store.next("s", mint(), LONG, worker="other") == Idle()
        again = await begun(store, "s", "t")
        assert (again.grant.attempt, again.grant.journal) == (2, items("done"))

    async def test_a_dead_worker_s_message_is_taken_over_and_never_abandoned(
        self, lab: Lab
    ) -> None:
        store = lab.store()
        await store.submit("s", "t", b"one")
        turn = await taken(store, "s", lease=lab.lease)
        await store.journal(*turn.ids, 0, items("done"))
        await lab.dead("s", beyond=2 * lab.lease)
        assert isinstance(await try_begin(store, "s"), Busy)
        assert isinstance(await try_begin(store, "s", "t"), Busy)
        assert isinstance(await store.append("s", mint(), items(1)), Busy)
        second = await taken(store, "s")
        assert (second.grant.attempt, second.grant.message) == (2, b"one")
        assert second.grant.journal == items("done")
        assert isinstance(await turn.commit(*items("late")), Stale)
        await store.abort(*second.ids)
        third = await taken(store, "s")
        assert (third.grant.attempt, third.grant.journal) == (3, [])
        await third.commit(*items(1))
        assert await contents(store, "s") == items(1)

    async def test_a_message_whose_turn_was_aborted_is_taken_again(self, store: Store) -> None:
        await store.submit("s", "t", b"one")
        turn = await taken(store, "s")
        await store.journal(*turn.ids, 0, items("done"))
        await store.abort(*turn.ids)
        second = await taken(store, "s")
        assert (second.grant.turn_id, second.grant.attempt, second.grant.journal) == ("t", 2, [])

    async def test_a_message_s_turn_can_be_parked(self, lab: Lab) -> None:
        store = lab.store()
        await store.submit("s", "t", b"one")
        turn = await taken(store, "s")
        await store.park(*turn.ids, b"{state}")
        assert await store.next("s", mint(), LONG, worker="w") == Parked("t")
        second = await begun(store, "s", "t", resume=True, lease=lab.lease)
        await lab.dead("s")
        assert await store.next("s", mint(), LONG, worker="w") == Parked("t")
        third = await begun(store, "s", "t", resume=True)
        assert (second.grant.attempt, third.grant.attempt) == (2, 3)
        assert third.grant.journal == [b"{state}"]
        await third.commit(*items(1))
        assert await store.next("s", mint(), LONG, worker="w") == Idle()

    async def test_a_full_queue_takes_no_more(self, lab: Lab) -> None:
        store = lab.store(Limits(max_queue=2))
        await begun(store, "s")
        await store.submit("s", "t1", b"one")
        assert isinstance(await try_begin(store, "s", ticket_ms=LONG), Queued)
        assert await store.submit("s", "t2", b"two") == Full(2)
        assert await try_begin(store, "s", ticket_ms=LONG) == Full(2)
        assert await store.submit("s", "t1", b"one") == Accepted(0)
        assert expect(Info, await store.info("s")).queued == 2

    async def test_a_message_long_after_its_announcement_is_late(self, lab: Lab) -> None:
        store = lab.store()
        now = await lab.now()
        assert await store.submit("s", "t1", b"one", now) == Accepted(0)
        assert await store.submit("s", "t2", b"two", now - LATE_MS - 1000) == Late()
        assert await store.submit("s", "t1", b"one", now - LATE_MS - 1000) == Accepted(0)
        assert await store.submit("u", "t", b"two", now - LATE_MS - 1000) == Late()
        assert await store.info("u") == Absent()

    async def test_a_queued_message_is_cancelled(self, store: Store) -> None:
        await store.submit("s", "t1", b"one")
        await store.submit("s", "t2", b"two")
        await store.submit("s", "t3", b"three")
        turn = await taken(store, "s")
        assert await outcome(store, "s", "t2") == "dropped"
        assert await outcome(store, "s", "t2") == "dropped"
        for answer in (await try_begin(store, "s", "t2"), await store.submit("s", "t2", b"two")):
            record = expect(Duplicate, answer).record
            assert record is not None
            assert record.kind == "cancelled"
        done = expect(Done, await turn.commit(*items(1), commit_id="c"))
        assert done.tip.commit_id == "c"
        assert await turn.commit(*items(1), commit_id="c") == done
        assert (await taken(store, "s")).grant.turn_id == "t3"
        assert isinstance(await store.submit("s", "t2", b"two"), Duplicate)
        assert await outcome(store, "s", "t2") == "dropped"

    async def test_the_only_queued_message_is_cancelled(self, store: Store) -> None:
        await store.submit("s", "t", b"one")
        assert await outcome(store, "s", "t") == "dropped"
        assert await store.next("s", mint(), LONG, worker="w") == Idle()
        assert expect(Info, await store.info("s")).queued == 0
        assert isinstance(await try_begin(store, "s", "t"), Duplicate)

    async def test_a_message_whose_worker_died_is_dropped(self, lab: Lab) -> None:
        store = lab.store()
        await store.submit("s", "t", b"one")
        await taken(store, "s", lease=lab.lease)
        await lab.dead("s")
        assert await outcome(store, "s", "t") == "dropped"
        assert await store.next("s", mint(), LONG, worker="w") == Idle()
        assert expect(Info, await store.info("s")).queued == 0

    # callers that wait

    async def test_callers_wait_in_the_queue_in_order(self, store: Store) -> None:
        await added(store, "s", 0)
        turn = await begun(store, "s", worker="me")
        tokens = [mint(), mint()]
        for number, token in enumerate(tokens):
            queued = await try_begin(store, "s", f"t{number}", token=token, ticket_ms=LONG)
            assert expect(Queued, queued).worker == "me"
        await self._ask(store, "t0", tokens[0])
        assert expect(Info, await store.info("s")).queued == 2
        await turn.commit(*items(1))
        first = expect(Grant, await self._ask(store, "t0", tokens[0]))
        assert first.turn_id == "t0"
        assert isinstance(await self._ask(store, "t1", tokens[1]), Queued)
        await Held(store, "s", tokens[0], first).commit(*items(2))
        second = expect(Grant, await self._ask(store, "t1", tokens[1]))
        await Held(store, "s", tokens[1], second).commit(*items(3))
        assert expect(Info, await store.info("s")).queued == 0
        assert isinstance(await self._ask(store, "t1", tokens[1]), Stale)
        assert await contents(store, "s") == items(0, 1, 2, 3)

    async def _ask(self, store: Store, turn_id: str, token: str) -> object:
        return await try_begin(store, "s", turn_id, token=token, ticket_ms=LONG)

    async def test_nobody_overtakes_the_head_of_the_queue(self, lab: Lab) -> None:
        store = lab.store()
        for session_id in map(str, range(10)):
            turn = await begun(store, session_id)
            await try_begin(store, session_id, "next", ticket_ms=LONG, worker="first")
            released = await lab.now()
            await turn.commit(*items(1))
            answers = [
                await try_begin(store, session_id),
                await try_begin(store, session_id, ticket_ms=LONG),
                await store.next(session_id, mint(), LONG, worker="w"),
            ]
            if await lab.now() - released < HEAD_TIMEOUT_MS:
                break
        else:
            raise AssertionError("the store is too slow for this test")
        for answer in answers:
            assert isinstance(answer, Busy | Queued)
            assert (answer.worker, answer.turn_id) == ("first", "next")
            assert 0 <= answer.remaining_ms <= HEAD_TIMEOUT_MS

    async def test_a_head_of_the_queue_that_does_not_begin_is_passed_over(self, lab: Lab) -> None:
        store, token = lab.store(), mint()
        turn = await begun(store, "s")
        await try_begin(store, "s", "gone", ticket_ms=LONG)
        await try_begin(store, "s", "next", token=token, ticket_ms=LONG)
        await turn.commit(*items(1))

        async def granted() -> bool:
            return isinstance(
                await try_begin(store, "s", "next", token=token, ticket_ms=LONG), Grant
            )

        await lab.until(granted)
        assert expect(Info, await store.info("s")).queued == 0

    async def test_a_caller_that_takes_a_turn_over_leaves_the_queue(self, lab: Lab) -> None:
        store, token = lab.store(), mint()
        await added(store, "s", 0)
        await begun(store, "s", "t", lease=lab.lease)
        queued = await try_begin(store, "s", "t", token=token, ticket_ms=LONG)
        assert isinstance(queued, Queued)
        await lab.dead("s")
        assert isinstance(await self._ask(store, "t", token), Grant)
        assert expect(Info, await store.info("s")).queued == 0

    async def test_each_head_of_the_queue_has_its_time(self, lab: Lab) -> None:
        if not lab.steps:
            pytest.skip("only exact with a clock that the test sets")
        store = lab.store()
        turn = await begun(store, "s")
        await try_begin(store, "s", "first", ticket_ms=LONG)
        await try_begin(store, "s", "second", ticket_ms=LONG)
        await turn.commit(*items(1))
        lab.step(HEAD_TIMEOUT_MS - 1)
        assert expect(Busy, await try_begin(store, "s")).turn_id == "first"
        lab.step(1)
        assert expect(Busy, await try_begin(store, "s")) == Busy("other", "second", HEAD_TIMEOUT_MS)
        lab.step(HEAD_TIMEOUT_MS)
        await begun(store, "s")

    async def test_a_clock_set_back_does_not_extend_the_head_s_time(self, lab: Lab) -> None:
        if not lab.steps:
            pytest.skip("the clock of this store cannot be set")
        store = lab.store()
        turn = await begun(store, "s")
        await try_begin(store, "s", "first", ticket_ms=LONG)
        await turn.commit(*items(1))
        lab.step(-3_600_000)
        assert expect(Busy, await try_begin(store, "s")).remaining_ms <= HEAD_TIMEOUT_MS
        lab.step(HEAD_TIMEOUT_MS)
        await begun(store, "s")

    async def test_a_ticket_expires(self, lab: Lab) -> None:
        store = lab.store()
        turn = await begun(store, "s")
        await try_begin(store, "s", "impatient", ticket_ms=lab.lease)
        await lab.passed(lab.lease + 1)
        await turn.commit(*items(1))
        await begun(store, "s")

    async def test_an_abort_removes_the_caller_from_the_queue(self, store: Store) -> None:
        turn, token = await begun(store, "s"), mint()
        await try_begin(store, "s", "t", token=token, ticket_ms=LONG)
        await store.abort("s", "t", token)
        assert expect(Info, await store.info("s")).queued == 0
        assert isinstance(await self._ask(store, "t", token), Stale)
        await turn.commit(*items(1))
        await begun(store, "s")

    async def test_a_caller_whose_turn_another_committed_leaves_the_queue(
        self, store: Store
    ) -> None:
        turn, token = await begun(store, "s", "t"), mint()
        await try_begin(store, "s", "t", token=token, ticket_ms=LONG)
        await turn.commit(*items(1))
        assert isinstance(await self._ask(store, "t", token), Duplicate)
        assert expect(Info, await store.info("s")).queued == 0
        await begun(store, "s")

    async def test_messages_and_callers_share_one_queue(self, store: Store) -> None:
        turn, token = await begun(store, "s"), mint()
        await store.submit("s", "m1", b"one")
        await try_begin(store, "s", "t", token=token, ticket_ms=LONG)
        await store.submit("s", "m2", b"two")
        await turn.commit(*items(0))
        assert expect(Queued, await self._ask(store, "t", token)).turn_id == "m1"
        await (await taken(store, "s")).commit(*items(1))
        grant = expect(Grant, await self._ask(store, "t", token))
        await Held(store, "s", token, grant).commit(*items(2))
        last = await taken(store, "s")
        assert last.grant.turn_id == "m2"
        await last.commit(*items(3))
        assert await contents(store, "s") == items(0, 1, 2, 3)

    async def test_a_caller_behind_a_cancelled_message_is_not_stuck(self, lab: Lab) -> None:
        store, token = lab.store(), mint()
        await store.submit("s", "m", b"one")
        await try_begin(store, "s", "gone", ticket_ms=LONG)
        await try_begin(store, "s", "t", token=token, ticket_ms=LONG)
        await store.cancel("s", "m")
        assert expect(Info, await store.info("s")).queued == 2

        async def granted() -> bool:
            return isinstance(await self._ask(store, "t", token), Grant)

        await lab.until(granted, limit=LONG // 2)

    async def test_the_head_of_the_queue_is_woken(self, store: Store) -> None:
        turn, token = await begun(store, "s"), mint()
        worker = getattr(store, "worker", "")
        async with store.waiter(token) as wake:
            await try_begin(store, "s", "t", token=token, ticket_ms=LONG, worker=worker)
            woken = asyncio.create_task(wake.wait(30))
            await turn.commit(*items(1))
            while not isinstance(await self._ask(store, "t", token), Grant):
                await woken
                woken = asyncio.create_task(wake.wait(30))
            woken.cancel()
            await asyncio.gather(woken, return_exceptions=True)

    async def test_a_wait_ends_after_its_timeout(self, store: Store) -> None:
        async with store.waiter(mint()) as wake:
            await wake.wait(0.01)
