"""What a history is: whole turns in one order, named exactly, and cut without forgetting."""

from __future__ import annotations

import pytest

from turnwise.codec import MAX_EXPANSION, Codec, weight
from turnwise.codec.elements import is_item, marker, parse_record
from turnwise.contracts import Store
from turnwise.limits import READ_LIMIT, Limits
from turnwise.testing.conformance.lab import (
    LONG,
    Lab,
    Suite,
    added,
    begun,
    contents,
    expect,
    ids,
    items,
    mint,
    outcome,
    try_begin,
)
from turnwise.types import (
    Absent,
    Base,
    Done,
    Duplicate,
    Full,
    Gone,
    Grant,
    History,
    Idle,
    Info,
    Stale,
)


class HistoryConformance(Suite):
    async def test_of_an_unknown_session_every_verb_says_so_and_creates_nothing(
        self, store: Store
    ) -> None:
        base, turn = Base(4, mint()), ("no", mint(), mint())
        assert await store.read("no") == Absent()
        assert await store.info("no") == Absent()
        assert await store.pop("no", mint(), base) == Absent()
        assert await store.clear("no", mint()) == Absent()
        assert await store.replace("no", mint(), base, 0, []) == Absent()
        assert await store.begin(*turn, 1000, worker="w", resume=True) == Absent()
        assert await store.next("no", mint(), 1000, worker="w") == Idle()
        assert await store.journal(*turn, 0, [b"{}"]) == Gone()
        assert await store.renew(*turn) == Gone()
        assert await store.park(*turn, b"{}") == Gone()
        assert await store.commit(*turn, base, mint(), [b"{}"]) == Gone()
        assert await outcome(store, "no", mint()) == "absent"
        await store.abort(*turn)
        assert not await store.delete("no")
        assert not await store.expire("no", 1000)
        assert await ids(store) == []

    async def test_a_turn_is_its_items_then_its_marker_then_its_record(self, store: Store) -> None:
        op_id = mint()
        done = expect(Done, await store.append("s", op_id, items(1, 2)))
        history = expect(History, await store.read("s"))
        assert history.elements[:3] == [*items(1, 2), marker(op_id)]
        record = parse_record(history.elements[3])
        assert (record.commit_id, record.items, record.kind) == (op_id, 2, "append")
        assert history.tip == done.tip == Base(4, op_id)
        assert (history.items, history.start, history.follows) == (2, 0, False)

    async def test_the_next_turn_is_appended(self, store: Store) -> None:
        await added(store, "s", 1, 2)
        turn = await begun(store, "s")
        await turn.commit(*items(3, 4))
        assert await contents(store, "s") == items(1, 2, 3, 4)

    async def test_a_turn_may_add_nothing(self, store: Store) -> None:
        done = expect(Done, await store.append("s", mint(), []))
        assert done.tip.position == 2
        assert await contents(store, "s") == []

    async def test_items_are_bytes_of_any_kind_and_number(self, store: Store) -> None:
        many = [b"\xff\x00\r\n", b"\x10", bytes(range(16, 256)) * 4096, *items(*range(5000))]
        await store.append("s", mint(), many)
        assert await contents(store, "s") == many

    async def test_since_a_base_only_what_is_new_is_read(self, store: Store) -> None:
        first = await added(store, "s", 1)
        second = await added(store, "s", 2)
        history = expect(History, await store.read("s", first))
        assert (history.follows, history.start) == (True, first.position)
        assert [e for e in history.elements if is_item(e)] == items(2)
        history = expect(History, await store.read("s", second))
        assert (history.follows, history.elements, history.tip) == (True, [], second)

    @pytest.mark.parametrize("offset", [-1, 0, 1, 1000])
    async def test_a_base_that_names_no_commit_of_this_history_reads_the_whole(
        self, store: Store, offset: int
    ) -> None:
        await added(store, "s", 1)
        tip = await added(store, "s", 2)
        wrong = Base(tip.position + offset, mint() if offset == 0 else tip.commit_id)
        history = expect(History, await store.read("s", wrong))
        assert (history.follows, history.start, history.items) == (False, 0, 2)

    async def test_a_base_is_valid_exactly_as_long_as_its_history(self, store: Store) -> None:
        first = await added(store, "s", 1)
        second = await added(store, "s", 2)
        third = expect(Done, await store.pop("s", mint(), second)).tip
        assert await self._follows(store, first)
        assert not await self._follows(store, second)
        await store.clear("s", mint())
        assert not await self._follows(store, first)
        assert not await self._follows(store, third)

    async def test_a_base_of_a_deleted_session_is_not_valid_in_its_successor(
        self, store: Store
    ) -> None:
        tip = await added(store, "s", 1)
        await store.delete("s")
        await added(store, "s", 2)
        assert not await self._follows(store, tip)

    async def _follows(self, store: Store, base: Base) -> bool:
        return expect(History, await store.read("s", base)).follows

    async def test_a_limit_reads_a_tail(self, store: Store) -> None:
        for number in range(20):
            await added(store, "s", number)
        history = expect(History, await store.read("s", limit=6))
        assert (history.items, history.tip.position) == (20, 60)
        assert history.start + len(history.elements) == 60
        assert [e for e in history.elements if is_item(e)][-2:] == items(18, 19)
        whole = expect(History, await store.read("s", limit=1000))
        assert (whole.start, len(whole.elements)) == (0, 60)

    @pytest.mark.parametrize("limit", [None, 300, 2500])
    async def test_a_long_history_is_read_whole_or_its_tail(
        self, store: Store, limit: int | None
    ) -> None:
        for first in range(0, 5000, 1000):
            await added(store, "s", *range(first, first + 1000))
        history = expect(History, await store.read("s", limit=limit))
        assert history.start + len(history.elements) == history.tip.position == 5010
        expected = items(*range(5000))[-len([e for e in history.elements if is_item(e)]) :]
        assert [e for e in history.elements if is_item(e)] == expected
        assert history.start == (0 if limit is None else 5010 - limit)

    @pytest.mark.parametrize("new", [READ_LIMIT - 2, READ_LIMIT - 1])
    async def test_begin_brings_what_is_new_or_says_reload(self, store: Store, new: int) -> None:
        base = await added(store, "s", 0)
        tip = await added(store, "s", *range(new))
        grant = (await begun(store, "s", base=base)).grant
        assert (grant.tip, grant.items) == (tip, new + 1)
        if new + 2 > READ_LIMIT:
            assert grant.history is None
        else:
            history = expect(History, grant.history)
            assert (history.follows, len(history.elements)) == (True, READ_LIMIT)

    # pop, clear, replace

    async def test_pop_removes_the_last_item_of_the_history_that_was_read(
        self, store: Store
    ) -> None:
        old = await added(store, "s", 1)
        tip = await added(store, "s", 2, 3)
        assert isinstance(await store.pop("s", mint(), old), Stale)
        op_id = mint()
        done = await store.pop("s", op_id, tip)
        assert expect(Done, done).tip.commit_id == op_id
        assert await store.pop("s", op_id, tip) == done
        assert await contents(store, "s") == items(1, 2)

    async def test_pop_of_an_empty_history_changes_nothing_but_its_name(self, store: Store) -> None:
        tip = await added(store, "s")
        assert isinstance(await store.pop("s", mint(), tip), Done)
        assert await contents(store, "s") == []

    async def test_clear_removes_all_items_and_keeps_all_turn_ids(self, store: Store) -> None:
        turn_ids = [mint() for _ in range(4)]
        for turn_id in turn_ids[:3]:
            await (await begun(store, "s", turn_id)).commit(*items(1, 2))
        clear = mint()
        done = await store.clear("s", clear)
        await (await begun(store, "s", turn_ids[3])).commit(*items(3))
        await store.clear("s", mint())
        assert await contents(store, "s") == []
        for turn_id in turn_ids:
            answer = expect(Duplicate, await try_begin(store, "s", turn_id))
            assert answer.record is not None
            assert (answer.record.kind, answer.elements) == ("turn", [])
        again = expect(Done, await store.clear("s", clear))
        assert again.tip.commit_id == expect(Done, done).tip.commit_id

    async def test_clear_forgets_turn_ids_older_than_the_retention(self, lab: Lab) -> None:
        store = lab.store(Limits(retention_ms=lab.lease))
        old = mint()
        await (await begun(store, "s", old)).commit(*items(1))
        await lab.passed(2 * lab.lease + 100)
        await added(store, "s", 2)
        young = mint()
        committing = await lab.now()
        await (await begun(store, "s", young)).commit(*items(3))
        await store.clear("s", mint())
        answer = await try_begin(store, "s", young)
        if await lab.now() - committing >= lab.lease:
            return  # this machine stalled, and `young` is as old as `old`
        assert isinstance(answer, Duplicate)
        assert await contents(store, "s") == []
        assert await self._bytes(store) == await self._size(store)
        assert isinstance(await try_begin(store, "s", old), Grant)

    async def test_a_turn_id_is_known_for_the_retention(self, lab: Lab) -> None:
        store = lab.store(Limits(retention_ms=4 * lab.lease))
        start, turn_id, changes = await lab.now(), mint(), 0
        await (await begun(store, "s", turn_id)).commit(*items(1))
        while True:
            await lab.passed(lab.lease // 2)
            await added(store, "s", 2)
            answer = await try_begin(store, "s", turn_id, resume=True)
            if await lab.now() - start > 4 * lab.lease:
                break
            assert isinstance(answer, Duplicate)
            changes += 1
        assert changes or not lab.steps

    async def test_a_turn_id_older_than_the_retention_may_be_used_again(self, lab: Lab) -> None:
        store = lab.store(Limits(retention_ms=lab.lease))
        turn_id = mint()
        await (await begun(store, "s", turn_id)).commit(*items(1))
        for _ in range(2):
            await lab.passed(lab.lease + 50)
            await added(store, "s", 2)
        assert isinstance(await try_begin(store, "s", turn_id), Grant)

    @pytest.mark.parametrize("keep", range(7))
    async def test_replace_keeps_the_first_items(self, store: Store, keep: int) -> None:
        await added(store, "s", 1, 2)
        await added(store, "s")
        await added(store, "s", 3)
        tip = await added(store, "s", 4, 5)
        op_id = mint()
        done = await store.replace("s", op_id, tip, keep, items("new"))
        assert await store.replace("s", op_id, tip, keep, items("new")) == done
        assert await contents(store, "s") == [*items(1, 2, 3, 4, 5)[:keep], *items("new")]
        assert isinstance(await store.replace("s", mint(), tip, keep, items("late")), Stale)
        assert await self._bytes(store) == await self._size(store)

    async def _bytes(self, store: Store) -> int:
        return expect(Info, await store.info("s")).bytes

    async def _size(self, store: Store) -> int:
        return sum(map(len, expect(History, await store.read("s")).elements))

    async def test_the_size_is_that_of_the_stored_elements(self, store: Store) -> None:
        for number in range(60):
            tip = await added(store, "s", *range(number % 5))
            if number % 7 == 6:
                await store.pop("s", mint(), tip)
            if number % 25 == 24:
                await store.clear("s", mint())
            assert await self._bytes(store) == await self._size(store)

    async def test_a_duplicate_brings_the_items_that_are_still_there(self, store: Store) -> None:
        await added(store, "s", 0)
        turn_id = mint()
        tip = expect(Done, await (await begun(store, "s", turn_id)).commit(*items(1, 2))).tip
        answer = expect(Duplicate, await try_begin(store, "s", turn_id))
        assert (answer.elements, answer.end) == (items(1, 2), tip.position - 2)
        await store.pop("s", mint(), tip)
        assert expect(Duplicate, await try_begin(store, "s", turn_id)).elements == items(1)

    async def test_a_long_duplicate_brings_its_last_items(self, store: Store) -> None:
        turn_id = mint()
        await (await begun(store, "s", turn_id)).commit(*items(*range(READ_LIMIT + 5)))
        answer = expect(Duplicate, await try_begin(store, "s", turn_id))
        assert answer.elements == items(*range(5, READ_LIMIT + 5))

    async def test_a_duplicate_replace_brings_only_its_own_items(self, lab: Lab) -> None:
        store = lab.store(Limits(retention_ms=lab.lease))
        await added(store, "s", 1, 2)
        await lab.passed(2 * lab.lease + 100)
        tip = await added(store, "s", 3)
        op_id, replacing = mint(), await lab.now()
        await store.replace("s", op_id, tip, 2, items("new"))
        answer = await try_begin(store, "s", op_id)
        if await lab.now() - replacing < lab.lease:
            assert expect(Duplicate, answer).elements == items("new")

    # sent twice

    async def test_an_append_sent_again_later_is_not_made_again(self, store: Store) -> None:
        op_id = mint()
        first = expect(Done, await store.append("s", op_id, items(1)))
        await added(store, "s", 2)
        again = expect(Done, await store.append("s", op_id, items(1)))
        assert again == first
        assert await self._follows(store, again.tip)
        assert await contents(store, "s") == items(1, 2)

    async def test_a_resent_change_is_answered_as_before_while_a_turn_is_open(
        self, store: Store
    ) -> None:
        op_id, clear = mint(), mint()
        await store.clear("s", clear)
        first = await store.append("s", op_id, items(1))
        await begun(store, "s")
        assert await store.append("s", op_id, items(1)) == first

    # limits

    async def test_an_append_over_the_bound_writes_nothing(self, lab: Lab) -> None:
        store = lab.store(Limits(max_bytes=200))
        assert await store.append("s", mint(), [b"{" * 201]) == Full(200)
        assert await store.read("s") == Absent()
        await store.append("s", mint(), [b"{" * 100])
        assert await store.append("s", mint(), [b"{" * 100]) == Full(200)
        assert await contents(store, "s") == [b"{" * 100]

    async def test_a_commit_over_the_bound_leaves_the_turn_open(self, lab: Lab) -> None:
        store = lab.store(Limits(max_bytes=400))
        await store.append("s", mint(), [b"{" * 200])
        turn = await begun(store, "s")
        assert await turn.commit(b"{" * 201) == Full(400)
        assert await turn.commit(b"{" * 401, keep=0) == Full(400)
        assert await contents(store, "s") == [b"{" * 200]
        assert isinstance(await turn.commit(b"{" * 201, keep=0), Done)
        assert await contents(store, "s") == [b"{" * 201]

    async def test_what_decodes_to_a_lot_counts_for_more(self, lab: Lab) -> None:
        store, codec = lab.store(), Codec()
        for size in (10, 200, 300, 20_000, 70_000, 1_000_000):
            for content in ("x" * size, "".join(map(str, range(size // 5)))):
                await store.append("s", mint(), [codec.encode({"content": content})])
                assert await self._bytes(store) == await self._weight(store)
        history = expect(History, await store.read("s"))
        assert await self._weight(store) > await self._size(store)
        await store.pop("s", mint(), history.tip)
        assert await self._bytes(store) == await self._weight(store)

        small = codec.encode({"content": "x" * MAX_EXPANSION * 1001})
        assert len(small) < 1000
        assert await lab.store(Limits(max_bytes=1000)).append("t", mint(), [small]) == Full(1000)

    async def _weight(self, store: Store) -> int:
        return sum(map(weight, expect(History, await store.read("s")).elements))

    async def test_a_grant_says_how_much_room_there_is(self, lab: Lab) -> None:
        store = lab.store(Limits(max_bytes=400))
        await store.append("s", mint(), [b"{" * 200])
        turn = await begun(store, "s", "t")
        grant = turn.grant
        assert (grant.bytes, grant.max_bytes) == (await self._size(store), 400)
        room = grant.max_bytes - grant.bytes
        assert await turn.commit(b"{" * (room + 1)) == Full(400)
        assert isinstance(await turn.commit(b"{" * room), Done)
        await store.submit("s", "u", b"message")
        token, size = mint(), await self._size(store)
        queued = expect(Grant, await store.next("s", token, LONG, worker="w"))
        assert (queued.bytes, queued.max_bytes) == (size, 400)

    async def test_a_replacement_over_the_bound_writes_nothing(self, lab: Lab) -> None:
        store = lab.store(Limits(max_bytes=400))
        answer = await store.append("s", mint(), [b"{" * 100, b"{" * 100])
        tip = expect(Done, answer).tip
        assert await store.replace("s", mint(), tip, 1, [b"{" * 301]) == Full(400)
        assert len(await contents(store, "s")) == 2
        assert isinstance(await store.replace("s", mint(), tip, 1, [b"{" * 150]), Done)

    async def test_a_history_over_a_lowered_bound_may_shrink(self, lab: Lab) -> None:
        answer = await lab.store().append("s", mint(), [b"{" * 100] * 5)
        tip = expect(Done, answer).tip
        store = lab.store(Limits(max_bytes=50))
        tip = expect(Done, await store.replace("s", mint(), tip, 1, [b"{" * 90])).tip
        assert isinstance(await store.pop("s", mint(), tip), Done)
        assert isinstance(await store.clear("s", mint()), Done)
