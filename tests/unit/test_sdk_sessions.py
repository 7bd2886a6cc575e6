"""Canaries for how the SDK reads its sessions: see `turnwise/durable/sdk_sessions.py`."""

from __future__ import annotations

from typing import Any
from weakref import finalize

import agents
import pytest
from agents import SessionSettings, SQLiteSession, function_tool
from agents.memory import OpenAIResponsesCompactionSession
from agents.memory.session import SessionABC

from tests.scripted import agent, calls, says
from turnwise.durable.sdk_sessions import is_bookkeeping


class Asked(SessionABC):
    """Notes for each read whether it is bookkeeping. The first write is not acknowledged.

    It is closed when it is no longer used.
    """

    session_id = "s"
    session_settings: SessionSettings | None = None

    def __init__(self, *, loses_replies: bool = False) -> None:
        self._held = SQLiteSession("s")
        finalize(self, self._held.close)
        self._loses_replies = loses_replies
        self.reads: list[tuple[int | None, bool]] = []

    async def get_items(self, limit: int | None = None) -> Any:
        self.reads.append((limit, is_bookkeeping()))
        return await self._held.get_items(limit)

    async def add_items(self, items: Any) -> None:
        await self._held.add_items(items)
        if self._loses_replies and len(await self._held.get_items()) > 2:
            self._loses_replies = False
            raise OSError("the reply is lost")

    async def pop_item(self) -> Any:
        return await self._held.pop_item()

    async def clear_session(self) -> None:
        await self._held.clear_session()


def compacting(session: Any) -> OpenAIResponsesCompactionSession:
    client: Any = object()
    return OpenAIResponsesCompactionSession(
        "s", session, client=client, should_trigger_compaction=lambda _: False
    )


async def test_what_a_model_or_the_application_reads_is_no_bookkeeping() -> None:
    asked = Asked()
    await agents.Runner.run(agent(says("one")), "go", session=asked)
    assert asked.reads == [(None, False)]
    await compacting(asked).get_items()
    await asked.get_items(3)
    assert asked.reads[1:] == [(None, False), (3, False)]


async def test_compaction_reads_for_its_books() -> None:
    asked = Asked()
    await agents.Runner.run(agent(says("one")), "go", session=compacting(asked))
    assert asked.reads[0] == (None, False)
    assert asked.reads[1:]
    assert all(bookkeeping for _, bookkeeping in asked.reads[1:])


async def test_a_write_without_an_acknowledgement_is_looked_up() -> None:
    @function_tool(needs_approval=True)
    def pay() -> str:
        return "paid"

    asked = Asked(loses_replies=True)
    helper = agent(calls("pay"), says("done"), tools=[pay])
    waits = await agents.Runner.run(helper, "go", session=asked)
    state = waits.to_state()
    state.approve(state.get_interruptions()[0])
    with pytest.raises(OSError, match="lost"):
        await agents.Runner.run(helper, state, session=asked)
    del asked.reads[:]
    await agents.Runner.run(helper, state, session=asked)
    assert asked.reads
    assert all(bookkeeping for _, bookkeeping in asked.reads)
