"""Sessions that belong to somebody: whoever else asks, there are none."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.approval_lab import Clerk, waiting
from tests.integration.background_lab import echo
from tests.integration.fault_lab import message
from tests.integration.stores import Sessions, new_sessions_of
from tests.integration.test_cli import lines
from tests.scripted import agent, outline, says
from turnwise import Runner, SessionGone, SessionTaken, UsageError, connect
from turnwise.errors import NoPendingApproval, SessionExists
from turnwise.session import Session
from turnwise.types import Cancellation
from turnwise.worker import Worker

sessions = new_sessions_of(["memory", "sqlite", "valkey"])

Ask = Callable[[Session], Awaitable[Any]]


async def listed(found: Any) -> list[Any]:
    return [each async for each in found]


async def in_a_block(session: Session) -> None:
    async with session.turn("s"):
        raise AssertionError("it began")


def run(session: Session, **options: Any) -> Any:
    return Runner.run(agent(says("no")), "hi", session=session, session_id="s", **options)


NOTHING: dict[str, tuple[Ask, Any]] = {
    "get_items": (lambda s: s.bind("s").get_items(), []),
    "pop_item": (lambda s: s.bind("s").pop_item(), None),
    "clear_session": (lambda s: s.bind("s").clear_session(), None),
    "info": (lambda s: s.info("s"), None),
    "history": (lambda s: s.history("s"), None),
    "queue": (lambda s: s.queue("s"), []),
    "timeline": (lambda s: s.timeline("s", "t"), None),
    "pending_approvals": (lambda s: s.pending_approvals("s"), []),
    "drain": (lambda s: s.drain("s", echo()), 0),
    "delete": (lambda s: s.delete("s"), False),
    "expire": (lambda s: s.expire("s", 1), False),
    "release": (lambda s: s.release("s"), "absent"),
    "sessions": (lambda s: s.sessions(), []),
    "scan": (lambda s: listed(s.scan()), []),
    "stats": (lambda s: s.stats(), 0),
    "biggest": (lambda s: s.biggest(), []),
    "waiting_approvals": (lambda s: listed(s.waiting_approvals()), []),
    "stopped_sessions": (lambda s: listed(s.stopped_sessions()), []),
    "export": (lambda s: listed(s.export(["s"])), "there is no such session"),
    "status": (lambda s: s.status("s", "t"), "unknown"),
    "cancel": (lambda s: s.cancel("s"), Cancellation("absent")),
}
"""What a method answers where there is no session."""
REFUSED: dict[str, tuple[Ask, type[Exception]]] = {
    "add_items": (lambda s: s.bind("s").add_items([message("no")]), SessionTaken),
    "turn": (in_a_block, SessionTaken),
    "submit": (lambda s: s.submit("s", "hi", agent="echo"), SessionTaken),
    "copy": (lambda s: s.copy("s", "copied"), UsageError),
    "rewind": (lambda s: s.rewind("s", to="t"), UsageError),
    "decide": (lambda s: s.decide("s", approve=["a"]), NoPendingApproval),
    "receipt": (lambda s: s.receipt("s", "t").result(5), SessionGone),
}
"""What a method raises: mostly as if there were no session."""
OPERATORS: dict[str, Ask] = {
    "stuck": lambda s: listed(s.stuck()),
    "workers": lambda s: s.workers(),
    "pauses": lambda s: s.pauses(),
    "dead_letters": lambda s: s.dead_letters(),
    "retry_dead_letter": lambda s: s.retry_dead_letter("d"),
    "delete_dead_letter": lambda s: s.delete_dead_letter("d"),
    "pause_queue": lambda s: s.pause_queue(),
    "resume_queue": lambda s: s.resume_queue(),
    "quiet_worker": lambda s: s.quiet_worker("w"),
    "resume_worker": lambda s: s.resume_worker("w"),
    "stop_worker": lambda s: s.stop_worker("w"),
    "audit": lambda s: s.audit(),
}
"""What concerns other owners' sessions."""
ELSEWHERE = {
    *("import_sessions", "import_from", "tail"),  # below
    *("bind", "for_owner", "limit", "runtime", "resolve_id", "check_for_turns", "aclose", "ping"),
    "processor",  # `drain` is it
    *("session_id", "session_settings"),
}


def test_every_method_of_a_session_is_asked() -> None:
    public = {name for name, _ in inspect.getmembers(Session) if not name.startswith("_")}
    assert public == {*NOTHING, *REFUSED, *OPERATORS, *ELSEWHERE} - {
        "session_id",
        "session_settings",
    }


