"""Hooks get one event when a turn begins and one when it ends, with the right fields."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import agents
import pytest
import pytest_asyncio
from agents import Agent, function_tool

from tests.integration.background_lab import echo
from tests.integration.fault_lab import (
    LONG,
    AnySession,
    HookRecorder,
    begun_by_another_task,
    message,
    patience,
    session_on,
    until_queued,
)
from tests.scripted import agent, calls, says
from turnwise import MemorySession, RedisSession
from turnwise.background import Policy
from turnwise.errors import (
    AlreadyCommitted,
    BusyTimeout,
    LeaseLost,
    OutcomeUnknown,
    SessionGone,
    SessionTooLarge,
    StoreUnavailable,
    TurnCancelled,
)
from turnwise.hooks import (
    StepReplayedEvent,
    TurnBegunEvent,
    TurnCommittedEvent,
    TurnEvent,
    TurnLostEvent,
    TurnQueuedEvent,
    TurnRefusedEvent,
    TurnRolledBackEvent,
)
from turnwise.testing.proxy import DropRequest, FaultProxy
from turnwise.testing.servers import ValkeyServer

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def session(
    server: ValkeyServer, tmp_path: Path, recorder: HookRecorder, kind: str
) -> AsyncIterator[AnySession]:
    options: dict[str, Any] = {
        "hooks": (recorder,),
        "compression": False,
        "max_session_bytes": 1_000,
    }
    async with session_on(kind, tmp_path, server, **options) as session:
        yield session


def begun(event: TurnEvent) -> TurnBegunEvent:
    assert isinstance(event, TurnBegunEvent)
    return event


def lost(event: TurnEvent) -> tuple[str, str, str]:
    assert isinstance(event, TurnLostEvent)
    assert event.seconds > 0
    return event.session_id, event.turn_id, event.reason


async def a_moment() -> None:
    """Until the event loop's clock shows another time: some show milliseconds."""
    loop = asyncio.get_running_loop()
    now = loop.time()
    while loop.time() == now:
        await asyncio.sleep(0)


async def test_a_committed_turn(session: AnySession, recorder: HookRecorder) -> None:
    await session.bind("user-1").add_items([message("one"), message("two")])
    assert recorder.events == []  # a change in one call is no turn that somebody works on
    async with session.turn("user-1", turn_id="turn") as turn:
        await turn.add_items([message("three")])
        await turn.add_items([message("four")])
        await a_moment()
        assert recorder.names == ["TurnBegunEvent"]
    first, last = recorder.events
    assert first == TurnBegunEvent("user-1", "turn", 1, 2, 0.0, False)
    assert isinstance(last, TurnCommittedEvent)
    size = len(b'{"role":"user","content":"three"}') + len(b'{"role":"user","content":"four"}')
    assert (last.session_id, last.turn_id, last.items, last.bytes) == ("user-1", "turn", 2, size)
    assert last.seconds > 0


async def test_a_turn_rolled_back(session: AnySession, recorder: HookRecorder) -> None:
    for error in (ZeroDivisionError, asyncio.CancelledError):
        with pytest.raises(error):
            async with session.turn("user-1", turn_id="turn") as turn:
                await turn.add_items([message("one")])
                await a_moment()
                raise error
        assert recorder.names == ["TurnBegunEvent", "TurnRolledBackEvent"]
        last = recorder.events[-1]
        assert isinstance(last, TurnRolledBackEvent)
        assert (last.session_id, last.turn_id) == ("user-1", "turn")
        assert last.reason == error.__name__
        assert last.seconds > 0
        recorder.events.clear()


async def test_a_turn_that_changed_nothing(session: AnySession, recorder: HookRecorder) -> None:
    async with session.turn("user-1"):
        pass
    assert recorder.names == ["TurnBegunEvent", "TurnRolledBackEvent"]
    assert isinstance(recorder.events[-1], TurnRolledBackEvent)
    assert recorder.events[-1].reason == ""


async def test_a_turn_that_was_refused(session: AnySession, recorder: HookRecorder) -> None:
    with pytest.raises(SessionTooLarge):
        async with session.turn("user-1") as turn:
            await turn.add_items([message("x" * 2_000)])
    assert recorder.names == ["TurnBegunEvent", "TurnRolledBackEvent"]
    assert isinstance(recorder.events[-1], TurnRolledBackEvent)
    assert recorder.events[-1].reason == "SessionTooLarge"


