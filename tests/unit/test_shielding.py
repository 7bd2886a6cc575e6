"""What a cancelled caller must not leave half done."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any

import anyio
import pytest

from turnwise.turns import resend_if_cancelled, shielded, until_done


class Counted(Coroutine[Any, Any, Any]):
    """A coroutine that counts how often it was cancelled."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine
        self.cancellations = 0

    def send(self, value: Any) -> Any:
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        self.cancellations += 1
        return self._coroutine.throw(*error)

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Any:
        return self._coroutine.__await__()


class Store:
    """What is called: it answers when it is told to, and counts the answers."""

    def __init__(self) -> None:
        self.asked, self.go_on = asyncio.Event(), asyncio.Event()
        self.answers = 0

    async def call(self) -> str:
        self.asked.set()
        await self.go_on.wait()
        self.answers += 1
        return "done"


async def resisting(store: Store) -> None:
    """It waits for a task of its own, as for the end of a run."""
    if (cancellation := await until_done(asyncio.create_task(store.call()))) is not None:
        raise cancellation


WAYS = [
    lambda store: shielded(store.call),
    lambda store: resend_if_cancelled(store.call),
    resisting,
]


@pytest.mark.parametrize("way", WAYS)
async def test_a_scope_of_anyio_does_not_spin_while_the_store_stands_still(way: Any) -> None:
    store = Store()
    counted = Counted(way(store))

    async def cancelled() -> None:
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            await counted
        left.set()

    scopes: list[anyio.CancelScope] = []
    left = asyncio.Event()
    caller = asyncio.create_task(cancelled())
    await store.asked.wait()
    scopes[0].cancel()
    for _ in range(1000):  # turns of the event loop, in each of which anyio might cancel again
        await asyncio.sleep(0)
    assert not left.is_set()
    store.go_on.set()
    await caller
    assert left.is_set()
    assert store.answers == 1
    assert counted.cancellations <= 2


@pytest.mark.parametrize("way", WAYS[:2])
async def test_it_is_done_though_all_tasks_are_cancelled_after_the_caller(way: Any) -> None:
    """As `asyncio.run` does when Ctrl-C is pressed twice."""
    store = Store()
    caller: asyncio.Task[Any] = asyncio.create_task(way(store))
    await store.asked.wait()
    caller.cancel()
    await asyncio.sleep(0)
    store.asked.clear()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await store.asked.wait()
    store.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert store.answers == 1


async def test_it_is_done_though_a_keyboard_interrupt_hits_the_call() -> None:
    store, interrupts = Store(), [KeyboardInterrupt()]
    store.go_on.set()

    async def call() -> str:
        if interrupts:
            raise interrupts.pop()
        return await store.call()

    with pytest.raises(KeyboardInterrupt):
        await resend_if_cancelled(call)
    assert store.answers == 1


async def test_a_shielded_call_returns_and_raises_as_the_call_does() -> None:
    async def divided(number: int) -> int:
        return 12 // number

    assert await shielded(partial(divided, 4)) == 3
    with pytest.raises(ZeroDivisionError):
        await shielded(partial(divided, 0))