async def parked(session: Session) -> Session:
    """A session of alice's, with a history, a parked turn and a message."""
    alice = session.for_owner("alice").bind("s")
    await Runner.run(agent(says("one")), "hi", session=alice, turn_id="first")
    await waiting(alice, Clerk(), "pay", turn_id="t")
    await alice.submit(None, "next", agent="echo", turn_id="m")
    return alice


async def told(session: Session) -> Any:
    turns = await session.history("s")
    return turns, await session.pending_approvals("s"), outline(await session.bind("s").get_items())


@pytest.mark.parametrize("method", NOTHING)
async def test_another_owner_finds_nothing(sessions: Sessions, method: str) -> None:
    alice = await parked(session := sessions.worker())
    before, (ask, nothing) = await told(session), NOTHING[method]
    answer = await ask(session.for_owner("bob"))
    if method == "sessions":
        answer = answer.sessions
    if method in ("stats", "status"):
        answer = getattr(answer, "sessions" if method == "stats" else "state")
    if method == "export":
        answer = answer[-1]["error"]
    assert answer == nothing
    assert await told(session) == await told(alice) == before


@pytest.mark.parametrize("method", REFUSED)
async def test_another_owner_is_refused(sessions: Sessions, method: str) -> None:
    alice = await parked(session := sessions.worker())
    before, (ask, error) = await told(session), REFUSED[method]
    with pytest.raises(error):
        await ask(session.for_owner("bob"))
    assert await told(session) == await told(alice) == before
    assert await session.info("copied") is None


@pytest.mark.parametrize("busy", ["wait", "enqueue", "reject", "interrupt", "rollback"])
async def test_no_busy_policy_reaches_another_owner_s_turn(sessions: Sessions, busy: Any) -> None:
    alice = await parked(session := sessions.worker())
    before, bob = await told(session), session.for_owner("bob")
    with pytest.raises(SessionTaken):
        await bob.submit("s", "hi", agent="echo", busy=busy)
    with pytest.raises(SessionTaken):
        await run(bob, busy=busy)
    with pytest.raises(SessionTaken):
        await run(bob, busy=busy, turn_id="t")
    with pytest.raises(SessionTaken):
        await run(bob, busy=busy, turn_id="first")
    assert await told(session) == await told(alice) == before


async def test_another_owner_resumes_nothing(sessions: Sessions) -> None:
    alice = await parked(session := sessions.worker())
    (pending,) = await alice.pending_approvals()
    bob = session.for_owner("bob")
    with pytest.raises(NoPendingApproval):
        await Runner.resume(
            Clerk().agent(says("no")), session=bob, session_id="s", approve=[pending.id]
        )
    assert await alice.pending_approvals() == [pending]


@pytest.mark.parametrize("method", OPERATORS)
async def test_what_concerns_all_sessions_is_not_for_one_owner(
    sessions: Sessions, method: str
) -> None:
    with pytest.raises(UsageError, match=f"{method}\\(\\) concerns the sessions of all owners"):
        await OPERATORS[method](sessions.worker().for_owner("alice"))


async def test_a_worker_works_for_all_owners(sessions: Sessions) -> None:
    with pytest.raises(UsageError, match="a worker concerns the sessions of all owners"):
        Worker(sessions.worker().for_owner("alice"), echo())


async def test_a_view_is_of_one_owner_for_good(sessions: Sessions) -> None:
    session = sessions.worker()
    assert session.for_owner(None).runtime is session.runtime
    alice = session.for_owner("alice").bind("s")
    assert (alice.session_id, alice.runtime.owner) == ("s", "alice")
    assert alice.for_owner(None).runtime is alice.for_owner("alice").runtime is alice.runtime
    with pytest.raises(UsageError, match="cannot be another's"):
        alice.for_owner("bob")
    nobody: Any
    for nobody in ("", "x" * 257, 7):
        with pytest.raises(UsageError, match="is no owner"):
            session.for_owner(nobody)
    await session.aclose()
    with pytest.raises(UsageError, match="closed"):
        await alice.get_items()


# Copies, exports, imports.


async def test_copies_are_the_owner_s_whoever_makes_them(sessions: Sessions) -> None:
    operator = sessions.worker()
    alice = operator.for_owner("alice")
    await run(alice, turn_id="t")
    await operator.copy("s", "by-operator")
    await alice.copy("s", "by-alice", at="t")
    for name in ("by-operator", "by-alice"):
        assert (found := await operator.info(name)) is not None
        assert found.owner == "alice"
        assert outline(await alice.bind(name).get_items()) == ["hi", "no"]
    await operator.for_owner("bob").bind("bobs").add_items([message("mine")])
    await operator.bind("free").add_items([message("free")])
    for taken in ("bobs", "free"):
        for who in (operator, alice):
            with pytest.raises((SessionTaken, SessionExists)):
                await who.copy("s", taken)


