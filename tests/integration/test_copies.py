"""Copies of a conversation, and conversations that are taken back to a turn."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.integration.approval_lab import Clerk, asks
from tests.integration.fault_lab import message
from tests.integration.stores import Sessions, new_sessions_of
from tests.integration.test_cli import invoked, lines
from tests.integration.test_token_usage import costly, times
from tests.scripted import outline, says
from turnwise import (
    AlreadyCommitted,
    ApprovalPending,
    Runner,
    SessionBusy,
    SessionExists,
    UsageError,
    connect,
)
from turnwise.session import Session
from turnwise.types import NO_USAGE

sessions = new_sessions_of(["memory", "sqlite", "valkey"])


async def talk(session: Session, count: int = 3) -> None:
    for number in range(count):
        helper = costly(says(f"answer {number}"))
        await Runner.run(helper, str(number), session=session.bind("s"), turn_id=f"t{number}")


async def test_a_copy_has_the_turns_up_to_one(sessions: Sessions) -> None:
    session = sessions.worker()
    await talk(session)
    before = await session.history("s")
    assert await session.copy("s", "fork", at="t1") == 4
    assert await session.copy("s", "fork", at="t1") == 4  # sent again
    assert await session.history("fork") == (before or [])[:2]
    assert await session.history("s") == before
    info = await session.info("fork")
    assert info is not None
    assert (info.turns, info.usage) == (2, NO_USAGE)
    again = await Runner.run(costly(says("x")), "1", session=session.bind("fork"), turn_id="t1")
    assert again.final_output == "answer 1"
    await Runner.run(costly(says("else")), "2", session=session.bind("fork"), turn_id="t2")
    other = sessions.worker()
    assert outline(await other.bind("fork").get_items())[-2:] == ["2", "else"]
    assert outline(await other.bind("s").get_items())[-2:] == ["2", "answer 2"]
    info = await session.info("fork")
    assert info is not None
    assert info.usage == times(1)


async def test_what_cannot_be_copied_is_a_clear_word(sessions: Sessions) -> None:
    session = sessions.worker()
    await talk(session, 1)
    await session.bind("other").add_items([message("mine")])
    with pytest.raises(SessionExists, match="history of its own"):
        await session.copy("s", "other")
    with pytest.raises(UsageError, match="no turn 'nothing'"):
        await session.copy("s", "new", at="nothing")
    with pytest.raises(UsageError, match="no such session"):
        await session.copy("nobody", "new")
    async with session.turn("new"):
        with pytest.raises(SessionBusy):
            await session.copy("s", "new")
    assert await session.info("new") is None


async def test_the_open_turn_is_not_copied(sessions: Sessions) -> None:
    session = sessions.worker()
    await talk(session, 1)
    async with session.turn("s") as turn:
        await turn.add_items([message("not yet")])
        await session.copy("s", "new")
    assert len(await session.bind("new").get_items()) == 2


async def test_a_session_is_taken_back_to_a_turn(sessions: Sessions) -> None:
    session, other = sessions.worker(), sessions.worker()
    await talk(session)
    assert len(await other.bind("s").get_items()) == 6
    assert await session.rewind("s", to="t0") == 4
    assert await session.rewind("s", to="t0") == 0
    for each in (session, other):
        assert outline(await each.bind("s").get_items()) == ["0", "answer 0"]
    with pytest.raises(AlreadyCommitted):
        async with session.turn("s", turn_id="t2"):
            pass
    with pytest.raises(UsageError, match="no turn 't2', or not any more"):
        await session.rewind("s", to="t2")
    with pytest.raises(UsageError, match="no such session"):
        await session.rewind("nobody", to="t0")
    info = await session.info("s")
    assert info is not None
    assert info.usage == times(3)
    await Runner.run(costly(says("new")), "again", session=session.bind("s"), turn_id="t9")
    assert outline(await other.bind("s").get_items())[2:] == ["again", "new"]


async def test_a_session_is_taken_back_to_its_beginning(sessions: Sessions) -> None:
    session, other = sessions.worker(), sessions.worker()
    await talk(session)
    assert await session.rewind("s", to=None) == 6
    assert await session.rewind("s", to=None) == 0
    assert await other.bind("s").get_items() == []
    with pytest.raises(AlreadyCommitted):
        async with session.turn("s", turn_id="t0"):
            pass
    with pytest.raises(UsageError, match="no such session"):
        await session.rewind("nobody", to=None)
    await Runner.run(costly(says("new")), "again", session=session.bind("s"), turn_id="t9")
    assert outline(await other.bind("s").get_items()) == ["again", "new"]


async def test_a_running_turn_is_not_taken_back(sessions: Sessions) -> None:
    session = sessions.worker()
    await talk(session, 2)
    async with session.turn("s") as turn:
        with pytest.raises(SessionBusy, match="it is busy"):
            await session.rewind("s", to="t0")
        await turn.add_items([message("goes on")])
    assert len(await session.bind("s").get_items()) == 5
    helper = Clerk().agent(asks("pay"))
    await Runner.run(helper, "go", session=session, session_id="s", turn_id="t")
    with pytest.raises(ApprovalPending):
        await session.rewind("s", to="t0")


async def test_of_many_at_once_one_takes_it_back(sessions: Sessions) -> None:
    workers = [sessions.worker() for _ in range(3)]
    await talk(workers[0])
    answers = await asyncio.gather(
        *(worker.rewind("s", to="t0") for worker in workers), return_exceptions=True
    )
    removed = [answer for answer in answers if isinstance(answer, int)]
    assert max(removed) == 4
    assert sum(removed) == 4
    assert len(await workers[1].bind("s").get_items()) == 2


async def test_the_commands(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    async with connect(url) as session:
        await talk(session)
        told = await lines(url, "sessions", "copy", "s", "a\nb", "--at", "t1")
        assert told == [r"copied: a\nb, 4 items"]
        told = await lines(url, "sessions", "rewind", "s", "t1", "--yes")
        assert told == ["rewound: s, 2 items"]
        assert await session.history("s", limit=9) != await session.history("a\nb", limit=9)
        result = await invoked(url, "sessions", "rewind", "s", "t0")
        assert result.exit_code == 1  # not confirmed
        result = await invoked(url, "sessions", "copy", "s", "a\nb")
        assert (result.exit_code, "history of its own" in result.output) == (1, True)
