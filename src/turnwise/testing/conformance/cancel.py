"""Turns that are asked to stop, give themselves up or give themselves back; what became of one."""

from __future__ import annotations

import asyncio

import pytest

from turnwise.contracts import Store
from turnwise.testing.conformance.lab import (
    LONG,
    Lab,
    Suite,
    added,
    asked,
    begun,
    contents,
    expect,
    items,
    mint,
    outcome,
    taken,
)
from turnwise.types import (
    Absent,
    Busy,
    Cancelled,
    Done,
    Duplicate,
    Gone,
    Grant,
    Idle,
    Info,
    Parked,
    Queued,
    Renewed,
    Running,
    Stale,
)


class CancelConformance(Suite):
    # asked to stop

    async def test_a_turn_is_told_whether_to_keep_what_it_finished(self, store: Store) -> None:
        turn = await begun(store, "s", "t")
        assert await store.renew(*turn.ids) == Renewed(None)
        asked_for = Cancelled("flagged", "t", "worker")
        assert await store.cancel("s", "t", keep=True) == asked_for
        assert await store.renew(*turn.ids) == Renewed("keep")
        assert expect(Grant, await asked(store, "s", "t", token=turn.token)).cancel_mode == "keep"

    @pytest.mark.parametrize("order", [(True, False), (False, True)])
    async def test_who_wants_it_dropped_wins(self, store: Store, order: tuple[bool, bool]) -> None:
        turn = await begun(store, "s", "t")
        for keep in order:
            await store.cancel("s", "t", keep=keep)
        assert await store.renew(*turn.ids) == Renewed("drop")
        opened = expect(Info, await store.info("s")).open_turn
        assert opened is not None
        assert opened.cancel_mode == "drop"

    async def test_a_takeover_is_told_as_well(self, lab: Lab) -> None:
        store = lab.store()
        await store.submit("s", "t", b"one")
        await store.cancel("s", (await taken(store, "s", lease=lab.lease)).grant.turn_id, keep=True)
        await lab.dead("s")
        assert (await taken(store, "s")).grant.cancel_mode == "keep"

    async def test_the_open_turn_is_meant_where_none_is_named(self, store: Store) -> None:
        assert await store.cancel("s") == Cancelled("absent")
        await added(store, "s", 1)
        assert await store.cancel("s") == Cancelled("absent")
        turn = await begun(store, "s", "t")
        assert await store.cancel("s") == Cancelled("flagged", "t", "worker")
        await turn.commit()
        assert await store.cancel("s") == Cancelled("absent")

    async def test_a_turn_is_dropped_by_force(self, store: Store) -> None:
        await added(store, "s", 0)
        turn, token = await begun(store, "s", "t"), mint()
        await store.journal(*turn.ids, 0, items("done"))
        await asked(store, "s", "next", token=token, ticket_ms=LONG)
        assert await store.cancel("s", "t", force=True) == Cancelled("dropped", "t", "worker")
        assert await store.cancel("s", "t", force=True) == Cancelled("dropped", "t")
        assert isinstance(await store.renew(*turn.ids), Stale)
        assert isinstance(await turn.commit(*items("late")), Stale)
        record = expect(Duplicate, await asked(store, "s", "t")).record
        assert record is not None
        assert (record.kind, record.items) == ("cancelled", 0)
        following = await asked(store, "s", "next", token=token, ticket_ms=LONG)
        assert expect(Grant, following).journal == []
        assert await store.cancel("s", "t", force=True) == Cancelled("dropped", "t")
        assert isinstance(await store.renew("s", "next", token), Renewed)
        assert await contents(store, "s") == items(0)

    async def test_what_was_stopped_is_told_again_as_it_was(self, store: Store) -> None:
        for name, kept in (("kept", items("said")), ("nothing", [])):
            turn = await begun(store, "s", name)
            await store.cancel("s", name, keep=True)
            expect(Done, await turn.commit(*kept, kind="cancelled"))
        again = expect(Duplicate, await store.cancel("s", "kept"))
        assert again.record is not None
        assert (again.record.kind, again.record.items) == ("cancelled", 1)
        assert await store.cancel("s", "nothing") == Cancelled("dropped", "nothing")

    async def test_a_message_is_dropped_by_force(self, store: Store) -> None:
        await store.submit("s", "t1", b"one")
        await store.submit("s", "t2", b"two")
        turn = await taken(store, "s")
        assert await outcome(store, "s", force=True) == "dropped"
        assert isinstance(await turn.commit(), Stale)
        assert (await taken(store, "s")).grant.turn_id == "t2"

    async def test_only_an_open_turn_is_ended(self, store: Store) -> None:
        await store.submit("s", "t", b"one")
        for force in (False, True):
            assert await outcome(store, "s", "t", open_only=True, force=force) == "absent"
        turn = await taken(store, "s")
        await store.abort(*turn.ids)
        assert await outcome(store, "s", "t", open_only=True, reason="why") == "absent"
        turn = await taken(store, "s")
        assert (turn.grant.message, turn.grant.cancel_mode, turn.grant.cancel_reason) == (
            b"one",
            None,
            "",
        )
        assert await outcome(store, "s", "t", open_only=True) == "flagged"
        for _ in range(2):
            assert await outcome(store, "s", "t", open_only=True, force=True) == "dropped"
        assert await store.next("s", mint(), LONG, worker="w") == Idle()

    async def test_the_worker_is_called_at_once(self, store: Store) -> None:
        turn, worker = mint(), getattr(store, "worker", "")
        for force in (False, True):
            told, token = asyncio.Event(), mint()
            with store.on_wakeup(token, told.set):
                await begun(store, "s", f"{turn}-{force}", token=token, worker=worker)
                await store.cancel("s", force=force)
                await asyncio.wait_for(told.wait(), 30)
            await store.abort("s", f"{turn}-{force}", token)

    async def test_nobody_is_called_that_listens_no_more(self, store: Store) -> None:
        calls, told, worker = list[str](), asyncio.Event(), getattr(store, "worker", "")
        turn = await begun(store, "s", "t", worker=worker)
        with store.on_wakeup(turn.token, told.set):
            with store.on_wakeup(turn.token, lambda: calls.append("late")):
                pass
            calls.clear()
            await store.cancel("s", "t")
            await asyncio.wait_for(told.wait(), 30)
        assert calls == []

    async def test_a_worker_ends_its_turn_as_cancelled(self, store: Store) -> None:
        await store.submit("s", "t", b"one")
        turn = await taken(store, "s")
        await store.cancel("s", "t")
        done = await turn.commit(commit_id="c", kind="cancelled", payload=b"why")
        assert await turn.commit(commit_id="c", kind="cancelled", payload=b"why") == done
        record = expect(Duplicate, await asked(store, "s", "t")).record
        assert record is not None
        assert (record.commit_id, record.kind, record.payload) == ("c", "cancelled", b"why")
        assert await outcome(store, "s", "t") == "dropped"
        assert await store.next("s", mint(), LONG, worker="w") == Idle()
        assert await contents(store, "s") == []

    async def test_what_a_cancelled_turn_keeps_is_told(self, store: Store) -> None:
        turn = await begun(store, "s", "t")
        await store.cancel("s", "t", keep=True)
        await turn.commit(*items(1, 2), kind="cancelled")
        answer = expect(Duplicate, await asked(store, "s", "t"))
        assert answer.elements == await contents(store, "s") == items(1, 2)

    # given back

    async def test_a_turn_given_back_goes_on_elsewhere_at_once(self, store: Store) -> None:
        turn = await begun(store, "s", "t")
        await store.journal(*turn.ids, 0, items("done"))
        await store.release(*turn.ids)
        await store.release(*turn.ids)
        assert isinstance(await store.renew(*turn.ids), Stale)
        assert isinstance(await turn.commit(*items("late")), Stale)
        assert isinstance(await asked(store, "s", "t", token=turn.token), Stale)
        assert expect(Busy, await asked(store, "s", "other")).turn_id == "t"
        second = await begun(store, "s", "t")
        assert (second.grant.attempt, second.grant.released) == (2, 1)
        assert second.grant.journal == items("done")
        assert isinstance(await second.commit(*items(1)), Done)

    async def test_a_turn_given_back_with_nothing_done_is_gone(self, store: Store) -> None:
        await added(store, "s", 0)
        turn, token = await begun(store, "s", "t"), mint()
        await asked(store, "s", "next", token=token, ticket_ms=LONG)
        await store.release(*turn.ids, counted=True)
        assert expect(Info, await store.info("s")).open_turn is None
        assert isinstance(await asked(store, "s", "next", token=token, ticket_ms=LONG), Grant)

    async def test_a_message_given_back_is_not_counted(self, store: Store) -> None:
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

    async def test_a_message_that_waited_for_an_approval_is_not_counted(self, store: Store) -> None:
        await store.submit("s", "t", b"one")
        await store.park(*(await taken(store, "s")).ids, b"{state}")
        turn = await begun(store, "s", "t", resume=True)
        assert (turn.grant.attempt, turn.grant.released) == (2, 1)
        await store.abort(*turn.ids)
        assert await store.status("s", "t") == Queued("", "t", 0, 0, 1)
        turn = await taken(store, "s")
        assert (turn.grant.attempt, turn.grant.released) == (3, 1)

    async def test_a_place_in_line_is_given_back(self, store: Store) -> None:
        turn, token = await begun(store, "s"), mint()
        await asked(store, "s", "t", token=token, ticket_ms=LONG)
        await store.release("s", "t", token)
        assert expect(Info, await store.info("s")).queued == 0
        assert isinstance(await asked(store, "s", "t", token=token, ticket_ms=LONG), Stale)
        await turn.commit()
        await store.release("no", "t", mint())
        assert await store.info("no") == Absent()

    # what became of it

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
        called_off = expect(Duplicate, await store.status("s", "t2"))
        assert called_off.record is not None
        assert called_off.record.kind == "cancelled"

    async def test_the_status_of_a_turn_that_waits_died_or_never_was(self, lab: Lab) -> None:
        store = lab.store()
        turn = await begun(store, "s", "t", lease=lab.lease)
        await asked(store, "s", "in line", ticket_ms=LONG)
        assert await store.status("s", "in line") == Absent()
        await lab.dead("s")
        running = expect(Running, await store.status("s", "t"))
        assert running.remaining_ms <= 0
        assert not running.background
        await store.renew(*turn.ids)
        await store.park(*turn.ids, b"{state}")
        assert await store.status("s", "t") == Parked("t", [b"{state}"])
        assert await store.status("s", "other") == Absent()

    async def test_a_turn_that_waits_is_dropped_or_left(self, store: Store) -> None:
        """Left where it was to keep what it finished, also if it parked after it was asked to."""
        turn = await begun(store, "s", "t")
        await store.cancel("s", "t", keep=True)
        await store.park(*turn.ids, b"{state}")
        for force in (False, True):
            answer = await store.cancel("s", "t", keep=True, force=force)
            assert answer == Cancelled("absent", "t")
        assert expect(Grant, await asked(store, "s", "t", resume=True)).cancel_mode is None
        await store.cancel("s", "t", force=True)
        assert isinstance(await store.status("s", "t"), Duplicate)

    async def test_to_ask_changes_nothing(self, lab: Lab) -> None:
        store = lab.store()
        await begun(store, "s", "t", lease=lab.lease)
        await lab.dead("s")
        before = expect(Info, await store.info("s"))
        await store.status("s", "t")
        await store.status("s", "u")
        after = expect(Info, await store.info("s"))
        assert (after.turns, after.updated_at, after.queued) == (before.turns, before.updated_at, 0)
        assert after.open_turn is not None

    # dead letters

    async def test_a_message_is_given_up_with_a_letter(self, store: Store) -> None:
        await store.submit("s", "t1", b"one")
        await store.submit("s", "t2", b"two")
        turn = await taken(store, "s")
        done = expect(Done, await store.dead_letter(*turn.ids, b"\x00 why"))
        assert await store.dead_letter(*turn.ids, b"\x00 why") == done
        (letter,) = await store.dead_letters()
        assert (letter.session_id, letter.turn_id, letter.content) == ("s", "t1", b"\x00 why")
        assert letter.state == "dead"
        for answer in (
            await store.status("s", "t1"),
            await store.submit("s", "t1", b"one"),
            await asked(store, "s", "t1"),
        ):
            record = expect(Duplicate, answer).record
            assert record is not None
            assert (record.kind, record.payload) == ("dead", letter.id.encode())
        assert (await taken(store, "s")).grant.turn_id == "t2"
        assert await contents(store, "s") == []

    async def test_only_who_holds_the_turn_gives_it_up(self, store: Store) -> None:
        assert await store.dead_letter("no", "t", mint(), b"why") == Gone()
        await store.submit("s", "t", b"one")
        turn = await taken(store, "s")
        assert isinstance(await store.dead_letter("s", "t", mint(), b"other"), Stale)
        assert await store.dead_letters() == []
        await store.dead_letter(*turn.ids, b"why")
        assert isinstance(await store.dead_letter("s", "t", mint(), b"other"), Stale)
        assert [letter.content for letter in await store.dead_letters()] == [b"why"]

    async def test_letters_are_listed_in_pages(self, lab: Lab) -> None:
        store = lab.store()
        for number in range(5):
            await lab.tick()
            await store.submit(f"s{number}", "t", b"one")
            await store.dead_letter(*(await taken(store, f"s{number}")).ids, b"%d" % number)
        seen, after = list[bytes](), None
        while page := await store.dead_letters(2, after):
            assert len(page) <= 2
            seen += [letter.content for letter in page]
            after = page[-1].id
        assert seen == [b"0", b"1", b"2", b"3", b"4"]
        assert after is not None
        for _ in range(2):
            await store.delete_dead_letter(after)
        assert len(await store.dead_letters()) == 4

    async def test_a_dead_message_is_tried_anew_once_for_each_letter(self, store: Store) -> None:
        await store.submit("s", "t", b"one")
        await store.dead_letter(*(await taken(store, "s")).ids, b"first")
        (first,) = await store.dead_letters()
        assert isinstance(await store.submit("s", "t", b"one", retry_of="other"), Duplicate)
        for _ in range(2):
            await store.submit("s", "t", b"one", retry_of=first.id)
        assert expect(Info, await store.info("s")).queued == 1
        assert isinstance(await asked(store, "s", "t"), Queued)
        (waits,) = await store.dead_letters()
        assert (waits.id, waits.state) == (first.id, "queued")
        turn = await taken(store, "s")
        assert turn.grant.attempt == 1
        assert isinstance(await store.status("s", "t"), Running)
        assert isinstance(await asked(store, "s", "t"), Busy)
        await store.dead_letter(*turn.ids, b"second")
        (second,) = await store.dead_letters()
        assert (second.content, second.state) == (b"second", "dead")
        assert isinstance(await store.submit("s", "t", b"one", retry_of=first.id), Duplicate)
        await store.submit("s", "t", b"one", retry_of=second.id)
        await (await taken(store, "s")).commit(*items(1))
        (done,) = await store.dead_letters()
        assert (done.id, done.state) == (second.id, "finished")
        assert isinstance(await store.submit("s", "t", b"one", retry_of=second.id), Duplicate)
        assert await contents(store, "s") == items(1)

    async def test_a_letter_outlives_its_session(self, store: Store) -> None:
        await store.submit("s", "t", b"one")
        await store.dead_letter(*(await taken(store, "s")).ids, b"why")
        await store.delete("s")
        (letter,) = await store.dead_letters()
        assert (letter.content, letter.state) == (b"why", "unknown")
