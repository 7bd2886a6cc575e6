"""Who is woken when a turn is parked, released, ended or deleted, besides the head of the queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from turnwise.contracts import Store
from turnwise.testing.conformance.lab import (
    LONG,
    Lab,
    Suite,
    added,
    begun,
    expect,
    items,
    mint,
    taken,
    try_begin,
)
from turnwise.types import Duplicate, Gone, Grant, Info, Parked, Queued


class WakeUpsConformance(Suite):
    async def test_the_whole_queue_is_woken_when_a_turn_parks(self, store: Store) -> None:
        turn = await begun(store, "s", "t")
        async with in_queue(store, ["a", "b", "t"]) as queue:
            await store.park(*turn.ids, b"{state}")
            await queue.all_woken()
            assert await queue.ask("a") == Parked("t")
            assert await queue.ask("b") == Parked("t")
            assert isinstance(await queue.ask("t", resume=True), Grant)

    async def test_the_whole_queue_is_woken_when_a_message_s_turn_parks(self, store: Store) -> None:
        await store.submit("s", "t", b"one")
        turn = await taken(store, "s")
        await store.submit("s", "behind", b"two")
        async with in_queue(store, ["a", "b"]) as queue:
            await store.park(*turn.ids, b"{state}")
            await queue.all_woken()
            assert await queue.ask("a") == Parked("t")

    @pytest.mark.parametrize("counted", [False, True])
    async def test_the_whole_queue_is_woken_when_a_turn_is_parked_again(
        self, store: Store, counted: bool
    ) -> None:
        await store.submit("s", "t", b"one")
        await store.park(*(await taken(store, "s")).ids, b"{state}")
        turn = await begun(store, "s", "t", resume=True)
        async with in_queue(store, ["a", "t"], resume="t") as queue:
            await store.release(*turn.ids, counted=counted)
            await queue.all_woken()
            assert await queue.ask("a") == Parked("t")
            assert isinstance(await queue.ask("t", resume=True), Grant)
        assert expect(Info, await store.info("s")).queued == 2  # the message, and caller "a"

    async def test_a_queued_retry_is_woken_when_its_turn_is_released(self, store: Store) -> None:
        turn = await begun(store, "s", "t")
        await store.journal(*turn.ids, 0, items("done"))
        async with in_queue(store, ["a", "t"]) as queue:
            await store.release(*turn.ids, counted=True)
            await queue.all_woken()
            assert isinstance(await queue.ask("a"), Queued)
            assert expect(Grant, await queue.ask("t")).journal == items("done")

    async def test_the_head_of_the_queue_is_woken_when_a_parked_turn_is_dropped(
        self, store: Store
    ) -> None:
        await added(store, "s", 0)
        await store.park(*(await begun(store, "s", "t")).ids, b"{state}")
        turn = await begun(store, "s", "t", resume=True)
        async with in_queue(store, ["a"]) as queue:
            await store.release(*turn.ids)
            await queue.all_woken()
            await store.cancel("s", "t")
            await queue.all_woken()
            assert isinstance(await queue.ask("a"), Grant)

    @pytest.mark.parametrize("queued", [False, True])
    async def test_a_queued_retry_is_woken_by_the_end_of_its_turn_wherever_it_is_in_the_queue(
        self, store: Store, queued: bool
    ) -> None:
        if queued:
            await store.submit("s", "t", b"one")
        turn = await (taken(store, "s") if queued else begun(store, "s", "t"))
        async with in_queue(store, ["a", "t"]) as queue:
            await turn.commit(*items(1))
            await queue.all_woken()
            assert isinstance(await queue.ask("t"), Duplicate)
            assert isinstance(await queue.ask("a"), Grant)

    async def test_a_queued_retry_is_woken_when_its_turn_is_abandoned(self, lab: Lab) -> None:
        store = lab.store()
        turn = await begun(store, "s", "t", lease=lab.lease)
        await store.journal(*turn.ids, 0, items("done"))
        async with in_queue(store, ["a", "t"]) as queue:
            await lab.dead("s", beyond=lab.lease)
            assert isinstance(await queue.ask("a"), Grant)
            await queue.all_woken("t")
            assert isinstance(await queue.ask("t"), Duplicate)

    async def test_a_queued_retry_is_woken_when_its_message_is_cancelled(
        self, store: Store
    ) -> None:
        await begun(store, "s")
        async with in_queue(store, ["t"]) as queue:
            await store.submit("s", "t", b"one")
            await store.cancel("s", "t")
            await queue.all_woken()
            assert isinstance(await queue.ask("t"), Duplicate)

    async def test_the_worker_of_a_turn_is_woken_when_its_session_is_deleted(
        self, store: Store
    ) -> None:
        turn, woken = await begun(store, "s", worker=getattr(store, "worker", "")), asyncio.Event()
        with store.on_wakeup(turn.token, woken.set):
            await store.delete("s")
            await asyncio.wait_for(woken.wait(), 30)
        assert await store.renew(*turn.ids) == Gone()


class _Queue:
    """Callers in the queue of the session "s", and which of them have been woken."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tokens: dict[str, str] = {}
        self._woken: dict[str, asyncio.Event] = {}
        self._worker = getattr(store, "worker", "")

    async def join(self, stack: AsyncExitStack, turn_id: str, *, resume: bool) -> None:
        token = self._tokens[turn_id] = mint()
        woken = self._woken[turn_id] = asyncio.Event()
        # Entered first: it returns when the store's wake-ups arrive.
        await stack.enter_async_context(self._store.waiter(token))
        stack.enter_context(self._store.on_wakeup(token, woken.set))
        assert isinstance(await self.ask(turn_id, resume=resume), Queued)

    async def ask(self, turn_id: str, *, resume: bool = False) -> object:
        options = {"token": self._tokens[turn_id], "ticket_ms": LONG, "worker": self._worker}
        return await try_begin(self._store, "s", turn_id, resume=resume, **options)

    async def all_woken(self, *turn_ids: str) -> None:
        """Wait until these callers have been woken, or all. Then they can be woken again."""
        for woken in [self._woken[turn_id] for turn_id in turn_ids or self._woken]:
            await asyncio.wait_for(woken.wait(), 30)
            woken.clear()


@asynccontextmanager
async def in_queue(
    store: Store, turn_ids: Sequence[str], *, resume: str = ""
) -> AsyncIterator[_Queue]:
    """Callers that have just joined the queue."""
    async with AsyncExitStack() as stack:
        queue = _Queue(store)
        for turn_id in turn_ids:
            await queue.join(stack, turn_id, resume=turn_id == resume)
        yield queue
