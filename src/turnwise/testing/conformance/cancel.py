"""Turns that are cancelled: while they run, before they begin, and by force."""

from __future__ import annotations

import asyncio

import pytest

from turnwise.contracts import Store
from turnwise.testing.conformance.lab import (
    LONG,
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
    Cancelled,
    Done,
    Duplicate,
    Grant,
    Idle,
    Info,
    Renewed,
    Stale,
)


class CancelConformance(Suite):
    async def test_a_running_turn_is_cancelled(self, store: Store) -> None:
        turn = await begun(store, "s", "t")
        assert await outcome(store, "s", "t") == "flagged"
        assert await outcome(store, "s", "t") == "flagged"
        assert await store.renew(*turn.ids) == Renewed("drop")
        assert expect(Grant, await try_begin(store, "s", "t", token=turn.token)).cancel_mode
        assert await outcome(store, "s", "u") == "absent"

    async def test_a_takeover_is_cancelled_as_well(self, lab: Lab) -> None:
        store = lab.store()
        await added(store, "s", 0)
        turn = await begun(store, "s", "t", lease=lab.lease)
        await store.journal(*turn.ids, 0, items("done"))
        await store.cancel("s", "t")
        if await outcome(store, "s", "t") == "flagged":
            await lab.dead("s")
            assert (await begun(store, "s", "t")).grant.cancel_mode

    async def test_a_dead_turn_that_is_cancelled_is_dropped(self, lab: Lab) -> None:
        store = lab.store()
        await added(store, "s", 0)
        turn = await begun(store, "s", "t", lease=lab.lease)
        await store.journal(*turn.ids, 0, items("done"))
        await lab.dead("s")
        assert await outcome(store, "s", "t") == "dropped"
        assert await outcome(store, "s", "t") == "dropped"
        answer = expect(Duplicate, await try_begin(store, "s", "t"))
        assert answer.record is not None
        assert answer.record.kind == "cancelled"
        assert isinstance(await turn.commit(*items(1)), Stale)

    async def test_a_committed_turn_cannot_be_cancelled(self, store: Store) -> None:
        await (await begun(store, "s", "t")).commit(*items(1))
        answer = expect(Duplicate, await store.cancel("s", "t"))
        assert answer.record is not None
        assert answer.record.kind == "turn"

    async def test_a_cancelled_turn_learns_whether_to_keep(self, store: Store) -> None:
        turn = await begun(store, "s", "t")
        assert await store.renew(*turn.ids) == Renewed(None)
        flagged = Cancelled("flagged", "t", "worker")
        assert await store.cancel("s", "t", keep=True) == flagged
        assert await store.renew(*turn.ids) == Renewed("keep")
        assert (
            expect(Grant, await try_begin(store, "s", "t", token=turn.token)).cancel_mode == "keep"
        )

    @pytest.mark.parametrize("order", [(True, False), (False, True)])
    async def test_a_request_to_drop_wins(self, store: Store, order: tuple[bool, bool]) -> None:
        turn = await begun(store, "s", "t")
        for keep in order:
            await store.cancel("s", "t", keep=keep)
        assert await store.renew(*turn.ids) == Renewed("drop")
        opened = expect(Info, await store.info("s")).open_turn
        assert opened is not None
        assert opened.cancel_mode == "drop"

    async def test_a_takeover_learns_that_it_is_cancelled(self, lab: Lab) -> None:
        store = lab.store()
        await store.submit("s", "t", b"one")
        await store.cancel("s", (await taken(store, "s", lease=lab.lease)).grant.turn_id, keep=True)
        await lab.dead("s")
        assert (await taken(store, "s")).grant.cancel_mode == "keep"

    async def test_without_a_turn_id_the_open_turn_is_cancelled(self, store: Store) -> None:
        assert await store.cancel("s") == Cancelled("absent")
        await added(store, "s", 1)
        assert await store.cancel("s") == Cancelled("absent")
        turn = await begun(store, "s", "t")
        assert await store.cancel("s") == Cancelled("flagged", "t", "worker")
        await turn.commit()
        assert await store.cancel("s") == Cancelled("absent")

    async def test_a_running_turn_is_dropped_by_force(self, store: Store) -> None:
        await added(store, "s", 0)
        turn, token = await begun(store, "s", "t"), mint()
        await store.journal(*turn.ids, 0, items("done"))
        await try_begin(store, "s", "next", token=token, ticket_ms=LONG)
        assert await store.cancel("s", "t", force=True) == Cancelled("dropped", "t", "worker")
        assert await store.cancel("s", "t", force=True) == Cancelled("dropped", "t")
        assert isinstance(await store.renew(*turn.ids), Stale)
        assert isinstance(await turn.commit(*items("late")), Stale)
        record = expect(Duplicate, await try_begin(store, "s", "t")).record
        assert record is not None
        assert (record.kind, record.items) == ("cancelled", 0)
        following = await try_begin(store, "s", "next", token=token, ticket_ms=LONG)
        assert expect(Grant, following).journal == []
        assert await store.cancel("s", "t", force=True) == Cancelled("dropped", "t")
        assert isinstance(await store.renew("s", "next", token), Renewed)
        assert await contents(store, "s") == items(0)

    async def test_a_repeated_cancel_is_answered_as_before(self, store: Store) -> None:
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

    async def test_open_only_leaves_a_queued_message(self, store: Store) -> None:
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

    async def test_the_worker_of_a_cancelled_turn_is_woken_at_once(self, store: Store) -> None:
        turn, worker = mint(), getattr(store, "worker", "")
        for force in (False, True):
            woken, token = asyncio.Event(), mint()
            with store.on_wakeup(token, woken.set):
                await begun(store, "s", f"{turn}-{force}", token=token, worker=worker)
                await store.cancel("s", force=force)
                await asyncio.wait_for(woken.wait(), 30)
            await store.abort("s", f"{turn}-{force}", token)

    async def test_a_removed_callback_is_not_called(self, store: Store) -> None:
        calls, woken, worker = list[str](), asyncio.Event(), getattr(store, "worker", "")
        turn = await begun(store, "s", "t", worker=worker)
        with store.on_wakeup(turn.token, woken.set):
            with store.on_wakeup(turn.token, lambda: calls.append("late")):
                pass
            calls.clear()
            await store.cancel("s", "t")
            await asyncio.wait_for(woken.wait(), 30)
        assert calls == []

    async def test_a_worker_ends_its_turn_as_cancelled(self, store: Store) -> None:
        await store.submit("s", "t", b"one")
        turn = await taken(store, "s")
        await store.cancel("s", "t")
        done = await turn.commit(commit_id="c", kind="cancelled", payload=b"why")
        assert await turn.commit(commit_id="c", kind="cancelled", payload=b"why") == done
        record = expect(Duplicate, await try_begin(store, "s", "t")).record
        assert record is not None
        assert (record.commit_id, record.kind, record.payload) == ("c", "cancelled", b"why")
        assert await outcome(store, "s", "t") == "dropped"
        assert await store.next("s", mint(), LONG, worker="w") == Idle()
        assert await contents(store, "s") == []

    async def test_a_resend_learns_what_a_cancelled_turn_has_kept(self, store: Store) -> None:
        turn = await begun(store, "s", "t")
        await store.cancel("s", "t", keep=True)
        await turn.commit(*items(1, 2), kind="cancelled")
        answer = expect(Duplicate, await try_begin(store, "s", "t"))
        assert answer.elements == await contents(store, "s") == items(1, 2)
