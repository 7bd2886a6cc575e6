"""An error that nobody foresaw, at each step of a turn: no lease is renewed by it for nobody.

Each fault is a bug that is planted in one process; another one must get the session all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import agents
import pytest
from agents import Agent

from tests.integration.approval_lab import Clerk, waiting
from tests.integration.background_lab import QUICK, echo, output
from tests.integration.stores import Sessions, new_sessions_of
from tests.scripted import Script, says
from turnwise import Runner, hooks
from turnwise.approvals import ParkedTurn
from turnwise.background import Policy, failed_attempts, processor
from turnwise.background.event_publisher import EventPublisher
from turnwise.cache import HistorySnapshot
from turnwise.codec import Codec
from turnwise.errors import DeadLettered, TurnwiseError
from turnwise.hooks import TurnBegunEvent
from turnwise.journal_entries import AttemptFailedEntry, encode_entry
from turnwise.session import Session
from turnwise.turns import Park, ends
from turnwise.turns.acquire import LeaseRequest
from turnwise.turns.journal import Journal
from turnwise.turns.lease import CancelListener, Lease
from turnwise.turns.reading import Reader
from turnwise.types import Done, Grant

LONG = 30.0
LEASE = 1.0

sessions = new_sessions_of(["memory", "sqlite", "valkey"])


class Unforeseen(Exception):
    """What no code here knows."""


def fails(*_: Any, **__: Any) -> Any:
    raise Unforeseen("a bug")


@contextmanager
def broken(owner: Any, name: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, fails)
        yield


@contextmanager
def broken_behind(session: Session, verb: str) -> Iterator[None]:
    """The store does what it is asked to, and its answer cannot be read."""
    call = getattr(session.runtime.store, verb)

    async def lost(*args: Any, **options: Any) -> Any:
        await call(*args, **options)
        fails()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session.runtime.store, verb, lost)
        yield


async def gets_in(session: Session) -> None:
    async with session.turn("s", timeout=LONG) as turn:
        await turn.add_items([{"role": "user", "content": "next"}])


def speaker() -> Agent[Any]:
    return Agent(name="a", model=Script(says("done")))


async def run(session: Session) -> None:
    await Runner.run(speaker(), "hi", session=session, session_id="s", turn_id="t", timeout=LONG)


async def stream(session: Session) -> None:
    result = Runner.run_streamed(speaker(), "hi", session=session, session_id="s", turn_id="t")
    async for _ in result.stream_events():
        pass


WAYS: dict[str, Callable[[Session], Awaitable[None]]] = {"run": run, "stream": stream}
every_way = pytest.mark.parametrize("way", WAYS)

BEGIN: dict[str, tuple[Any, str]] = {
    "reading the history": (Reader, "absorb"),
    "decompressing": (Codec, "raw_many"),
    "decoding": (Codec, "decode_many"),
    "the event": (TurnBegunEvent, "of"),
    "the journal": (Journal, "__init__"),
    "the lease": (Lease, "__init__"),
    "its timer": (Lease, "keep"),
    "listening": (CancelListener, "call"),
}


async def died(session: Session) -> None:
    """A worker has died in turn t."""
    store = session.runtime.store
    entry = encode_entry(session.runtime.codec, AttemptFailedEntry())
    assert isinstance(await store.append("s", "op", [b'{"role":"user","content":"x"}']), Done)
    assert isinstance(await store.begin("s", "t", "dead", 1, worker="dead"), Grant)
    assert isinstance(await store.journal("s", "t", "dead", 0, [entry]), Done)


@every_way
@pytest.mark.parametrize("step", BEGIN)
async def test_in_begin(sessions: Sessions, way: str, step: str) -> None:
    """Of a turn that is taken over: what the first worker had finished is kept."""
    ours, other = sessions.worker(lease=LEASE), sessions.worker(lease=LEASE)
    await died(ours)
    with broken(*BEGIN[step]), pytest.raises(Unforeseen):
        await WAYS[way](ours)
    info = await other.info("s")
    assert info is not None
    assert info.journal_entries == 1
    await gets_in(other)


@every_way
async def test_behind_the_grant(sessions: Sessions, way: str) -> None:
    ours = sessions.worker(lease=LEASE)
    with broken_behind(ours, "begin"), pytest.raises(Unforeseen):
        await WAYS[way](ours)
    await gets_in(sessions.worker(lease=LEASE))


async def test_in_the_queue(sessions: Sessions) -> None:
    """Its place goes to who comes behind."""
    ours, other = sessions.worker(lease=LEASE), sessions.worker(lease=LEASE)
    async with other.turn("s"):
        with broken(LeaseRequest, "_is_own_message"), pytest.raises(Unforeseen):
            await run(ours)
        info = await other.info("s")
        assert info is not None
        assert info.queued == 0
    await gets_in(other)


@pytest.mark.parametrize("name", ["add_items", "pop_item", "clear_session"])
@pytest.mark.parametrize("step", ["decoding", "the lease", "listening"])
async def test_in_an_operation(sessions: Sessions, name: str, step: str) -> None:
    """On a busy session it is a turn like any other."""
    ours, other = sessions.worker(lease=LEASE), sessions.worker(lease=LEASE)
    bound = ours.bind("s")
    operation: Callable[[], Awaitable[object]] = {
        "add_items": lambda: bound.add_items([{"role": "user", "content": "y"}]),
        "pop_item": bound.pop_item,
        "clear_session": bound.clear_session,
    }[name]
    await other.bind("s").add_items([{"role": "user", "content": "x"}])
    with pytest.MonkeyPatch.context() as patch:
        async with other.turn("s"):
            waits = asyncio.ensure_future(operation())
            await _queued(other)
            patch.setattr(*BEGIN[step], fails)
        with pytest.raises(Unforeseen):
            await waits
    await gets_in(other)


async def _queued(session: Session) -> None:
    while (info := await session.info("s")) is None or not info.queued:
        await asyncio.sleep(0.005)


COMMIT: dict[str, Callable[[Session], Any]] = {
    "compressing": lambda _: broken(Codec, "pack"),
    "asking": lambda ours: broken(ours.runtime.store, "commit"),
    "the answer": lambda ours: broken_behind(ours, "commit"),
    "the end of its lease": lambda _: broken(Lease, "stopped"),
}


@every_way
@pytest.mark.parametrize("step", COMMIT)
async def test_in_commit(sessions: Sessions, way: str, step: str) -> None:
    ours, other = sessions.worker(lease=LEASE), sessions.worker(lease=LEASE)
    with COMMIT[step](ours), pytest.raises(Unforeseen):
        await WAYS[way](ours)
    await gets_in(other)
    said = [item.get("content") for item in await other.bind("s").get_items()]
    assert (said[0] == "hi") == (step == "the answer")
    assert said[-1] == "next"


@every_way
async def test_in_the_cache(sessions: Sessions, way: str) -> None:
    """The turn is committed, whatever becomes of the cache."""
    ours = sessions.worker(lease=LEASE)
    with broken(HistorySnapshot, "extended"):
        await WAYS[way](ours)
    await gets_in(ours)
    assert (await ours.bind("s").get_items())[0] == {"role": "user", "content": "hi"}


@pytest.mark.parametrize("step", ["its state", "asking", "the answer"])
async def test_in_parking(sessions: Sessions, step: str) -> None:
    ours, other, clerk = sessions.worker(lease=LEASE), sessions.worker(lease=LEASE), Clerk()
    faults = {
        "its state": lambda: broken(Park, "__init__"),
        "asking": lambda: broken(ours.runtime.store, "park"),
        "the answer": lambda: broken_behind(ours, "park"),
    }
    with faults[step](), pytest.raises(Unforeseen):
        await waiting(ours.bind("s"), clerk, "pay", turn_id="t")
    if step == "the answer":
        assert len(await other.pending_approvals("s")) == 1
        await other.cancel("s")
    await gets_in(other)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("step", ["restoring", "decoding", "the lease", "listening", "running"])
async def test_in_resuming(sessions: Sessions, step: str, streamed: bool) -> None:
    """It waits again, for the next who resumes it."""
    ours, other, clerk = sessions.worker(lease=LEASE), sessions.worker(lease=LEASE), Clerk()
    await waiting(ours.bind("s"), clerk, "pay", turn_id="t")
    (asked,) = await ours.pending_approvals("s")
    name = "run_streamed" if streamed else "run"
    faults = {
        "restoring": (ParkedTurn, "restored_state"),
        "running": (agents.Runner, name),
        **BEGIN,
    }
    resume = Runner.resume_streamed if streamed else Runner.resume
    with broken(*faults[step]), pytest.raises(Unforeseen):
        await resume(clerk.agent(says("paid")), session=ours, session_id="s", approve=[asked.id])
    result = await Runner.resume(
        clerk.agent(says("paid")),
        session=other,
        session_id="s",
        approve=[asked.id],
        timeout=LONG,
    )
    assert result.final_output == "paid"
    assert clerk.ran["pay"] == 1


MESSAGES: dict[str, tuple[Any, str]] = {
    **{step: BEGIN[step] for step in ("reading the history", "decoding", "the lease", "listening")},
    "decoding its message": (processor, "decode_message"),
    "its trace": (hooks, "attach"),
    "its events": (EventPublisher, "__init__"),
    "publishing": (EventPublisher, "publish"),
    "publishing the end": (EventPublisher, "close"),
    "what its answer is": (processor, "pack_record"),
    "compressing": (Codec, "pack"),
    "committing": (ends, "_commit"),
    "the end of its lease": (Lease, "stopped"),
}


@pytest.mark.parametrize("step", MESSAGES)
async def test_in_a_message(sessions: Sessions, step: str) -> None:
    """Its next attempt is another worker's, which answers it."""
    ours, other = sessions.worker(lease=LEASE), sessions.worker(lease=LEASE)
    await ours.bind("s").add_items([{"role": "user", "content": "before"}])
    receipt = await ours.submit("s", "one", agent="echo")
    with broken(*MESSAGES[step]):
        await _visited(ours)
    if step != "publishing the end":
        await other.drain("s", [echo()], QUICK)
    assert await output(receipt) == "re: one"
    await gets_in(other)


