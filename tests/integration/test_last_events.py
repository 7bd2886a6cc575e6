"""A turn's last events come right after its end, and may never come. Who follows learns which."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.integration.stores import Sessions, sessions_of
from turnwise.background import Receipt
from turnwise.testing.servers.waiting import until
from turnwise.types import Events

pytestmark = pytest.mark.asyncio(loop_scope="module")
sessions = sessions_of(["memory", "sqlite", "valkey"])

FINISHED = {"type": "turn.finished", "state": "cancelled"}


class Turn:
    """A message whose worker is the test: it appends its events, and ends it."""

    def __init__(self, receipt: Receipt) -> None:
        self.receipt = receipt
        self._store = receipt.runtime.store
        self._reads = 0
        self._names = receipt.session_id, receipt.turn_id

    async def emit(self, first: int, *events: dict[str, Any], last: bool = False) -> None:
        contents = [self.receipt.runtime.codec.encode(event) for event in events]
        await self._store.events.append(*self._names, 1, first, contents, last=last)

    async def end(self) -> None:
        await self._store.cancel(*self._names)

    async def is_followed_to_its_end(self) -> bool:
        """Whether the follower has been answered that there is nothing, and reads again."""
        return self._reads > 0

    async def followed(self) -> list[dict[str, Any]]:
        return [event async for _, event in self.receipt.events()]

    def before_an_empty_answer(self, action: Callable[[], Awaitable[None]]) -> None:
        """Do it once the follower has been answered that there is nothing, before it knows."""
        log: Any = self._store.events
        read, actions = log.read, [action]

        async def spied(*args: Any) -> Events:
            self._reads += not actions
            found: Events = await read(*args)
            if not (found.events or found.ended) and actions:
                await actions.pop()()
            return found

        log.read = spied


@pytest.fixture
async def turn(sessions: Sessions) -> Turn:
    session = sessions.worker()
    receipt = await session.submit(sessions.new_id(), "hi", agent="a", turn_id="t")
    return Turn(receipt)


async def test_the_end_comes_while_a_follower_is_paused(turn: Turn) -> None:
    """Its process stops when it has read, and goes on when the turn is over."""

    async def go_on() -> None:
        await turn.end()
        await turn.emit(1, {"type": "said"}, FINISHED, last=True)

    await turn.emit(0, {"type": "turn.begun"})
    turn.before_an_empty_answer(go_on)
    assert await turn.followed() == [{"type": "turn.begun"}, {"type": "said"}, FINISHED]


async def test_last_events_that_come_after_the_end(
    turn: Turn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever ended the turn is still about to publish them."""
    monkeypatch.setattr("turnwise.background.receipt._LAST_EVENTS", 60.0)
    await turn.emit(0, {"type": "turn.begun"})
    turn.before_an_empty_answer(turn.end)
    following = asyncio.create_task(turn.followed())
    await until(turn.is_followed_to_its_end, 30, "a follower knows that the turn has ended")
    await turn.emit(1, {"type": "said"}, FINISHED, last=True)
    assert await following == [{"type": "turn.begun"}, {"type": "said"}, FINISHED]


async def test_last_events_that_never_come(turn: Turn) -> None:
    await turn.emit(0, {"type": "turn.begun"})
    await turn.end()
    incomplete = FINISHED | {"incomplete": True}
    assert await turn.followed() == [{"type": "turn.begun"}, incomplete]
    assert [event async for event in turn.receipt.events("1-0")] == [("1-0", incomplete)]
