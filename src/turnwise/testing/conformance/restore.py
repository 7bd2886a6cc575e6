"""Histories that are taken over as they are: copies and imports."""

from __future__ import annotations

from turnwise.codec.elements import is_item
from turnwise.contracts import Store
from turnwise.limits import Limits
from turnwise.testing.conformance.lab import (
    Lab,
    Suite,
    added,
    begun,
    contents,
    expect,
    items,
    mint,
    try_begin,
)
from turnwise.types import Base, Busy, Done, Duplicate, Full, History, Info, Stale, TokenUsage

SPENT = TokenUsage(1, 20, 3)


async def _elements(store: Store) -> list[bytes]:
    """The history of a session with three turns; the second is `t`."""
    await added(store, "source", 1, 2)
    turn = await begun(store, "source", "t")
    await turn.commit(*items(3), payload=b"result", usage=SPENT)
    await added(store, "source", 4)
    return expect(History, await store.read("source")).elements


class RestoreConformance(Suite):
    async def test_a_history_is_taken_over_as_it_is(self, store: Store) -> None:
        elements = await _elements(store)
        source = expect(Info, await store.info("source"))
        done = expect(Done, await store.restore("s", None, elements, created_ms=1000, usage=SPENT))
        history, before = [expect(History, await store.read(s)) for s in ("s", "source")]
        assert (history.elements, history.items) == (elements, 4)
        assert history.tip == before.tip == done.tip
        assert history.incarnation != before.incarnation
        info = expect(Info, await store.info("s"))
        assert (info.turns, info.items, info.bytes) == (3, 4, source.bytes)
        assert (info.created_at, info.usage, info.open_turn) == (1.0, SPENT, None)
        known = expect(Duplicate, await try_begin(store, "s", "t"))
        assert known.record is not None
        assert known.record.payload == b"result"
        await added(store, "s", 5)
        assert await contents(store, "s") == items(1, 2, 3, 4, 5)
        assert await contents(store, "source") == items(1, 2, 3, 4)

    async def test_it_is_taken_over_once(self, store: Store) -> None:
        elements = await _elements(store)
        done = await store.restore("s", None, elements, usage=SPENT)
        assert await store.restore("s", None, elements, usage=SPENT) == done
        await added(store, "s", 5)
        assert await store.restore("s", None, elements, usage=SPENT) == done
        assert await contents(store, "s") == items(1, 2, 3, 4, 5)
        assert expect(Info, await store.info("s")).usage == SPENT

    async def test_it_can_be_continued_at_its_tip(self, store: Store) -> None:
        elements = await _elements(store)
        first = expect(Done, await store.restore("s", None, elements[:4]))
        rest = await store.restore("s", first.tip, elements[4:])
        assert await store.restore("s", first.tip, elements[4:]) == rest
        assert expect(History, await store.read("s")).elements == elements
        assert await store.restore("s", first.tip, elements[-3:]) == Stale(
            expect(Info, await store.info("s")).incarnation
        )

    async def test_another_history_stays(self, store: Store) -> None:
        elements = await _elements(store)
        await added(store, "s", 7)
        assert isinstance(await store.restore("s", None, elements), Stale)
        await store.clear("s", mint())
        assert isinstance(await store.restore("s", None, elements), Stale)
        assert isinstance(await store.restore("new", Base(4, mint()), elements), Stale)
        assert await store.info("new") != expect(Info, await store.info("s"))
        assert not await contents(store, "s")

    async def test_an_open_turn_refuses_it(self, store: Store) -> None:
        elements = await _elements(store)
        turn = await begun(store, "s", "t")
        assert expect(Busy, await store.restore("s", None, elements)).turn_id == "t"
        await turn.commit(*items(1))
        assert await contents(store, "s") == items(1)

    async def test_messages_that_wait_stay_in_the_queue(self, store: Store) -> None:
        elements = await _elements(store)
        await store.submit("s", "m", b"one")
        expect(Done, await store.restore("s", None, elements))
        assert [entry.turn_id for entry in await store.queue("s", 10)] == ["m"]
        assert await contents(store, "s") == items(1, 2, 3, 4)

    async def test_it_keeps_to_the_size_of_a_session(self, lab: Lab, store: Store) -> None:
        elements = await _elements(store)
        small = lab.store(Limits(max_bytes=sum(map(len, filter(is_item, elements)))))
        assert isinstance(await small.restore("s", None, elements), Full)

    async def test_it_may_be_long(self, store: Store) -> None:
        await added(store, "source", *range(9000))
        elements = expect(History, await store.read("source")).elements
        expect(Done, await store.restore("s", None, elements))
        assert expect(History, await store.read("s")).elements == elements
