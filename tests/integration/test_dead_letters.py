"""Dead letters are listed, retried and deleted; `on_dead="stop"` stops a session."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from tests.integration.background_lab import QUICK, echo, output, state, texts, working
from tests.integration.stores import Sessions, new_sessions_of
from turnwise import Runner
from turnwise.background import Policy
from turnwise.errors import DeadLettered, TurnCancelled, UsageError
from turnwise.types import Claim, Grant

sessions = new_sessions_of(["memory", "sqlite", "valkey"])


async def test_a_message_that_fails_three_times_is_dead_lettered_and_the_session_continues(
    sessions: Sessions,
) -> None:
    sender, asked = sessions.worker(), list[str]()

    async def fail(message: str) -> None:
        asked.append(message)
        if message == "bad" and asked.count("bad") <= 3:
            raise RuntimeError("no such thing")

    bad = await sender.submit("s", "bad", agent="echo", turn_id="bad", metadata={"m": 1})
    good = await sender.submit("s", "good", agent="echo")
    async with working(sessions.worker(), echo(fail)):
        assert await output(good) == "re: good"
        assert asked == ["bad", "bad", "bad", "good"]
        with pytest.raises(
            DeadLettered, match=r"3 attempts.*RuntimeError: no such thing"
        ) as caught:
            await bad.result(10)
        (letter,) = await sender.dead_letters()
        assert caught.value.dead_letter_id == letter.id
        assert (letter.turn_id, letter.attempts, letter.state) == ("bad", 3, "dead")
        assert (letter.agent, letter.input, letter.metadata) == ("echo", "bad", {"m": 1})
        assert letter.error == "RuntimeError: no such thing"
        kinds = [event["type"] async for _, event in bad.events()]
        assert kinds[-1] == "turn.finished"
        with pytest.raises(DeadLettered):
            await Runner.run(echo(), "bad", session=sender, session_id="s", turn_id="bad")
        await sender.retry_dead_letter(letter.id)
        assert await output(bad) == "re: bad"
        seen = [event async for _, event in bad.events()]
        assert seen[-1] == {"type": "turn.finished", "state": "committed"}
    assert await sender.dead_letters() == []
    with pytest.raises(UsageError):
        await sender.retry_dead_letter(letter.id)
    history = texts(await sender.bind("s").get_items())
    assert history == ["good", "re: good", "bad", "re: bad"]


@pytest.mark.parametrize("sessions", ["valkey"], indirect=True)
async def test_a_retry_whose_message_comes_after_the_worker_has_looked(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker may settle the announcement: its turn is finished, as a dead one."""
    sender, servant, looked, fails = sessions.worker(), sessions.worker(), asyncio.Event(), [True]
    settle, submit = servant.runtime.store.ready.ack, sender.runtime.store.submit

    async def fail(_: str) -> None:
        if fails:
            raise RuntimeError("no such thing")

    async def settling(worker: str, claims: Sequence[Claim]) -> None:
        await settle(worker, claims)
        if any(claim.turn_id == "bad" for claim in claims):
            looked.set()

    async def late(*args: Any, **options: Any) -> Any:
        await asyncio.wait_for(looked.wait(), 30)
        return await submit(*args, **options)

    monkeypatch.setattr(servant.runtime.store.ready, "ack", settling)
    bad = await sender.submit("s", "bad", agent="echo", turn_id="bad")
    async with working(servant, echo(fail), policy=Policy(max_attempts=1)):
        await asyncio.wait_for(looked.wait(), 30)
        looked.clear()
        fails.clear()
        monkeypatch.setattr(sender.runtime.store, "submit", late)
        (letter,) = await sender.dead_letters()
        await sender.retry_dead_letter(letter.id)
        assert await output(bad) == "re: bad"


@pytest.mark.parametrize("counted", [True, False])
async def test_events_of_a_retried_dead_letter_follow_those_of_all_attempts(
    sessions: Sessions, counted: bool
) -> None:
    """Attempts whose worker died or released the turn have published events as well."""
    session, seen, is_read = sessions.worker(), list[tuple[str, str]](), asyncio.Event()
    receipt = await session.submit("s", "hello", agent="echo", turn_id="m")

    async def fail(message: str) -> None:
        raise RuntimeError("no such thing")

    async def follow() -> None:
        async for _, event in receipt.events():
            seen.append((event["type"], event.get("state", "")))
            if event["type"] == "turn.finished":
                is_read.set()

    for retried in range(2):
        for take in range(3):
            token = f"{retried} {take}"
            grant = await session.runtime.store.next("s", token, 10_000, worker="elsewhere")
            assert isinstance(grant, Grant)
            await session.runtime.store.release("s", "m", token, counted=counted)
        assert await session.drain("s", echo(fail), QUICK) == 1
        (letter,) = await session.dead_letters()
        assert letter.attempts == 3 * (retried + 1)
        await session.retry_dead_letter(letter)
    following, answer = asyncio.create_task(follow()), asyncio.create_task(output(receipt))
    await is_read.wait()
    assert await session.drain("s", echo()) == 1
    assert await answer == "re: hello"
    await following
    again = seen.index(("turn.reset", ""))
    assert seen[again - 1] == ("turn.finished", "dead")
    assert [kind for kind, _ in seen[again + 1 :]].count("turn.begun") == 1
    assert seen[-1] == ("turn.finished", "committed")


async def test_a_deleted_dead_letter_is_gone(sessions: Sessions) -> None:
    sender = sessions.worker()
    receipt = await sender.submit("s", "hello", agent="nobody")
    no_deploy = Policy(backoff=0.01, deploy_timeout=0)
    async with working(sessions.worker(), echo(), policy=no_deploy):
        await state(receipt, "dead")
    (letter,) = await sender.dead_letters()
    assert letter.error.startswith("UnknownAgent: ")
    await sender.delete_dead_letter(letter)
    assert await sender.dead_letters() == []
    with pytest.raises(DeadLettered, match="its dead letter was deleted"):
        await receipt.result(10)


@pytest.mark.parametrize("act", ["cancel", "drop", "retry"])
async def test_a_session_can_stop_at_a_dead_message(sessions: Sessions, act: str) -> None:
    sender, asked = sessions.worker(), list[str]()

    async def fail(message: str) -> None:
        asked.append(message)
        if asked == ["bad"]:
            raise RuntimeError("no such thing")

    bad = await sender.submit("s", "bad", agent="echo", turn_id="bad")
    good = await sender.submit("s", "hello", agent="echo")
    policy = Policy(max_attempts=1, on_dead="stop")
    async with working(sessions.worker(), echo(fail), policy=policy):
        await state(bad, "stopped")
        assert (await good.status()).state == "queued"
        assert await sender.pending_approvals("s") == []
        (letter,) = [letter async for letter in sender.stopped_sessions()]
        assert (letter.id, letter.turn_id, letter.state) == ("stopped:s", "bad", "stopped")
        assert (letter.error, letter.attempts) == ("RuntimeError: no such thing", 1)
        assert letter.failed_at > 1e9
        if act == "cancel":
            await sender.cancel("s", "bad")
        else:
            await (sender.delete_dead_letter if act == "drop" else sender.retry_dead_letter)(
                letter.id
            )
        assert await output(good) == "re: hello"
        if act == "retry":
            assert await output(bad) == "re: bad"
    if act != "retry":
        with pytest.raises(TurnCancelled if act == "cancel" else DeadLettered):
            await bad.result(10)
    assert [letter async for letter in sender.stopped_sessions()] == []
    assert await sender.dead_letters() == []
    with pytest.raises(UsageError):
        await sender.delete_dead_letter("stopped:s")
