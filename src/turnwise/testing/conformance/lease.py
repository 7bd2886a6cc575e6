"""The lease, and the two guards: one turn at a time, committed once."""

from __future__ import annotations

import pytest

from turnwise.codec.elements import parse_record
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
    only_session,
    try_begin,
)
from turnwise.types import (
    Absent,
    Base,
    Busy,
    Done,
    Duplicate,
    Gone,
    Grant,
    History,
    Info,
    Renewed,
    Stale,
    TokenUsage,
)


class LeaseConformance(Suite):
    async def test_a_begin_creates_the_session_and_grants_the_turn(self, store: Store) -> None:
        grant = (await begun(store, "s", "t")).grant
        assert (grant.turn_id, grant.attempt, grant.items) == ("t", 1, 0)
        assert grant.tip == Base(0, grant.incarnation)
        assert (grant.journal, grant.message, grant.cancel_mode) == ([], None, None)
        history = expect(History, grant.history)
        assert (history.elements, history.tip) == ([], grant.tip)

    async def test_the_same_token_is_granted_the_same_turn_again(self, store: Store) -> None:
        await added(store, "s", 1)
        turn = await begun(store, "s", "t")
        await store.journal(*turn.ids, 0, items("done"))
        again = expect(Grant, await try_begin(store, "s", "t", token=turn.token))
        assert (again.attempt, again.tip) == (1, turn.grant.tip)
        assert again.journal == items("done")

    @pytest.mark.parametrize("turn_id", ["t", "other"])
    async def test_while_the_lease_runs_others_learn_who_holds_it(
        self, store: Store, turn_id: str
    ) -> None:
        await begun(store, "s", "t", worker="me")
        busy = expect(Busy, await try_begin(store, "s", turn_id))
        assert (busy.worker, busy.turn_id) == ("me", "t")
        assert 0 < busy.remaining_ms <= LONG

    async def test_while_a_turn_is_open_no_change_is_mixed_in(self, store: Store) -> None:
        tip = await added(store, "s", 1)
        turn = await begun(store, "s")
        for answer in (
            await store.append("s", mint(), items(2)),
            await store.pop("s", mint(), tip),
            await store.clear("s", mint()),
            await store.replace("s", mint(), tip, 0, items(3)),
        ):
            assert expect(Busy, answer).turn_id == turn.grant.turn_id
        assert await contents(store, "s") == items(1)

    async def test_a_commit_makes_the_turn_history_and_releases_the_session(
        self, store: Store
    ) -> None:
        turn = await begun(store, "s", "t")
        await store.journal(*turn.ids, 0, items("done"))
        done = expect(Done, await turn.commit(*items(1, 2), commit_id="c", payload=b"\x00 kept "))
        assert done.tip == Base(4, "c")
        history = expect(History, await store.read("s"))
        record = parse_record(history.elements[3])
        assert (record.commit_id, record.items, record.kind) == ("c", 2, "turn")
        assert (record.payload, history.tip) == (b"\x00 kept ", done.tip)
        info = expect(Info, await store.info("s"))
        assert (info.open_turn, info.journal_entries) == (None, 0)
        await begun(store, "s")

    async def test_a_record_says_who_ran_the_turn_and_what_it_consumed(self, store: Store) -> None:
        spent, more = TokenUsage(1, 20, 3), TokenUsage(2, 100, 40, 30, 5)
        for number, usage in enumerate((spent, None, more)):
            turn = await begun(store, "s", f"t{number}", worker="a b%\nc\u00a0d")
            for _ in range(2):  # sent twice, counted once
                await turn.commit(*items(number), commit_id=f"c{number}", usage=usage)
        await added(store, "s", 1)
        history = expect(History, await store.read("s"))
        records = [parse_record(history.elements[position]) for position in (2, 5, 8, 11)]
        assert [record.usage for record in records] == [spent, TokenUsage(), more, TokenUsage()]
        assert [record.attempt for record in records] == [1, 1, 1, 0]
        assert [record.worker for record in records] == [*["a b%\nc\u00a0d"] * 3, ""]
        await store.clear("s", mint())
        info = expect(Info, await store.info("s"))
        assert info.usage == spent + more == TokenUsage(3, 120, 43, 30, 5)
        assert (await only_session(store)).usage == info.usage

    async def test_a_record_counts_attempts(self, lab: Lab, store: Store) -> None:
        first = await begun(store, "s", "t", lab.lease)
        await store.journal(*first.ids, 0, items("done"))
        await lab.dead("s")
        second = await begun(store, "s", "t", worker="second")
        await second.commit(*items(1))
        history = expect(History, await store.read("s"))
        record = parse_record(history.elements[-1])
        assert (record.attempt, record.worker) == (2, "second")

    async def test_a_commit_sent_again_is_answered_as_before(self, store: Store) -> None:
        turn = await begun(store, "s")
        first = await turn.commit(*items(1), commit_id="c")
        assert await turn.commit(*items(1), commit_id="c") == first
        await added(store, "s", 2)
        await begun(store, "s")
        assert await turn.commit(*items(1), commit_id="c") == first
        assert await contents(store, "s") == items(1, 2)

    async def test_another_commit_of_a_committed_turn_is_stale(self, store: Store) -> None:
        turn = await begun(store, "s")
        await turn.commit(*items(1))
        assert isinstance(await turn.commit(*items(2)), Stale)
        assert await contents(store, "s") == items(1)

    async def test_a_commit_for_another_history_is_stale(self, store: Store) -> None:
        tip = await added(store, "s", 1)
        turn = await begun(store, "s")
        wrong = Base(tip.position, mint())
        assert expect(Stale, await turn.commit(*items(2), base=wrong)).history_changed
        assert isinstance(await turn.commit(*items(2)), Done)

    @pytest.mark.parametrize("keep", range(4))
    async def test_a_commit_may_keep_only_the_first_items(self, store: Store, keep: int) -> None:
        await added(store, "s", 1, 2)
        await added(store, "s", 3)
        turn = await begun(store, "s")
        await store.journal(*turn.ids, 0, items("done"))
        done = await turn.commit(*items("new"), keep=keep, commit_id="c")
        assert await turn.commit(*items("new"), keep=keep, commit_id="c") == done
        assert await contents(store, "s") == [*items(1, 2, 3)[:keep], *items("new")]

    @pytest.mark.parametrize("one_shot", [True, False])
    @pytest.mark.parametrize("later", [0, 3, 20])
    async def test_a_delayed_begin_does_not_open_a_committed_turn_again(
        self, store: Store, one_shot: bool, later: int
    ) -> None:
        turn = await begun(store, "s", "t", one_shot=one_shot)
        await turn.commit(*items(1))
        for number in range(later):
            await (await begun(store, "s")).commit(*items(number))
        answer = await try_begin(store, "s", "t", token=turn.token, one_shot=one_shot)
        assert isinstance(answer, Stale | Duplicate)

    async def test_a_turn_that_is_committed_is_a_duplicate_with_its_record(
        self, store: Store
    ) -> None:
        turn = await begun(store, "s", "t")
        await turn.commit(*items(1), commit_id="c", payload=b"kept")
        await begun(store, "s")
        answer = expect(Duplicate, await try_begin(store, "s", "t"))
        assert answer.record is not None
        assert (answer.record.commit_id, answer.record.payload) == ("c", b"kept")
        assert answer.elements == items(1)

    # abort

    async def test_an_abort_leaves_the_history_as_it_was(self, store: Store) -> None:
        tip = await added(store, "s", 1)
        turn = await begun(store, "s", "t")
        await store.journal(*turn.ids, 0, items("done"))
        await store.abort(*turn.ids)
        await store.abort(*turn.ids)
        assert isinstance(await turn.commit(*items(2)), Stale)
        assert isinstance(await try_begin(store, "s", "t", token=turn.token), Stale)
        again = await begun(store, "s", "t")
        assert (again.grant.tip, again.grant.journal, again.grant.attempt) == (tip, [], 1)

    async def test_an_abort_with_another_token_changes_nothing(self, store: Store) -> None:
        turn = await begun(store, "s", "t")
        await store.abort("s", "t", mint())
        assert isinstance(await try_begin(store, "s"), Busy)
        assert isinstance(await turn.commit(*items(1)), Done)

    async def test_an_abort_deletes_a_session_that_never_had_a_commit(self, store: Store) -> None:
        turn = await begun(store, "s")
        await store.abort(*turn.ids)
        assert await store.info("s") == Absent()

    async def test_a_begin_delayed_until_after_its_abort_is_stale(self, store: Store) -> None:
        await added(store, "s", 1)
        token = mint()
        await store.abort("s", "t", token)
        assert isinstance(await try_begin(store, "s", "t", token=token), Stale)

    # the session goes away

    async def _everything(self, turn: Held) -> list[object]:
        store = turn.store
        return [
            await store.journal(*turn.ids, 0, items("late")),
            await store.renew(*turn.ids),
            await store.park(*turn.ids, b"{}"),
            await turn.commit(*items("late")),
        ]

    async def test_in_a_deleted_session_the_turn_is_gone(self, store: Store) -> None:
        turn = await begun(store, "s")
        assert await store.delete("s")
        assert await self._everything(turn) == [Gone()] * 4

    async def test_in_a_session_created_again_the_turn_is_stale(self, store: Store) -> None:
        turn = await begun(store, "s")
        await store.delete("s")
        await added(store, "s", 1)
        for answer in await self._everything(turn):
            assert expect(Stale, answer).incarnation != turn.grant.incarnation
        assert await contents(store, "s") == items(1)

    async def test_a_worker_may_begin_again_with_its_token_if_nothing_else_is_open(
        self, store: Store
    ) -> None:
        turn = await begun(store, "s", "t")
        await store.delete("s")
        again = await begun(store, "s", "t", token=turn.token)
        assert isinstance(await again.commit(*items(1)), Done)

    # death

    async def test_a_lease_that_is_renewed_lives_on(self, lab: Lab) -> None:
        store = lab.store()
        await added(store, "s", 0)
        turn = await begun(store, "s", lease=lab.lease)
        await lab.passed(lab.lease + 50)
        assert await store.renew(*turn.ids) == Renewed(None)
        info = expect(Info, await store.info("s"))
        assert info.open_turn is not None
        assert 0 < expect(float, info.open_turn.lease_remaining) <= lab.lease / 1000
        assert isinstance(await turn.commit(*items(1)), Done)

    async def test_only_its_holder_can_use_the_lease(self, store: Store) -> None:
        await added(store, "s", 1)
        turn = await begun(store, "s", "t")
        for ids in (("s", "t", mint()), ("s", mint(), turn.token)):
            assert expect(Stale, await store.renew(*ids)).incarnation == turn.grant.incarnation
            assert isinstance(await store.journal(*ids, 0, items(1)), Stale)
            assert isinstance(await store.park(*ids, b"{}"), Stale)
            assert isinstance(await store.commit(*ids, turn.grant.tip, mint(), []), Stale)

    async def test_a_commit_after_the_lease_ran_out_counts_if_nobody_came(self, lab: Lab) -> None:
        await added(lab.store(), "s", 0)
        turn = await begun(lab.store(), "s", lease=lab.lease)
        await lab.dead("s")
        assert isinstance(await turn.commit(*items(1)), Done)

    async def test_the_retry_of_a_dead_turn_takes_it_over(self, lab: Lab) -> None:
        store = lab.store()
        await added(store, "s", 1)
        turn = await begun(store, "s", "t", lease=lab.lease)
        await store.journal(*turn.ids, 0, items("done"))
        await lab.dead("s")
        second = await begun(store, "s", "t")
        assert (second.grant.attempt, second.grant.journal) == (2, items("done"))
        for answer in await self._everything(turn):
            assert isinstance(answer, Stale)
        assert isinstance(await try_begin(store, "s", "t", token=turn.token), Stale)
        await second.commit(*items(2))
        assert await contents(store, "s") == items(1, 2)

    async def test_a_takeover_keeps_the_session_from_expiring(self, lab: Lab) -> None:
        store = lab.store()
        await begun(store, "s", "t", lease=5 * lab.lease)
        await lab.dead("s")
        second = await begun(store, "s", "t")
        info = expect(Info, await store.info("s"))
        assert info.expires_in is not None
        assert info.expires_in > LONG / 1000
        assert isinstance(await second.commit(*items(1)), Done)
        assert expect(Info, await store.info("s")).expires_in is None

    async def test_a_dead_turn_without_a_journal_is_dropped(self, lab: Lab) -> None:
        store = lab.store()
        tip = await added(store, "s", 1)
        turn = await begun(store, "s", "t", lease=lab.lease)
        await lab.dead("s")
        second = await begun(store, "s", "u")
        assert second.grant.tip == tip
        assert isinstance(await turn.commit(*items("late")), Stale)
        await second.commit(*items(2))
        await begun(store, "s", "t")

    async def test_a_change_drops_a_dead_turn_without_a_journal(self, lab: Lab) -> None:
        store = lab.store()
        await added(store, "s", 0)
        await begun(store, "s", lease=lab.lease)
        await lab.dead("s")
        await added(store, "s", 1)
        assert await contents(store, "s") == items(0, 1)

    async def test_a_dead_turn_with_a_journal_is_abandoned_after_one_more_lease(
        self, lab: Lab
    ) -> None:
        store = lab.store()
        await added(store, "s", 1)
        turn = await begun(store, "s", "t", lease=lab.lease)
        await store.journal(*turn.ids, 0, items("done"))
        await lab.dead("s")
        if lab.steps:
            assert expect(Busy, await try_begin(store, "s")).turn_id == "t"
        await lab.dead("s", beyond=lab.lease)
        second = await begun(store, "s", "u")
        assert second.grant.journal == []
        answer = expect(Duplicate, await try_begin(store, "s", "t"))
        assert answer.record is not None
        assert (answer.record.kind, answer.elements) == ("abandoned", [])
        assert isinstance(await turn.commit(*items("late")), Stale)
        await second.commit(*items(2))
        assert await contents(store, "s") == items(1, 2)

    async def test_a_dead_one_shot_turn_is_abandoned_at_once(self, lab: Lab) -> None:
        store = lab.store()
        turn = await begun(store, "s", lease=lab.lease, one_shot=True)
        await store.journal(*turn.ids, 0, items("done"))
        await lab.dead("s")
        second = await begun(store, "s", "u")
        assert isinstance(await store.renew(*turn.ids), Stale)
        await second.commit(*items(2))
        assert await contents(store, "s") == items(2)

    async def test_a_change_that_abandons_a_dead_turn_is_stale(self, lab: Lab) -> None:
        store = lab.store()
        tip = await added(store, "s", 1)
        turn = await begun(store, "s", "t", lease=lab.lease)
        await store.journal(*turn.ids, 0, items("done"))
        await lab.dead("s", beyond=lab.lease)
        assert isinstance(await store.pop("s", mint(), tip), Stale)
        assert await contents(store, "s") == items(1)

    # the clock

    async def test_a_clock_set_back_stretches_no_lease(self, lab: Lab) -> None:
        if not lab.steps:
            pytest.skip("the clock of this store cannot be set")
        store = lab.store()
        await added(store, "s", 1)
        await begun(store, "s", lease=lab.lease)
        lab.step(-3_600_000)
        assert expect(Busy, await try_begin(store, "s")).remaining_ms <= lab.lease
        await lab.passed(lab.lease + 1)
        await begun(store, "s")

    async def test_a_clock_set_forward_ends_the_lease_but_loses_nothing(self, lab: Lab) -> None:
        if not lab.steps:
            pytest.skip("the clock of this store cannot be set")
        store = lab.store()
        await added(store, "s", 1)
        turn = await begun(store, "s", lease=lab.lease)
        lab.step(3_600_000)
        assert isinstance(await turn.commit(*items(2)), Done)
        assert await contents(store, "s") == items(1, 2)
