"""Code inside a turn that would wait for that turn gets an error at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import agents
import pytest
from agents import RunHooks, function_tool

from tests.integration.background_lab import QUICK, echo, output
from tests.integration.stores import Sessions, new_sessions_of
from tests.scripted import agent, calls, outline, says
from turnwise import MemorySession, Runner
from turnwise.errors import AlreadyCommitted, SessionBusy, UsageError
from turnwise.session import Session
from turnwise.turns import BusyPolicy

sessions = new_sessions_of(["memory", "sqlite", "valkey"])

Act = Callable[[Session], Awaitable[Any]]
ITEM: Any = {"role": "user", "content": "from inside"}


async def nested_run(session: Session) -> None:
    await Runner.run(agent(says("x")), "x", session=session, timeout=None)


async def nested_stream(session: Session) -> None:
    result = Runner.run_streamed(agent(says("x")), "x", session=session, timeout=None)
    async for _ in result.stream_events():
        pass


async def nested_turn(session: Session) -> None:
    async with session.turn(timeout=None):
        raise AssertionError("a turn began inside another one")


async def enqueued_run(session: Session) -> None:
    await Runner.run(agent(says("x")), "x", session=session, busy="enqueue")


async def interrupting_run(session: Session) -> None:
    await Runner.run(agent(says("x")), "x", session=session, busy="interrupt", timeout=None)


async def awaited_message(session: Session) -> None:
    receipt = await session.submit(None, "x", agent="echo")
    await receipt.result()


async def followed_message(session: Session) -> None:
    receipt = await session.submit(None, "x", agent="echo")
    async for _ in receipt.events():
        pass


async def drained(session: Session) -> None:
    await session.drain(None, echo())


async def in_a_task(session: Session) -> None:
    await asyncio.gather(nested_run(session))


async def plain_sdk_run(session: Session) -> None:
    await agents.Runner.run(agent(says("x")), "x", session=session)


async def resumed(session: Session) -> None:
    await Runner.resume(agent(says("x")), session=session, approve=["x"], timeout=None)


WAITS: list[Act] = [
    nested_run,
    nested_stream,
    nested_turn,
    enqueued_run,
    interrupting_run,
    awaited_message,
    followed_message,
    drained,
    plain_sdk_run,
    resumed,
    lambda session: session.add_items([ITEM]),
    lambda session: session.pop_item(),
    lambda session: session.clear_session(),
]


class Inside:
    """What is tried inside a turn, and the errors that it meets there."""

    def __init__(self, session: Session, acts: list[Act]) -> None:
        self.session = session
        self.acts = acts
        self.errors: list[Exception | None] = []

    async def __call__(self) -> str:
        for act in self.acts:
            try:
                await act(self.session)
                self.errors.append(None)
            except Exception as error:
                self.errors.append(error)
        return "acted"

    def check(self) -> None:
        assert [type(error) for error in self.errors] == [UsageError] * len(self.acts), self.errors
        assert all("wait for itself" in str(error) for error in self.errors)


@pytest.mark.parametrize("way", ["run", "stream", "block", "message", "hook", "other object"])
async def test_a_tool_or_hook_does_not_wait_for_its_own_turn(sessions: Sessions, way: str) -> None:
    session = sessions.worker(session_id="s")
    await session.add_items([{"role": "user", "content": "before"}])
    there = sessions.worker(session_id="s") if way == "other object" else session
    inside = Inside(there, [*WAITS, in_a_task])

    class Hooks(RunHooks[Any]):
        async def on_tool_start(self, *_: Any) -> None:
            await inside()

    async def act() -> str:
        return "nothing" if way == "hook" else await inside()

    helper = agent(calls("act"), says("done"), tools=[function_tool(act)])
    if way == "stream":
        async for _ in Runner.run_streamed(helper, "go", session=session).stream_events():
            pass
    elif way == "block":
        async with session.turn() as turn:
            await agents.Runner.run(helper, "go", session=turn)
    elif way == "message":
        await session.submit(None, "go", agent="agent")
        await session.processor({"agent": helper, "echo": echo()}, QUICK).visit("s")
    else:
        hooks = Hooks() if way == "hook" else None
        await Runner.run(helper, "go", session=session, hooks=hooks, turn_id="t")
    inside.check()
    assert outline(await session.get_items())[:5] == [
        "before",
        "go",
        "call call_1",
        f"output call_1: {'nothing' if way == 'hook' else 'acted'}",
        "done",
    ]


async def test_the_code_of_a_block_does_not_wait_for_it(sessions: Sessions) -> None:
    session = sessions.worker(session_id="s")
    await session.add_items([{"role": "user", "content": "before"}])
    inside = Inside(session, WAITS)
    async with session.turn() as turn:
        await turn.add_items([ITEM])
        await inside()
    inside.check()
    assert outline(await session.get_items()) == ["before", "from inside"]


@pytest.mark.parametrize("timeout", [0, 0.01, 5, 60, None])
@pytest.mark.parametrize("busy", ["wait", "enqueue", "interrupt", "rollback"])
async def test_neither_policy_nor_timeout_let_a_block_wait_for_itself(
    sessions: Sessions, busy: BusyPolicy, timeout: float | None
) -> None:
    session = sessions.worker(session_id="s")

    async def run(session: Session) -> None:
        await Runner.run(agent(says("x")), "x", session=session, busy=busy, timeout=timeout)

    async def stream(session: Session) -> None:
        how: Any = {"busy": busy, "timeout": timeout}
        async for _ in Runner.run_streamed(
            agent(says("x")), "x", session=session, **how
        ).stream_events():
            pass

    async def turn(session: Session) -> None:
        async with session.turn(busy=busy, timeout=timeout):
            raise AssertionError("a turn began inside another one")

    inside = Inside(session, [run, stream, turn])
    async with session.turn(turn_id="t") as own:
        await own.add_items([ITEM])
        await inside()
        info = await session.info()
        assert info is not None
        assert info.queued == 0
    inside.check()
    with pytest.raises(AlreadyCommitted) as committed:  # it was not cancelled
        await session.turn(turn_id="t").__aenter__()
    assert outline(committed.value.items) == ["from inside"]


@pytest.mark.parametrize("timeout", [0, 0.01, 5, None])
async def test_no_timeout_lets_code_wait_for_a_message_behind_itself(
    sessions: Sessions, timeout: float | None
) -> None:
    session = sessions.worker(session_id="s")

    async def result(session: Session) -> None:
        receipt = await session.submit(None, "x", agent="echo")
        await receipt.result(timeout)

    in_block, in_tool = Inside(session, [result]), Inside(session, [result])
    async with session.turn():
        await in_block()
    in_block.check()
    assert await session.drain(None, echo(), QUICK) == 1
    helper = agent(
        calls("act"), says("done"), tools=[function_tool(in_tool.__call__, name_override="act")]
    )
    await Runner.run(helper, "go", session=session)
    in_tool.check()


async def test_a_full_queue_does_not_hide_that_a_block_would_wait_for_itself(
    sessions: Sessions,
) -> None:
    session = sessions.worker(session_id="s", max_queue=1)
    inside = Inside(session, [nested_turn])
    async with session.turn():
        await session.submit(None, "x", agent="echo")
        await inside()
    inside.check()


async def test_a_tool_in_a_thread_does_not_wait_for_its_own_turn(sessions: Sessions) -> None:
    session, errors = sessions.worker(session_id="s"), list[BaseException]()

    @function_tool
    def act() -> str:
        async def wait() -> None:
            there = sessions.worker(session_id="s")
            async with there, there.turn(timeout=None):
                raise AssertionError("a turn began inside another one")

        try:
            asyncio.run(wait())
        except UsageError as error:
            errors.append(error)
        return "acted"

    await Runner.run(agent(calls("act"), says("done"), tools=[act]), "go", session=session)
    assert ["wait for itself" in str(error) for error in errors] == [True]


async def test_what_does_not_wait_works_inside_a_turn(sessions: Sessions) -> None:
    session = sessions.worker(session_id="s")
    await session.add_items([{"role": "user", "content": "before"}])
    seen = list[Any]()

    @function_tool
    async def act() -> str:
        seen.append(outline(await session.get_items()))
        seen.append((await session.submit(None, "later", agent="echo")).turn_id)
        with pytest.raises(SessionBusy):
            await Runner.run(agent(says("x")), "x", session=session, busy="reject")
        other = session.bind("other")
        seen.append((await Runner.run(agent(says("hi")), "x", session=other)).final_output)
        return "acted"

    await Runner.run(agent(calls("act"), says("done"), tools=[act]), "go", session=session)
    assert await session.drain(None, echo(), QUICK) == 1
    assert (seen[0], seen[2]) == (["before"], "hi")
    assert await output(session.receipt(None, seen[1])) == "re: later"


async def test_a_session_of_the_same_name_in_another_store_is_not_its_own(
    sessions: Sessions,
) -> None:
    session, other = sessions.worker(session_id="s"), MemorySession(session_id="s")
    async with session.turn(turn_id="t"):
        async with other.turn(turn_id="t") as turn:
            await turn.add_items([ITEM])
        task = asyncio.create_task(hold(other, entered := asyncio.Event(), go := asyncio.Event()))
        await entered.wait()
        waiting = asyncio.create_task(other.add_items([ITEM]))
        go.set()
        await asyncio.gather(task, waiting)
    assert outline(await other.get_items()) == ["from inside"] * 2


async def hold(session: Session, entered: asyncio.Event, go: asyncio.Event) -> None:
    async with session.turn():
        entered.set()
        await go.wait()


async def test_other_tasks_of_a_block_wait_in_the_queue(sessions: Sessions) -> None:
    session = sessions.worker(session_id="s")
    async with session.turn() as turn:
        task = asyncio.create_task(session.add_items([{"role": "user", "content": "second"}]))
        await turn.add_items([{"role": "user", "content": "first"}])
    await task
    assert outline(await session.get_items()) == ["first", "second"]