async def test_a_turn_that_did_not_begin(session: AnySession, recorder: HookRecorder) -> None:
    async with session.turn("user-1", turn_id="turn") as turn:
        await turn.add_items([message("one")])
    recorder.events.clear()
    with pytest.raises(AlreadyCommitted):
        await session.turn("user-1", turn_id="turn").__aenter__()
    assert recorder.events == [TurnRefusedEvent("user-1", "turn", "AlreadyCommitted", 0.0)]


async def test_a_turn_that_waited_in_vain(session: AnySession, recorder: HookRecorder) -> None:
    async with session.turn("user-1", turn_id="first"):
        with pytest.raises(BusyTimeout):
            await begun_by_another_task(session.turn("user-1", turn_id="second", timeout=0.01))
        assert recorder.names == ["TurnBegunEvent", "TurnQueuedEvent", "TurnRefusedEvent"]
        last = recorder.events[-1]
        assert isinstance(last, TurnRefusedEvent)
        assert (last.turn_id, last.reason) == ("second", "BusyTimeout")
        assert last.waited >= 0.01


async def test_a_session_that_is_gone(session: AnySession, recorder: HookRecorder) -> None:
    with pytest.raises(SessionGone):
        async with session.turn("user-1", turn_id="turn") as turn:
            await turn.add_items([message("one")])
            await a_moment()
            await session.delete("user-1")
    assert recorder.names == ["TurnBegunEvent", "TurnLostEvent"]
    assert lost(recorder.events[-1]) == ("user-1", "turn", "SessionGone")


async def test_waiting(session: AnySession, recorder: HookRecorder) -> None:
    async def wait() -> None:
        async with session.turn("user-1", turn_id="second", timeout=LONG) as turn:
            await turn.add_items([message("second")])

    async with session.turn("user-1", turn_id="first") as turn:
        await turn.add_items([message("first")])
        waiting = asyncio.create_task(wait())
        await until_queued(session, "user-1")
        assert recorder.names == ["TurnBegunEvent", "TurnQueuedEvent"]
        assert recorder.events[-1] == TurnQueuedEvent("user-1", "second", session.runtime.name)
    await waiting
    assert recorder.names[2:] in (
        ["TurnCommittedEvent", "TurnBegunEvent", "TurnCommittedEvent"],
        ["TurnBegunEvent", "TurnCommittedEvent", "TurnCommittedEvent"],
    )
    second = next(event for event in recorder.events[2:] if isinstance(event, TurnBegunEvent))
    assert (second.turn_id, second.items) == ("second", 1)
    assert second.waited > 0


async def test_a_takeover_and_who_lost_it(
    server: ValkeyServer, tmp_path: Path, recorder: HookRecorder
) -> None:
    options: dict[str, Any] = {"hooks": (recorder,), "lease": 1.0}
    async with session_on("valkey", tmp_path, server, **options) as session:
        await session.bind("user-1").add_items([message("zero")])
        with pytest.raises(LeaseLost):
            async with session.turn("user-1", turn_id="turn") as dead:
                await dead.add_items([message("never")])
                dead.turn.lease.stop()
                async with session.turn("user-1", turn_id="turn", timeout=LONG) as turn:
                    await turn.add_items([message("one")])
    names = [
        "TurnBegunEvent",
        "TurnQueuedEvent",
        "TurnBegunEvent",
        "TurnCommittedEvent",
        "TurnLostEvent",
    ]
    assert recorder.names == names
    assert [begun(event).attempt for event in (recorder.events[0], recorder.events[2])] == [1, 2]
    assert lost(recorder.events[-1]) == ("user-1", "turn", "LeaseLost")


