"""What this version cannot decode: told by name, kept for who can, and in nobody's way."""

from __future__ import annotations

from typing import Any

import pytest
from agents import Agent

from tests.integration.approval_lab import Clerk, waiting
from tests.integration.background_lab import QUICK, echo, output, working
from tests.integration.stores import Sessions, new_sessions_of
from tests.scripted import Script, says
from turnwise import Runner
from turnwise.background import Policy
from turnwise.errors import (
    ApprovalPending,
    DeadLettered,
    TurnAbandoned,
    TurnwiseError,
    UndecodableItem,
    UndecodableJournal,
)
from turnwise.journal_entries import ToolStartedEntry, encode_entry
from turnwise.session import Session
from turnwise.testing.servers.waiting import until
from turnwise.types import Done, Grant, Info

NEWER = b"\x13 as a newer version writes it"
DAMAGED = b"\x7fno item"
LONG, LEASE = 30.0, 1.0
UNDECODABLE = pytest.mark.parametrize(
    "entry",
    [
        NEWER,
        DAMAGED,
        b"\x12cut off",
        b'{"entry":"tool_ended"',
        b'{"entry":"fork","run":[]}',
        b'{"entry":"tool_started"}',
    ],
    ids=["newer", "no entry", "cut off", "half", "another kind", "another shape"],
)

sessions = new_sessions_of(["memory", "sqlite", "valkey"])


def speaker() -> Agent[Any]:
    return Agent(name="a", model=Script(says("done")))


async def begun(session: Session, turn_id: str, *entries: bytes, resume: bool = False) -> Info:
    """A worker has died in this turn, with these entries at the end of its journal."""
    store = session.runtime.store
    grant = await store.begin("s", turn_id, "dead", 500, worker="dead", resume=resume)
    assert isinstance(grant, Grant)
    return await _journaled(session, grant, "dead", *entries)


async def _journaled(session: Session, grant: Grant, token: str, *entries: bytes) -> Info:
    store, names = session.runtime.store, ("s", grant.turn_id, token)
    length = len(grant.journal)
    assert isinstance(await store.journal(*names, length, entries), Done)
    return await not_held(session)


async def not_held(session: Session) -> Info:
    """Wait until no lease is live."""
    found: list[Info] = []

    async def free() -> bool:
        info = await session.info("s")
        assert info is not None
        found[:] = [info]
        return info.open_turn is None or (info.open_turn.lease_remaining or 0) <= 0

    await until(free, LONG, "no lease is live")
    return found[0]


async def gets_in(session: Session) -> None:
    async with session.turn("s", timeout=LONG) as turn:
        await turn.add_items([{"role": "user", "content": "next"}])


@UNDECODABLE
async def test_a_direct_turn_that_is_taken_over(sessions: Sessions, entry: bytes) -> None:
    """It stays for the version that wrote it; those behind it do not wait for ever."""
    ours, other = sessions.worker(lease=LEASE), sessions.worker(lease=0.3)
    await begun(ours, "t", entry)
    run = Runner.run(speaker(), "hi", session=ours, session_id="s", turn_id="t")
    with pytest.raises(UndecodableJournal, match=r"'t'.*session\.cancel") as caught:
        await run
    assert (caught.value.session_id, caught.value.turn_id) == ("s", "t")
    assert isinstance(caught.value, TurnwiseError)
    assert (await not_held(other)).journal_entries == 1
    await gets_in(other)
    with pytest.raises(TurnAbandoned):
        await Runner.run(speaker(), "hi", session=ours, session_id="s", turn_id="t")


@pytest.mark.parametrize("streamed", [False, True])
async def test_it_can_be_cancelled(sessions: Sessions, streamed: bool) -> None:
    ours = sessions.worker(lease=LEASE)
    await begun(ours, "t", NEWER)
    with pytest.raises(UndecodableJournal):
        if streamed:
            result = Runner.run_streamed(speaker(), "hi", session=ours, session_id="s", turn_id="t")
            async for _ in result.stream_events():
                pass
        else:
            async with ours.turn("s", turn_id="t"):
                pass
    assert (await ours.cancel("s", "t")).outcome == "dropped"
    await gets_in(sessions.worker())


@UNDECODABLE
async def test_a_message_is_dead_lettered_after_its_attempts(
    sessions: Sessions, entry: bytes
) -> None:
    """Three that failed and one whose worker died; the next one of its session runs."""
    sender = sessions.worker(lease=LEASE)
    first = await sender.submit("s", "one", agent="echo", turn_id="t1")
    second = await sender.submit("s", "two", agent="echo", turn_id="t2")
    grant = await sender.runtime.store.next("s", "dead", 60, worker="dead")
    assert isinstance(grant, Grant)
    await _journaled(sender, grant, "dead", entry)
    async with working(sessions.worker(lease=LEASE), echo()):
        with pytest.raises(DeadLettered, match=r"4 attempts.*UndecodableJournal"):
            await first.result(LONG)
        assert await output(second) == "re: two"
    (letter,) = await sender.dead_letters()
    assert (letter.turn_id, letter.attempts, letter.input) == ("t1", 4, "one")


