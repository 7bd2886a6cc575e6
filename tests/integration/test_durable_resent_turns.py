"""A turn whose store failed or whose sender was cancelled continues when it is sent again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from agents import Agent, function_tool

from tests.integration.durable_lab import (
    WAYS,
    Ledger,
    Sage,
    calls,
    last_response_with_commit,
    says,
)
from tests.integration.stores import KINDS, Sessions, new_sessions_of, sessions_on
from tests.scripted import outline
from turnwise import Runner
from turnwise.durable.calls import OUTCOME_UNKNOWN
from turnwise.errors import SessionBusy, StoreUnavailable, TurnAbandoned
from turnwise.session import Session
from turnwise.types import Info

SEED: list[Any] = [{"role": "user", "content": "before"}]
LEASE = 1.0


sessions = new_sessions_of(KINDS)


class Out:
    """A store as a worker sees it that loses it for a while, at an entry of the journal."""

    def __init__(self, store: Any, at: int) -> None:
        self._store = store
        self._left = at
        self.is_out = False

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._store, name)
        if name not in ("renew", "journal"):
            return verb

        async def call(*args: Any, **options: Any) -> Any:
            return await self._call(verb, *args, **options)

        return call

    async def _call(self, verb: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> Any:
        entries = args[-1]
        if isinstance(entries, Sequence) and not isinstance(entries, str):
            self._left -= len(entries)
        self.is_out = self._left < 0
        if self.is_out:
            raise StoreUnavailable("the store is out")
        return await verb(*args, **options)


class Work:
    """A run of two tools, and what they did. The second one waits at `held`."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.held: asyncio.Event | None = None
        self.keys: list[str] = []

    def agent(self) -> Agent[Any]:
        def made(name: str) -> Any:
            async def run() -> str:
                self.ledger.tools[name] += 1
                if name == "two" and self.held is not None:
                    self.held.set()
                    await asyncio.Event().wait()
                return name

            return function_tool(run, name_override=name, timeout=60.0)

        model = Sage(self.ledger, "m", calls("one"), calls("two"), says("done"))
        return Agent(name="a", model=model, tools=[made("one"), made("two")])

    async def cancelled(self, session: Session, way: str) -> None:
        """Let the sender be cancelled in the second tool."""
        self.held = asyncio.Event()
        options = {"on_disconnect": "rollback"} if way == "streamed" else {}
        sending = asyncio.ensure_future(WAYS[way](session, self.agent(), "go", options))
        await self.held.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        self.held = None


def history(two: str = "two") -> list[str]:
    return [
        "before",
        "go",
        "call of_one",
        "output of_one: one",
        "call of_two",
        f"output of_two: {two}",
        "done",
    ]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("at", "journaled"), [(1, 0), (3, 1), (5, 2)])
async def test_a_short_outage_of_the_store_repeats_no_tool(
    sessions: Sessions, way: str, at: int, journaled: int
) -> None:
    """Tools: one, two. If the end of the second is not in the journal, its outcome is unknown."""
    work, session = Work(), sessions.worker(session_id="s", lease=LEASE)
    await session.add_items(SEED)
    store = session.runtime.store
    session.runtime.store = cast("Any", Out(store, at))
    with last_response_with_commit(), pytest.raises(StoreUnavailable):
        await WAYS[way](session, work.agent(), "go", {})
    paid = work.ledger.models.total()  # of these responses, so many are in the journal: `journaled`
    session.runtime.store = store
    assert await session.get_items() == SEED
    result, _, _ = await WAYS[way](session, work.agent(), "go", {})
    assert result.final_output == "done"
    assert outline(await session.get_items()) == history("two" if at < 5 else OUTCOME_UNKNOWN)
    assert work.ledger.tools == {"one": 1, "two": 1}
    assert work.ledger.models.total() == paid + 3 - journaled


