"""Messages of sessions whose history cannot be decoded become dead letters."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.background_lab import QUICK, echo, output, state, working
from tests.integration.stores import Sessions, new_sessions_of, sessions_on
from turnwise import RedisSession
from turnwise.errors import DeadLettered, UndecodableItem
from turnwise.types import Done, History

DAMAGED = b"\x7fno item"


sessions = new_sessions_of(["memory", "sqlite", "valkey"])


@pytest.mark.parametrize("known", [False, True])
async def test_a_history_that_cannot_be_decoded_makes_dead_letters(
    sessions: Sessions, known: bool
) -> None:
    """The damage is found by a worker that knew the history before it, and by one that did not."""
    sender, worker = sessions.worker(), sessions.worker()
    store = sender.runtime.store
    async with working(worker, echo()):
        if known:
            await output(await sender.submit("s", "before", agent="echo"))
        assert isinstance(await store.append("s", "op", [DAMAGED]), Done)
        first = await sender.submit("s", "one", agent="echo", turn_id="t1")
        second = await sender.submit("s", "two", agent="echo", turn_id="t2")
        other = await sender.submit("other", "hello", agent="echo")
        assert await output(other) == "re: hello"
        for receipt in (first, second):
            with pytest.raises(DeadLettered, match=r"3 attempts.*UndecodableItem"):
                await receipt.result(30)
    letters = await sender.dead_letters()
    assert [(letter.turn_id, letter.attempts) for letter in letters] == [("t1", 3), ("t2", 3)]
    history = await store.read("s")
    assert isinstance(history, History)
    assert DAMAGED in history.elements
    with pytest.raises(UndecodableItem):
        await sender.bind("s").get_items()


async def test_a_session_that_is_none_blocks_no_other(tmp_path: Path) -> None:
    """Somebody's key stands where the session was: it is left alone, and asked for again."""
    async with sessions_on("valkey", tmp_path) as sessions:
        await _replaced_and_back(sessions)


async def _replaced_and_back(sessions: Sessions) -> None:
    sender = sessions.worker()
    assert isinstance(sender, RedisSession)
    await sender.submit("s", "lost", agent="echo")
    key = sender.key("s")
    await sender.client.set(key, "somebody's")
    async with working(sessions.worker(), echo(), concurrency=1, policy=QUICK):
        assert await output(await sender.submit("other", "hello", agent="echo")) == "re: hello"
        assert await sender.client.get(key) == b"somebody's"
        await sender.client.delete(key)
        receipt = await sender.submit("s", "again", agent="echo")
        await state(receipt, "committed")