async def test_a_session_is_stopped_at_it(sessions: Sessions) -> None:
    """The letter can be listed and retried, though what is before it cannot be decoded."""
    sender = sessions.worker(lease=LEASE)
    receipt = await sender.submit("s", "one", agent="echo", turn_id="t1")
    grant = await sender.runtime.store.next("s", "dead", 60, worker="dead")
    assert isinstance(grant, Grant)
    await _journaled(sender, grant, "dead", NEWER)
    await sender.drain("s", [echo()], Policy(backoff=0.01, on_dead="stop"))
    assert (await receipt.status()).state == "stopped"
    (letter,) = [letter async for letter in sender.stopped_sessions()]
    assert letter.error.startswith("UndecodableJournal")
    await sender.retry_dead_letter(letter)
    await sender.drain("s", [echo()], QUICK)
    assert await output(receipt) == "re: one"


async def parked(session: Session, clerk: Clerk) -> str:
    bound = session.bind("s")
    await waiting(bound, clerk, "pay", turn_id="t")
    (asked,) = await bound.pending_approvals()
    return asked.id


async def test_a_parked_turn_waits_on(sessions: Sessions) -> None:
    ours, other, clerk = sessions.worker(lease=LEASE), sessions.worker(lease=0.3), Clerk()
    asked = await parked(ours, clerk)
    await begun(ours, "t", NEWER, resume=True)
    for _ in range(2):
        with pytest.raises(UndecodableJournal, match="'t'"):
            await ours.pending_approvals("s")
        with pytest.raises(UndecodableJournal, match="'t'"):
            await Runner.resume(speaker(), session=ours, session_id="s", approve=[asked])
        assert (await ours.status("s", "t")).state == "parked"
        with pytest.raises(ApprovalPending):
            await gets_in(other)
    message = await other.submit("s", "behind", agent="echo")
    await other.drain("s", [echo()], QUICK)
    assert [letter async for letter in other.stopped_sessions()] == []
    assert (await ours.cancel("s", "t")).outcome == "dropped"
    await other.drain("s", [echo()], QUICK)
    assert await output(message) == "re: behind"
    assert clerk.ran["pay"] == 0


async def test_a_damaged_history_parks_a_parked_turn_again(sessions: Sessions) -> None:
    ours = sessions.worker(lease=LEASE)
    store = ours.runtime.store
    state = ours.runtime.codec.encode({"entry": "parked", "expires_at": 0})
    assert isinstance(await store.append("s", "op", [DAMAGED]), Done)
    assert isinstance(await store.begin("s", "t", "dead", 9999, worker="dead"), Grant)
    assert isinstance(await store.park("s", "t", "dead", state), Done)
    for resume in (Runner.resume, Runner.resume_streamed):
        with pytest.raises(UndecodableItem):
            await resume(speaker(), session=ours, session_id="s", approve=["x"])
        assert (await ours.status("s", "t")).state == "parked"
    # Its time is over, and whoever comes cannot end it either: the entry is not whole.
    with pytest.raises(ApprovalPending):
        await gets_in(sessions.worker(lease=LEASE))
    assert (await ours.status("s", "t")).state == "parked"


async def test_a_damaged_history_leaves_a_journal_to_who_comes_after_its_repair(
    sessions: Sessions,
) -> None:
    ours = sessions.worker(lease=LEASE)
    assert isinstance(await ours.runtime.store.append("s", "op", [DAMAGED]), Done)
    entry = encode_entry(ours.runtime.codec, ToolStartedEntry(run=(), call="0.x", tool="x"))
    await begun(ours, "t", entry)
    with pytest.raises(UndecodableItem):
        await Runner.run(speaker(), "hi", session=ours, session_id="s", turn_id="t")
    assert (await not_held(ours)).journal_entries == 1


async def test_no_heartbeat_begins(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody asks for its lease to be renewed, as nobody has the turn."""
    ours = sessions.worker(lease=LEASE)
    await begun(ours, "t", NEWER)
    renewed: list[object] = []
    renew = ours.runtime.store.renew

    async def counted(*names: Any) -> Any:
        renewed.append(names)
        return await renew(*names)

    monkeypatch.setattr(ours.runtime.store, "renew", counted)
    with pytest.raises(UndecodableJournal):
        await Runner.run(speaker(), "hi", session=ours, session_id="s", turn_id="t")
    await gets_in(sessions.worker(lease=LEASE))
    assert not renewed
