"""A reader of a stream goes away: its turn goes on and is committed, or is rolled back at once."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, cast

import pytest
from agents import RunResultStreaming, UserError, function_tool
from agents.items import TResponseStreamEvent
from openai.types.responses import ResponseTextDeltaEvent

from tests.integration.stores import Sessions, sessions_of
from tests.integration.stream_lab import (
    LONG,
    READERS,
    STEPS,
    WAYS,
    Halting,
    Reader,
    cancelled,
    read,
    read_for_response,
    until_idle,
)
from tests.scripted import Script, agent, broken, calls, outline, says
from turnwise import Runner
from turnwise.errors import SessionBusy, StreamIdle, UsageError
from turnwise.hooks import TurnRolledBackEvent
from turnwise.runner.streaming import OnDisconnect
from turnwise.session import Session
from turnwise.testing.servers.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
sessions = sessions_of(["memory", "sqlite", "valkey"])


@pytest.fixture
def session(sessions: Sessions, worker: Session) -> Session:
    return worker.bind(sessions.new_id())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("reader", READERS)
async def test_a_turn_goes_on_without_its_reader(
    session: Session, reader: Reader, way: Callable[..., Awaitable[None]]
) -> None:
    """The reader's task ends while the run still goes on."""
    halting = Halting()
    result = halting.streamed(session)
    await halting.begun.wait() if reader is read else None
    await way(reader(result))
    await halting.begun.wait()
    assert not result.is_complete
    halting.go_on.set()
    assert await until_idle(session) == STEPS
    assert result.final_output == "It is done."


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("reader", READERS)
async def test_a_turn_ends_with_its_reader_on_request(
    session: Session, reader: Reader, way: Callable[..., Awaitable[None]]
) -> None:
    halting = Halting()
    result = halting.streamed(session, on_disconnect="rollback")
    if reader in (read, read_for_response):
        await halting.begun.wait()
    await way(reader(result))
    assert await until_idle(session) == []
    assert result.is_complete


@pytest.mark.parametrize("on_disconnect", ["finish", "rollback"])
async def test_a_reader_that_fails_has_gone_though_its_iterator_exists(
    session: Session, on_disconnect: OnDisconnect
) -> None:
    halting = Halting()
    result = halting.streamed(session, on_disconnect=on_disconnect, stream_idle_timeout=None)
    events = cast(Any, result.stream_events())

    async def fail() -> None:
        await anext(events)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await asyncio.create_task(fail())
    if on_disconnect == "finish":
        await halting.begun.wait()
        halting.go_on.set()
    assert await until_idle(session) == (STEPS if on_disconnect == "finish" else [])
    assert [event async for event in events] == []


@pytest.mark.parametrize("on_disconnect", ["finish", "rollback"])
async def test_a_reader_that_breaks_off_has_gone(
    session: Session, on_disconnect: OnDisconnect
) -> None:
    halting = Halting()
    halting.go_on.set()
    result = halting.streamed(session, on_disconnect=on_disconnect)
    async for _ in result.stream_events():
        break
    await until_over(result)
    assert await until_idle(session) == (STEPS if on_disconnect == "finish" else [])


async def until_over(result: RunResultStreaming) -> None:
    await asyncio.wait({cast("asyncio.Task[Any]", result.run_loop_task)})


async def test_a_turn_rolled_back_by_its_reader_continues_when_it_is_sent_again(
    session: Session,
) -> None:
    halting = Halting()
    halting.go_on.set()
    asked = asyncio.Event()

    async def answer(_: list[Any]) -> Any:
        asked.set()
        await asyncio.Event().wait()

    halting.agent.model = Script(calls("work"), answer)
    result = halting.streamed(session, turn_id="t", on_disconnect="rollback")
    reading = asyncio.create_task(read(result))
    await asked.wait()
    reading.cancel()
    await asyncio.wait({reading})
    assert not (await session.status(None, "t")).alive
    assert await session.get_items() == []
    halting.begun.clear()
    halting.agent.model = Script(says("It is done."))
    again = await Runner.run(halting.agent, "hi", session=session, turn_id="t")
    assert again.final_output == "It is done."
    assert outline(await session.get_items()) == STEPS
    assert not halting.begun.is_set()


