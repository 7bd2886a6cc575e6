"""A worker that found a session busy is woken when the turn ahead of its messages ends."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.integration.background_lab import echo
from tests.integration.stores import Sessions, new_sessions_of
from turnwise.errors import NotASession
from turnwise.session import Session
from turnwise.turns import Commit, RollBack, Turn, begin_turn, end

LONG, SOONER = 15.0, 10.0
LONG_MS = 15_000
End = Callable[[Session, Turn], Coroutine[Any, Any, object]]


sessions = new_sessions_of(["valkey", "redis"])


async def commit(session: Session, turn: Turn) -> None:
    await end(turn, Commit())


async def roll_back(session: Session, turn: Turn) -> None:
    await end(turn, RollBack())


async def cancel(session: Session, turn: Turn) -> None:
    await session.runtime.store.cancel("s", turn.turn_id, force=True)


@pytest.mark.parametrize("end_turn", [commit, roll_back, cancel])
async def test_the_end_of_a_direct_turn_wakes_a_worker_that_found_the_session_busy(
    sessions: Sessions, end_turn: End
) -> None:
    sender, ready = sessions.worker(), sessions.worker().runtime.store.ready
    turn = await begin_turn(sender.runtime, "s")
    await sender.submit("s", "hello", agent="echo", turn_id="t")
    claims = await ready.claim("w", 10, SOONER)
    assert [claim.session_id for claim in claims] == ["s"]
    await ready.requeue("w", claims, LONG_MS)
    assert await ready.claim("w", 10, 0) == []
    await end_turn(sender, turn)
    (again,) = await ready.claim("w", 10, SOONER)
    assert again.session_id == "s"
    await end(turn, RollBack())


async def test_a_sweep_leaves_the_sessions_of_a_longer_prefix_to_their_workers(
    sessions: Sessions,
) -> None:
    """They look like sessions of the shorter prefix, whose workers do not know their agents."""
    ours, theirs = sessions.worker(key_prefix="app:"), sessions.worker(key_prefix="app:staging:")
    await theirs.submit("s", "hello", agent="echo", turn_id="t")
    await ours.submit("mine", "hello", agent="echo", turn_id="t")
    assert await ours.runtime.store.ready.sweep(force=True) == 1
    claims = await ours.runtime.store.ready.claim("w", 10, 0)
    assert {claim.session_id for claim in claims} == {"mine"}
    assert await theirs.runtime.store.ready.sweep(force=True) == 1


async def test_a_session_of_another_prefix_is_refused_and_not_listed(sessions: Sessions) -> None:
    """ "staging:s" of `app:` and "s" of `app:staging:` are one key."""
    ours, theirs = sessions.worker(key_prefix="app:"), sessions.worker(key_prefix="app:staging:")
    receipt = await theirs.submit("s", "hello", agent="echo", turn_id="t")
    bound = ours.bind("staging:s")
    for refused in (
        lambda: ours.drain("staging:s", [echo()]),
        lambda: ours.submit("staging:s", "hi", agent="echo"),
        lambda: ours.status("staging:s", "t"),
        lambda: ours.delete("staging:s"),
        bound.get_items,
        bound.pop_item,
        bound.info,
    ):
        with pytest.raises(NotASession, match=r"'staging:s'.*key_prefix 'app:staging:'"):
            await refused()
    assert [found async for found in ours.scan()] == []
    await ours.bind("staging:mine").add_items([{"role": "user", "content": "hi"}])
    with pytest.raises(NotASession, match="key_prefix 'app:'"):
        await theirs.bind("mine").get_items()
    assert [found async for found in theirs.scan()] == ["s"]
    assert [found async for found in ours.scan()] == ["staging:mine"]
    await theirs.drain("s", [echo()])
    assert (await receipt.status()).state == "committed"


async def test_a_new_message_does_not_wait_behind_what_a_sweep_found(sessions: Sessions) -> None:
    sender = sessions.worker()
    ready = sender.runtime.store.ready
    for number in range(40):
        await sender.submit(f"s{number}", "hello", agent="echo", turn_id="t")
    while claims := await ready.claim("w", 100, 0):
        await ready.ack("w", claims)
    assert await ready.sweep(force=True) == 40
    await sender.submit("new", "hello", agent="echo", turn_id="t")
    found = [claim.session_id for _ in range(8) for claim in await ready.claim("w", 1, 0)]
    assert "new" in found