async def test_steps_that_are_answered_from_the_journal(recorder: HookRecorder) -> None:
    @function_tool
    def look_up() -> str:
        return "found"

    def desk() -> Agent[Any]:
        return agent(calls("look_up"), says("done"), tools=[look_up])

    session = MemorySession(hooks=(recorder,), lease=0.5)
    with pytest.raises(LeaseLost):
        async with session.turn("user-1", turn_id="turn") as dead:
            await agents.Runner.run(desk(), "hi", session=dead)
            assert "StepReplayedEvent" not in recorder.names
            dead.turn.lease.stop()
            async with session.turn("user-1", turn_id="turn", timeout=LONG) as turn:
                assert begun(recorder.events[-1]).taken_over
                assert (
                    begun(recorder.events[-1]).journal_entries >= 3
                )  # a response, a call and its end
                await agents.Runner.run(desk(), "hi", session=turn)
    steps = [event for event in recorder.events if isinstance(event, StepReplayedEvent)]
    assert steps[:2] == [
        StepReplayedEvent("user-1", "turn", "response", "agent"),
        StepReplayedEvent("user-1", "turn", "tool", "agent", "look_up"),
    ]


async def test_a_cancelled_turn(recorder: HookRecorder) -> None:
    session = MemorySession(hooks=(recorder,), lease=0.5)
    with pytest.raises(TurnCancelled):
        async with session.turn("user-1", turn_id="turn"):
            await session.runtime.store.cancel("user-1", "turn")
            await asyncio.Event().wait()
    assert recorder.names == ["TurnBegunEvent", "TurnCancelledEvent"]


async def test_an_unknown_outcome(
    server: ValkeyServer, tmp_path: Path, recorder: HookRecorder
) -> None:
    async with (
        FaultProxy.before(server.url) as proxy,
        RedisSession.from_url(
            proxy.url, key_prefix=f"{tmp_path.name}:", hooks=(recorder,)
        ) as session,
    ):
        patience(session, 0.0)
        with pytest.raises(OutcomeUnknown):
            async with session.turn("user-1", turn_id="turn") as turn:
                await turn.add_items([message("one")])
                proxy.faults = lambda command: DropRequest()
    assert recorder.names == ["TurnBegunEvent", "TurnLostEvent"]
    assert lost(recorder.events[-1]) == ("user-1", "turn", "OutcomeUnknown")


async def test_a_long_history_is_reloaded(recorder: HookRecorder) -> None:
    session = MemorySession(hooks=(recorder,))
    await session.bind("user-1").add_items([message(str(number)) for number in range(300)])
    async with session.turn("user-1") as turn:
        assert len(await turn.get_items()) == 300
    async with session.turn("user-1") as turn:
        pass
    reloads = [event.reloaded for event in recorder.events if isinstance(event, TurnBegunEvent)]
    assert reloads == [True, False]


async def test_a_hook_that_fails(recorder: HookRecorder, caplog: pytest.LogCaptureFixture) -> None:
    def fails(event: TurnEvent) -> None:
        raise ZeroDivisionError(event.turn_id)

    secret = message("nobody's business")
    failing = MemorySession(hooks=(fails, recorder))
    with caplog.at_level(logging.DEBUG, "turnwise"):
        async with failing.turn("user-1", turn_id="turn") as turn:
            await turn.add_items([secret])
    assert await failing.bind("user-1").get_items() == [secret]
    assert recorder.names == [
        "TurnBegunEvent",
        "TurnCommittedEvent",
    ]  # those after it are recorder all the same
    logged = [record for record in caplog.records if record.name == "turnwise"]
    assert [record.getMessage() for record in logged] == [
        f"hook {fails!r} failed on TurnBegunEvent of turn 'turn' of session 'user-1'",
        f"hook {fails!r} failed on TurnCommittedEvent of turn 'turn' of session 'user-1'",
    ]
    assert all(record.exc_info for record in logged)
    assert secret["content"] not in caplog.text


async def test_a_dead_letter_that_cannot_be_written_now(
    session: AnySession, recorder: HookRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: str) -> None:
        raise ZeroDivisionError

    async def out_of_order(*_: object) -> None:
        raise StoreUnavailable("down")

    await session.submit("user-1", "one", agent="echo", turn_id="turn")
    with monkeypatch.context() as patched, pytest.raises(StoreUnavailable):
        patched.setattr(session.runtime.store, "dead_letter", out_of_order)
        await session.drain("user-1", echo(fail), Policy(max_attempts=1))
    assert recorder.names == ["TurnSubmittedEvent", "TurnBegunEvent", "TurnLostEvent"]
    assert lost(recorder.events[-1]) == ("user-1", "turn", "StoreUnavailable")
    assert "turnwise-events" not in {task.get_name() for task in asyncio.all_tasks()}