async def test_an_export_and_an_import_keep_the_owner(sessions: Sessions) -> None:
    operator = sessions.worker()
    alice, bob = (operator.for_owner(name) for name in ("alice", "bob"))
    await run(alice, turn_id="t")
    exported = [line async for line in operator.export(["s"])]
    assert exported == [line async for line in alice.export(["s"])]
    assert exported[0]["owner"] == "alice"
    lines = json.loads(json.dumps(exported))
    await operator.delete("s")
    (refused,) = [each async for each in bob.import_sessions(lines)]
    assert refused.outcome == "refused"
    (imported,) = [each async for each in operator.import_sessions(lines)]
    assert imported.outcome == "imported"
    assert outline(await alice.bind("s").get_items()) == ["hi", "no"]
    assert await bob.info("s") is None
    await operator.delete("s")
    del lines[0]["owner"]
    assert [each.outcome async for each in alice.import_sessions(lines)] == ["imported"]
    (found,) = (await alice.sessions()).sessions
    assert found.owner == "alice"


async def test_a_session_without_an_owner_is_no_owner_s(sessions: Sessions) -> None:
    session = sessions.worker()
    await run(session)
    alice = session.for_owner("alice")
    assert await alice.info("s") is None
    with pytest.raises(SessionTaken):
        await run(alice)


async def test_listings_are_filtered_by_owner(sessions: Sessions) -> None:
    session = sessions.worker()
    for owner in ("alice", "bob", None):
        await session.for_owner(owner).bind(f"of {owner}").add_items([message("hi")])
    found = (await session.sessions(owner="alice")).sessions
    assert [(each.session_id, each.owner) for each in found] == [("of alice", "alice")]
    assert (await session.stats(owner="bob")).sessions == 1
    assert [each.owner for each in await session.biggest(owner="bob")] == ["bob"]
    with pytest.raises(UsageError, match="cannot be another's"):
        await session.for_owner("alice").sessions(owner="bob")


async def test_what_an_owner_does_leaves_no_record_in_the_audit(sessions: Sessions) -> None:
    session = sessions.worker()
    alice = session.for_owner("alice")
    await run(alice)
    await alice.expire("s", 100)
    await alice.cancel("s", "none")
    await alice.delete("s")
    assert await session.audit() == []
    await session.delete("s")
    assert [each.action for each in await session.audit()] == ["delete"]


async def test_a_foreign_reader_takes_nothing_from_the_cache(sessions: Sessions) -> None:
    session = sessions.worker()
    alice = session.for_owner("alice").bind("s")
    await run(alice)
    await alice.get_items()
    cached = session.runtime.reader.cache.get("s")
    assert cached is not None
    assert await session.for_owner("bob").bind("s").get_items() == []
    assert session.runtime.reader.cache.get("s") is cached


async def test_a_tail_waits_for_a_session_of_its_owner(sessions: Sessions) -> None:
    session = sessions.worker()
    alice, bob = (session.for_owner(name) for name in ("alice", "bob"))
    await run(alice, turn_id="t")
    turns = bob.tail("s", interval=0.01)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(turns), 0.1)
    await session.delete("s")
    await run(bob, turn_id="u")
    async for turn in bob.tail("s", interval=0.01):
        assert turn.turn_id == "u"
        break


async def test_the_command_line_tells_owners(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    async with connect(url) as session:
        for owner in ("alice", "bob", None):
            await run_one(session.for_owner(owner), f"of-{owner}")
    every = await lines(url, "sessions", "list", "--output", "jsonl")
    owners = {found["session_id"]: found["owner"] for found in map(json.loads, every)}
    assert owners == {"of-alice": "alice", "of-bob": "bob", "of-None": None}
    listed = await lines(url, "sessions", "list", "--owner", "alice", "--output", "jsonl")
    assert [json.loads(line)["session_id"] for line in listed] == ["of-alice"]
    assert (await lines(url, "sessions", "show", "of-alice"))[0] == "owner: alice"
    assert not any("owner" in line for line in await lines(url, "sessions", "show", "of-None"))
    assert any("bob" in line for line in await lines(url, "sessions", "info", "of-bob"))
    (stats,) = await lines(url, "sessions", "stats", "--owner", "bob", "--output", "jsonl")
    assert json.loads(stats)["sessions"] == 1
    await lines(url, "sessions", "delete", "--owner", "alice", "--yes")
    left = await lines(url, "sessions", "list", "--output", "jsonl")
    assert sorted(json.loads(line)["session_id"] for line in left) == ["of-None", "of-bob"]


async def run_one(session: Session, session_id: str) -> None:
    await Runner.run(agent(says("yes")), "hi", session=session, session_id=session_id)