@pytest.mark.parametrize("way", WAYS)
async def test_a_turn_whose_sender_was_cancelled_continues_when_it_is_sent_again(
    sessions: Sessions, way: str
) -> None:
    work, session = Work(), sessions.worker(session_id="s", lease=LEASE)
    await session.add_items(SEED)
    await work.cancelled(session, way)
    assert await session.get_items() == SEED
    result, _, _ = await WAYS[way](session, work.agent(), "go", {})
    assert result.final_output == "done"
    assert outline(await session.get_items()) == history(OUTCOME_UNKNOWN)
    assert work.ledger.tools == {"one": 1, "two": 1}


async def test_others_wait_a_lease_for_a_cancelled_sender(sessions: Sessions) -> None:
    """Then the turn is abandoned; the sender gets TurnAbandoned if it sends it again."""
    work, session = Work(), sessions.worker(session_id="s", lease=LEASE)
    await session.add_items(SEED)
    await work.cancelled(session, "turnwise")
    with pytest.raises(SessionBusy):
        await Runner.run(work.agent(), "else", session=session, busy="reject")
    other = await Runner.run(work.agent(), "else", session=session)
    assert other.final_output == "done"
    with pytest.raises(TurnAbandoned):
        await Runner.run(work.agent(), "go", session=session, turn_id="t")
    assert outline(await session.get_items())[:2] == ["before", "else"]


async def test_nobody_waits_for_a_turn_that_cannot_be_sent_again(sessions: Sessions) -> None:
    """Nobody can send the turn again, or nothing was journaled."""
    work, session = Work(), sessions.worker(session_id="s", lease=LEASE)
    await session.add_items(SEED)
    work.held = asyncio.Event()
    sending = asyncio.create_task(Runner.run(work.agent(), "go", session=session))
    await work.held.wait()
    sending.cancel()
    await asyncio.wait({sending})
    assert isinstance(info := await session.info(), Info)
    assert (info.open_turn, info.journal_entries) == (None, 0)
    async with asyncio.timeout(30):
        with pytest.raises(asyncio.CancelledError):
            async with session.turn(turn_id="t") as turn:
                await turn.add_items(SEED)
                raise asyncio.CancelledError
    assert isinstance(info := await session.info(), Info)
    assert (info.open_turn, info.items) == (None, 1)


async def test_a_cancelled_tool_is_not_journaled_as_timed_out(tmp_path: Path) -> None:
    """Not even one in an agent in a tool: their own timeouts are far."""
    async with sessions_on("memory", tmp_path) as sessions:
        work, session = Work(), sessions.worker(session_id="s", lease=LEASE)

        def agent() -> Agent[Any]:
            inner = work.agent()
            model = Sage(work.ledger, "outer", calls("ask", input="x"), says("done"))
            return Agent(name="outer", model=model, tools=[inner.as_tool("ask", "")])

        work.held = asyncio.Event()
        sending = asyncio.ensure_future(WAYS["turnwise"](session, agent(), "go", {}))
        await work.held.wait()
        sending.cancel()
        await asyncio.wait({sending})
        work.held = None
        result, _, _ = await WAYS["turnwise"](session, agent(), "go", {})
        assert result.final_output == "done"
        assert work.ledger.tools == {"one": 1, "two": 1}
        assert work.ledger.models.total() == 5


async def test_a_sender_cancelled_during_a_takeover_loses_nothing(sessions: Sessions) -> None:
    """Its begin is granted, and the answer never arrives."""
    work, session = Work(), sessions.worker(session_id="s", lease=LEASE)
    await session.add_items(SEED)
    await work.cancelled(session, "turnwise")
    store, granted = session.runtime.store, asyncio.Event()

    class Unheard:
        def __getattr__(self, name: str) -> Any:
            return self.begin if name == "begin" else getattr(store, name)

        async def begin(self, *args: Any, **options: Any) -> Any:
            await store.begin(*args, **options)
            granted.set()
            await asyncio.Event().wait()

    session.runtime.store = cast("Any", Unheard())
    taking_over = asyncio.create_task(Runner.run(work.agent(), "go", session=session, turn_id="t"))
    await granted.wait()
    taking_over.cancel()
    await asyncio.wait({taking_over})
    session.runtime.store = store
    result, _, _ = await WAYS["turnwise"](session, work.agent(), "go", {})
    assert result.final_output == "done"
    assert work.ledger.tools == {"one": 1, "two": 1}