async def test_its_turn_id_gets_the_answer_of_a_turn_without_reader(session: Session) -> None:
    halting = Halting()
    result = halting.streamed(session, turn_id="t")
    await halting.begun.wait()
    await cancelled(read(result))
    again = halting.streamed(session, turn_id="t")
    reading = asyncio.create_task(read(again))
    halting.go_on.set()
    await reading
    assert again.final_output == "It is done."
    assert await until_idle(session) == STEPS


async def test_a_reader_that_comes_back_reads_on(session: Session) -> None:
    halting = Halting()
    result = halting.streamed(session)
    await halting.begun.wait()
    await cancelled(read(result))
    reading = asyncio.create_task(read_types(result))
    halting.go_on.set()
    assert "run_item_stream_event" in await reading
    assert outline(await session.get_items()) == STEPS


async def read_types(result: RunResultStreaming) -> list[str]:
    return [event.type async for event in result.stream_events()]


async def test_cancel_stops_a_turn_without_reader(session: Session) -> None:
    halting = Halting()
    result = halting.streamed(session)
    await halting.begun.wait()
    await cancelled(read(result))
    result.cancel()
    assert await until_idle(session) == []
    assert await session.info() is None


async def test_a_turn_without_reader_leaves_the_queue_when_its_time_is_over(
    session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    halting = Halting()
    async with held(session):
        result = halting.streamed(session, timeout=0.05)
        await cancelled(read(result))
        await until_over(result)
    await until_logged(caplog, "still busy after 0.05 s")
    assert not halting.begun.is_set()


@asynccontextmanager
async def held(session: Session) -> AsyncIterator[None]:
    """Somebody else holds the session during the block."""
    holds, over = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with session.turn():
            holds.set()
            await over.wait()

    holder = asyncio.create_task(hold())
    await holds.wait()
    try:
        yield
    finally:
        over.set()
        await holder


async def until_logged(caplog: pytest.LogCaptureFixture, text: str) -> None:
    async def is_logged() -> bool:
        return any(text in record.getMessage() for record in caplog.records)

    with caplog.at_level(logging.ERROR, "turnwise"):
        await until(is_logged, LONG, f"{text} was logged")


async def test_an_error_that_nobody_reads_is_logged_and_shown_to_hooks(
    sessions: Sessions, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Any] = []
    session = sessions.worker(hooks=[seen.append]).bind(sessions.new_id())
    halting = Halting(broken)
    result = halting.streamed(session)
    await halting.begun.wait()
    await cancelled(read(result))
    halting.go_on.set()
    await until_logged(caplog, "UserError")
    assert await until_idle(session) == []
    (record,) = (record for record in caplog.records if record.name == "turnwise")
    assert session.session_id in record.getMessage()
    assert "the tool broke" not in record.getMessage()  # which may quote content
    (ended,) = (event for event in seen if isinstance(event, TurnRolledBackEvent))
    assert ended.reason == "UserError"


async def test_an_error_of_a_stream_that_nobody_ever_read_is_logged(
    session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    result = Runner.run_streamed(agent(calls("broken"), tools=[broken]), "hi", session=session)
    await until_logged(caplog, "UserError")
    with pytest.raises(UserError, match="the tool broke"):
        await read(result)
    async with held(session):
        refused = Runner.run_streamed(agent(), "hi", session=session, busy="reject")
        await until_logged(caplog, "it is busy")
        with pytest.raises(SessionBusy):
            await read(refused)


class Deltas(Script):
    """Its second response is a number of deltas, of which it keeps weak references."""

    def __init__(self, *replies: Any) -> None:
        super().__init__(*replies)
        self.deltas: list[weakref.ref[Any]] = []
        self.streamed, self.go_on = asyncio.Event(), asyncio.Event()

    async def stream_response(
        self, *args: Any, **options: Any
    ) -> AsyncIterator[TResponseStreamEvent]:
        if self.asked:
            for _ in range(100):
                delta = ResponseTextDeltaEvent(
                    type="response.output_text.delta",
                    content_index=0,
                    delta="x",
                    item_id="i",
                    logprobs=[],
                    output_index=0,
                    sequence_number=0,
                )
                self.deltas.append(weakref.ref(delta))
                yield delta
                del delta
                await asyncio.sleep(0)
            self.streamed.set()
            await self.go_on.wait()
        async for event in super().stream_response(*args, **options):
            yield event


async def test_events_are_not_kept_for_a_reader_that_has_gone(session: Session) -> None:
    halting = Halting()
    model = halting.agent.model = Deltas(calls("work"), says("It is done."))
    result = halting.streamed(session)
    await halting.begun.wait()
    await cancelled(read(result))
    halting.go_on.set()
    await model.streamed.wait()

    async def are_dropped() -> bool:
        gc.collect()
        return sum(delta() is not None for delta in model.deltas) <= 1

    await until(are_dropped, LONG, "the events were dropped")
    model.go_on.set()
    assert await until_idle(session) == STEPS


async def test_an_idle_reader_has_gone(session: Session) -> None:
    halting = Halting()
    halting.go_on.set()
    result = halting.streamed(session, stream_idle_timeout=0.05)
    events = cast(Any, result.stream_events())
    await anext(events)
    await until_over(result)
    assert await until_idle(session) == STEPS
    with pytest.raises(StreamIdle, match=r"went on without it.*stream_idle_timeout"):
        await anext(events)


async def test_the_run_keeps_its_context(session: Session) -> None:
    """What was set where the run was started is seen in it, whoever reads or has read it."""
    request = ContextVar("request", default="none")
    halting, seen = Halting(), []

    @function_tool(name_override="work")
    async def look() -> str:
        halting.begun.set()
        await halting.go_on.wait()
        seen.append(request.get())
        return "done"

    halting.agent.tools = [look]
    token = request.set("mine")
    result = halting.streamed(session)
    request.reset(token)
    await halting.begun.wait()
    await cancelled(read(result))
    halting.go_on.set()
    assert await until_idle(session) == STEPS
    assert seen == ["mine"]


async def test_a_session_that_is_closed_lets_its_turns_end(sessions: Sessions) -> None:
    closing, halting, session_id = sessions.worker(), Halting(), sessions.new_id()
    result = halting.streamed(closing.bind(session_id))
    await halting.begun.wait()
    await cancelled(read(result))
    asyncio.get_running_loop().call_soon(halting.go_on.set)
    await closing.aclose()
    assert outline(await sessions.worker().bind(session_id).get_items()) == STEPS


@pytest.mark.parametrize("turn_id", [None, "t"])
async def test_a_session_that_is_closed_frees_those_that_take_too_long(
    sessions: Sessions, turn_id: str | None
) -> None:
    closing, halting, session_id = sessions.worker(), Halting(), sessions.new_id()
    session = sessions.worker().bind(session_id)
    result = halting.streamed(closing.bind(session_id), turn_id=turn_id)
    await halting.begun.wait()
    waiting = halting.streamed(closing.bind(session_id), turn_id="waits")
    await cancelled(read(result))
    await cancelled(read(waiting))
    await closing.aclose(grace=0)
    assert not (await session.status(None, turn_id or "none")).alive
    assert await session.get_items() == []
    halting.agent.model = Script(says("again"))
    if turn_id is not None:  # the tool had begun, so it continues
        again = await Runner.run(halting.agent, "hi", session=session, turn_id=turn_id)
        assert len(again.raw_responses) == 2
    info = await session.info()
    assert info is None or (info.open_turn, info.queued) == (None, 0)


async def test_what_is_no_policy_is_refused(session: Session) -> None:
    with pytest.raises(UsageError, match="on_disconnect='commit' is not one of 'finish', 'rollb"):
        Runner.run_streamed(agent(), "hi", session=session, on_disconnect=cast(Any, "commit"))
