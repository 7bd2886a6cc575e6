"""Who is woken when a turn is left open, sent again or deleted: not only the next in line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from turnwise.contracts import Store
from turnwise.testing.conformance.lab import (
    LONG,
    Held,
    Lab,
    Suite,
    added,
    asked,
    begun,
    expect,
    items,
    mint,
    taken,
)
from turnwise.types import Duplicate, Gone, Grant, Info, Parked, Queued

Leave = Callable[[Held], Awaitable[object]]


class WakesConformance(Suite):
    async def test_all_in_line_are_woken_when_a_turn_parks(self, store: Store) -> None:
        turn = await begun(store, "s", "t")
        async with in_line(store, ["a", "b", "t"]) as line:
            await store.park(*turn.ids, b"{state}")
            await line.waiter()
            assert await line.ask("a") == Parked("t")
            assert await line.ask("b") == Parked("t")
            assert isinstance(await line.ask("t", resume=True), Grant)

    async def test_all_in_line_are_woken_when_a_message_s_turn_parks(self, store: Store) -> None:
        await store.submit("s", "t", b"one")
        turn = await taken(store, "s")
        await store.submit("s", "behind", b"two")
        async with in_line(store, ["a", "b"]) as line:
            await store.park(*turn.ids, b"{state}")
            await line.waiter()
            assert await line.ask("a") == Parked("t")

    @pytest.mark.parametrize("counted", [False, True])
    async def test_all_in_line_are_woken_when_a_turn_waits_again(
        self, store: Store, counted: bool
    ) -> None:
        await store.submit("s", "t", b"one")
        await store.park(*(await taken(store, "s")).ids, b"{state}")
        turn = await begun(store, "s", "t", resume=True)
        async with in_line(store, ["a", "t"], resume="t") as line:
            await store.release(*turn.ids, counted=counted)
            await line.waiter()
            assert await line.ask("a") == Parked("t")
            assert isinstance(await line.ask("t", resume=True), Grant)
        assert expect(Info, await store.info("s")).queued == 2  # the message, and who was told

    async def test_the_retry_in_line_is_woken_when_its_turn_is_given_back(
        self, store: Store
    ) -> None:
        turn = await begun(store, "s", "t")
        await store.journal(*turn.ids, 0, items("done"))
        async with in_line(store, ["a", "t"]) as line:
            await store.release(*turn.ids, counted=True)
            await line.waiter()
            assert isinstance(await line.ask("a"), Queued)
            assert expect(Grant, await line.ask("t")).journal == items("done")

    async def test_the_first_in_line_is_woken_when_a_turn_that_waits_is_dropped(
        self, store: Store
    ) -> None:
        await added(store, "s", 0)
        await store.park(*(await begun(store, "s", "t")).ids, b"{state}")
        turn = await begun(store, "s", "t", resume=True)
        async with in_line(store, ["a"]) as line:
            await store.release(*turn.ids)
            await line.waiter()
            await store.cancel("s", "t")
            await line.waiter()
            assert isinstance(await line.ask("a"), Grant)

    @pytest.mark.parametrize("queued", [False, True])
    async def test_who_sent_a_turn_again_is_woken_by_its_end_wherever_they_stand_in_line(
        self, store: Store, queued: bool
    ) -> None:
        if queued:
            await store.submit("s", "t", b"one")
        turn = await (taken(store, "s") if queued else begun(store, "s", "t"))
        async with in_line(store, ["a", "t"]) as line:
            await turn.commit(*items(1))
            await line.waiter()
            assert isinstance(await line.ask("t"), Duplicate)
            assert isinstance(await line.ask("a"), Grant)

    async def test_who_sent_a_turn_again_is_woken_when_it_is_discarded(self, lab: Lab) -> None:
        store = lab.store()
        turn = await begun(store, "s", "t", lease=lab.lease)
        await store.journal(*turn.ids, 0, items("done"))
        async with in_line(store, ["a", "t"]) as line:
            await lab.dead("s", beyond=lab.lease)
            assert isinstance(await line.ask("a"), Grant)
            await line.waiter("t")
            assert isinstance(await line.ask("t"), Duplicate)

    async def test_who_sent_a_message_s_turn_is_woken_when_it_is_called_off(
        self, store: Store
    ) -> None:
        await begun(store, "s")
        async with in_line(store, ["t"]) as line:
            await store.submit("s", "t", b"one")
            await store.cancel("s", "t")
            await line.waiter()
            assert isinstance(await line.ask("t"), Duplicate)

    async def test_the_worker_of_a_turn_is_woken_when_its_session_is_deleted(
        self, store: Store
    ) -> None:
        turn, told = await begun(store, "s", worker=getattr(store, "worker", "")), asyncio.Event()
        with store.on_wakeup(turn.token, told.set):
            await store.delete("s")
            await asyncio.wait_for(told.wait(), 30)
        assert await store.renew(*turn.ids) == Gone()


class _Line:
    """Callers in line for the session "s", and which of them have been woken."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tokens: dict[str, str] = {}
        self._told: dict[str, asyncio.Event] = {}
        self._worker = getattr(store, "worker", "")

    async def join(self, stack: AsyncExitStack, turn_id: str, *, resume: bool) -> None:
        token = self._tokens[turn_id] = mint()
        told = self._told[turn_id] = asyncio.Event()
        await stack.enter_async_context(
            self._store.waiter(token)
        )  # so that it is heard from now on
        stack.enter_context(self._store.on_wakeup(token, told.set))
        assert isinstance(await self.ask(turn_id, resume=resume), Queued)

    async def ask(self, turn_id: str, *, resume: bool = False) -> object:
        options = {"token": self._tokens[turn_id], "ticket_ms": LONG, "worker": self._worker}
        return await asked(self._store, "s", turn_id, resume=resume, **options)

    async def waiter(self, *turn_ids: str) -> None:
        """Wait until these are, or all; they can be woken again then."""
        for told in [self._told[turn_id] for turn_id in turn_ids or self._told]:
            await asyncio.wait_for(told.wait(), 30)
            told.clear()


@asynccontextmanager
async def in_line(
    store: Store, turn_ids: Sequence[str], *, resume: str = ""
) -> AsyncIterator[_Line]:
    """Callers that have just come into line."""
    async with AsyncExitStack() as stack:
        line = _Line(store)
        for turn_id in turn_ids:
            await line.join(stack, turn_id, resume=turn_id == resume)
        yield line