async def _visited(session: Session) -> None:
    """One worker visits the session, and looks no further."""
    with suppress(Unforeseen):
        await session.processor([echo()], QUICK).visit("s")


@pytest.mark.parametrize("step", ["reading the history", "decoding", "compressing"])
async def test_a_message_that_meets_it_each_time_is_dead_lettered(
    sessions: Sessions, step: str
) -> None:
    ours, other = sessions.worker(lease=LEASE), sessions.worker(lease=LEASE)
    await ours.bind("s").add_items([{"role": "user", "content": "before"}])
    one = await ours.submit("s", "one", agent="echo")
    two = await ours.submit("s", "two", agent="echo")
    pack = Codec.pack

    def only_letters(codec: Codec, raw: bytes) -> bytes:
        if b"re: one" in raw:
            fails()
        return pack(codec, raw)

    with pytest.MonkeyPatch.context() as patch:
        if step == "compressing":
            patch.setattr(Codec, "pack", only_letters)
            patch.setattr(EventPublisher, "publish_nowait", lambda *_: None)
        else:
            patch.setattr(*BEGIN[step], fails)
        running = ours.processor([echo()], QUICK)
        while not (await one.status()).finished:
            await asyncio.sleep((await running.visit("s")).pause)
    await other.drain("s", [echo()], QUICK)
    assert await output(two) == "re: two"
    (letter,) = await other.dead_letters()
    assert (letter.attempts, letter.input) == (3, "one")
    assert letter.error.startswith("Unforeseen")


async def test_while_it_is_dead_lettered(sessions: Sessions) -> None:
    """A letter that cannot be written leaves the message to who can write it."""
    ours, other = sessions.worker(lease=LEASE), sessions.worker(lease=LEASE)

    async def fail(_: str) -> None:
        raise RuntimeError("no such thing")

    receipt = await ours.submit("s", "one", agent="echo")
    last = Policy(max_attempts=1, backoff=0.01)
    with broken(failed_attempts, "encode_dead_letter"), pytest.raises(Unforeseen):
        await ours.processor([echo(fail)], last).visit("s")
    await other.drain("s", [echo(fail)], last)
    with pytest.raises(DeadLettered):
        await receipt.result(LONG)
    await gets_in(other)


async def test_a_turn_that_is_asked_to_stop(sessions: Sessions) -> None:
    """Its end cannot be written; it is cancelled by force."""
    ours, other = sessions.worker(lease=LEASE), sessions.worker(lease=LEASE)
    with broken(ends, "_commit_cancelled"), pytest.raises(TurnwiseError):
        async with ours.turn("s", turn_id="t"):
            assert (await other.cancel("s", "t")).outcome == "forced"
            await asyncio.sleep(LONG)
    await gets_in(other)
