"""Following one conversation, and seeing all of them at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from secrets import token_hex

import pytest

from tests.integration.fault_lab import message
from tests.integration.stores import Sessions, new_sessions_of
from tests.integration.test_cli import lines
from tests.integration.test_token_usage import costly, times
from tests.scripted import says
from turnwise import PastTurn, Runner, UsageError, connect
from turnwise.session import Session

sessions = new_sessions_of(["memory", "sqlite", "valkey"])


async def some(session: Session) -> None:
    """Sessions of several sizes, one of which has a turn."""
    await session.bind("small").add_items([message("x")])
    await session.bind("large").add_items([message(token_hex(1000)) for _ in range(5)])
    await Runner.run(costly(says("x")), "hi", session=session, session_id="costly", turn_id="t")
    await session.submit("queue", "hello", agent="nobody")


async def test_sums(sessions: Sessions) -> None:
    session = sessions.worker()
    empty = await session.stats()
    assert (empty.sessions, empty.states, empty.oldest) == (0, {}, None)
    await some(session)
    found = await session.stats()
    assert (found.sessions, found.states) == (4, {"idle": 3, "queued": 1})
    assert (found.items, found.queued, found.usage) == (8, 1, times(1))
    assert (found.oldest or 0) <= (found.newest or 0)
    assert (await session.stats("s*")).items == 1
    assert (await session.stats(state="queued")).sessions == 1


async def test_the_largest(sessions: Sessions) -> None:
    session = sessions.worker()
    await some(session)

    async def names(**how: object) -> list[str]:
        return [found.session_id for found in await session.biggest(**how)]  # type: ignore[arg-type]  # the options of each case

    assert await names(count=1) == ["large"]
    assert (await names(by="items"))[:2] == ["large", "costly"]
    assert await names(by="queued", count=1) == ["queue"]
    assert await names(by="tokens", count=1) == ["costly"]
    assert await names(match="s*") == ["small"]
    with pytest.raises(UsageError, match="use one of bytes"):
        await names(by="weight")
    with pytest.raises(UsageError):
        await names(count=0)


async def next_of(turns: AsyncIterator[PastTurn]) -> str:
    """The kind of the next turn, and how many items it has."""
    async with asyncio.timeout(20):
        turn = await anext(turns)
    return f"{turn.kind} {len(turn.items)}"


async def test_a_conversation_is_followed(sessions: Sessions) -> None:
    writer, reader = sessions.worker(), sessions.worker()
    bound = writer.bind("s")
    turns = reader.tail("s", last=2, interval=0.01)
    waits = asyncio.create_task(next_of(turns))
    await bound.add_items([message("one")])
    assert await waits == "append 1"
    await turns.aclose()  # type: ignore[attr-defined]  # it is a generator
    for number in range(2, 5):
        await bound.add_items([message("x")] * number)
    turns = reader.tail("s", last=2, interval=0.01)
    assert [await next_of(turns) for _ in range(2)] == ["append 3", "append 4"]
    await Runner.run(costly(says("x")), "hi", session=bound, turn_id="t")
    assert await next_of(turns) == "turn 2"
    await bound.pop_item()
    assert await next_of(turns) == "pop 0"
    await bound.clear_session()
    assert await next_of(turns) == "clear 0"
    await writer.delete("s")
    await bound.add_items([message("again")])
    assert await next_of(turns) == "append 1"
    await turns.aclose()  # type: ignore[attr-defined]  # it is a generator


async def test_the_commands(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    async with connect(url) as session:
        await some(session)
        (row,) = map(json.loads, await lines(url, "sessions", "stats", "-o", "jsonl"))
        assert (row["sessions"], row["states"]) == (4, {"idle": 3, "queued": 1})
        assert "3 idle, 1 queued" in " ".join(await lines(url, "sessions", "stats"))
        told = await lines(url, "sessions", "biggest", "--by", "tokens", "--count", "1")
        assert "costly" in told[-1] or "costly" in told[-2]
        told = await lines(url, "sessions", "tail", "costly", "--no-follow")
        assert told[1:] == ["  user: hi", "  assistant: x"]
