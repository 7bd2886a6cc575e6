"""Turns that another caller ends to begin its own: what they finished is kept or dropped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import agents
import pytest
from agents import function_tool
from openai.types.responses import ResponseCustomToolCall, ResponseFunctionShellToolCall

from tests.integration.cancel_lab import (
    STEPS,
    WAYS,
    Held,
    held_run,
    run,
    stopped,
    tools,
    two_calls,
)
from tests.integration.fault_lab import LONG, HookRecorder, message, until_queued
from tests.integration.stores import Sessions, sessions_of
from tests.scripted import agent, calls, outline, says
from turnwise import MemorySession, Runner
from turnwise.errors import BusyTimeout
from turnwise.hooks import TurnCancelledEvent as Ended
from turnwise.session import Session
from turnwise.stores.embedded.verbs import queue as embedded_queue
from turnwise.stores.redis import scripts
from turnwise.testing.servers.waiting import until
from turnwise.turns.cancelled import INTERRUPTED

pytestmark = pytest.mark.asyncio(loop_scope="module")


sessions = sessions_of(["memory", "sqlite", "valkey"])


@pytest.mark.parametrize("how", WAYS)
async def test_a_run_is_interrupted(
    sessions: Sessions, owner: Session, other: Session, recorder: HookRecorder, how: str
) -> None:
    name, held = sessions.new_id(), Held()
    task = await held_run(owner, name, held, how)
    answer = await Runner.run(
        agent(says("yes")),
        "stop",
        session=other,
        session_id=name,
        turn_id="u",
        busy="interrupt",
    )
    assert answer.final_output == "yes"
    error = await stopped(task)
    assert (error.kept, error.reason) == (True, "interrupted by turn u")
    kept = ["Hi", "call c0", "output c0: quick is done", "call c1", "call c2"]
    kept += ["output c1: quick is done", f"output c2: {INTERRUPTED}"]
    for session in (owner, other):
        assert outline(await session.bind(name).get_items()) == [*kept, "stop", "yes"]
    ended = next(event for event in recorder.events if isinstance(event, Ended))
    assert (ended.turn_id, ended.items) == ("t", len(kept))
    assert ended.reason == "interrupted by turn u"
    again = asyncio.create_task(run(other, name, agent(says("again")), how))
    error = await stopped(again)
    assert (error.kept, error.reason) == (True, "interrupted by turn u")


@pytest.mark.parametrize("how", WAYS)
async def test_a_run_is_rolled_back(
    sessions: Sessions, owner: Session, other: Session, how: str
) -> None:
    name, held = sessions.new_id(), Held()
    task = await held_run(owner, name, held, how)
    async with other.turn(name, turn_id="u", busy="rollback") as turn:
        assert await turn.get_items() == []
        await turn.add_items([message("instead")])
    error = await stopped(task)
    assert (error.kept, error.reason) == (False, "rolled back by turn u")
    assert await owner.bind(name).get_items() == [message("instead")]


async def test_a_response_that_is_finished_is_kept(
    sessions: Sessions, owner: Session, other: Session
) -> None:
    """It was said, though its output guardrail has not passed it yet."""
    held = Held()

    @agents.output_guardrail
    async def slow(*_: Any) -> agents.GuardrailFunctionOutput:
        await held.hold()
        return agents.GuardrailFunctionOutput(None, tripwire_triggered=False)

    name, desk = sessions.new_id(), agent(says("said"), output_guardrails=[slow])
    task = asyncio.create_task(run(owner, name, desk))
    await asyncio.wait_for(held.entered.wait(), LONG)
    async with other.turn(name, busy="interrupt") as turn:
        assert outline(await turn.get_items()) == ["Hi", "said"]
    await stopped(task)


async def test_an_agent_as_a_tool_is_interrupted(
    sessions: Sessions, owner: Session, other: Session
) -> None:
    name, held = sessions.new_id(), Held()
    inner = agent(two_calls, tools=tools(held))
    desk = agent(calls("ask", arguments='{"input": "x"}'), tools=[inner.as_tool("ask", "")])
    task = asyncio.create_task(run(owner, name, desk))
    await asyncio.wait_for(held.entered.wait(), LONG)
    async with other.turn(name, busy="interrupt") as turn:
        items = outline(await turn.get_items())
        assert items == ["Hi", "call call_1", f"output call_1: {INTERRUPTED}"]
    await stopped(task)


async def test_a_plain_turn_keeps_what_it_added(
    sessions: Sessions, owner: Session, other: Session
) -> None:
    name, begun = sessions.new_id(), asyncio.Event()
    call: Any = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    await owner.bind(name).add_items([message("before")])

    async def hold() -> None:
        async with owner.turn(name, turn_id="t") as turn:
            await turn.pop_item()
            await turn.add_items([message("one"), call])
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hold())
    await asyncio.wait_for(begun.wait(), LONG)
    async with other.turn(name, busy="interrupt") as turn:
        items = outline(await turn.get_items())
        assert items == ["one", "call c", f"output c: {INTERRUPTED}"]
    await stopped(task)
    assert outline(await owner.bind(name).get_items()) == items


async def test_a_background_turn_is_interrupted(
    sessions: Sessions, owner: Session, other: Session
) -> None:
    name, held = sessions.new_id(), Held()
    await other.submit(name, "Hi", agent="agent", turn_id="m")
    draining = asyncio.create_task(owner.drain(name, agent(*STEPS, tools=tools(held))))
    await asyncio.wait_for(held.entered.wait(), LONG)
    async with other.turn(name, busy="interrupt") as turn:
        items = outline(await turn.get_items())
    assert items[:2] == ["Hi", "call c0"]
    assert items[-1] == f"output c2: {INTERRUPTED}"
    await asyncio.wait_for(draining, LONG)


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The head of a queue does not lose its place because this machine is busy."""
    monkeypatch.setattr(embedded_queue, "HEAD_TIMEOUT_MS", int(1000 * LONG))
    monkeypatch.setitem(scripts._CONSTANTS, "HEAD_TIMEOUT_MS", int(1000 * LONG))
    scripts.script.cache_clear()
    yield
    scripts.script.cache_clear()


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("busy", ["interrupt", "rollback"])
async def test_order_in_the_queue(
    sessions: Sessions, owner: Session, other: Session, busy: Any
) -> None:
    """Whoever ends a turn stands behind those who wait already, and ends no other turn."""
    name, order, held = sessions.new_id(), list[str](), Held()

    async def turn(who: str, policy: Any) -> None:
        async with other.turn(name, turn_id=who, busy=policy, timeout=LONG) as turn:
            order.append(who)
            await turn.add_items([message(who)])

    task = await held_run(owner, name, held, "run")
    first = asyncio.create_task(turn("first", "wait"))
    await until_queued(other, name)
    second = asyncio.create_task(turn("second", busy))
    await asyncio.wait_for(asyncio.gather(first, second), LONG)
    assert order == ["first", "second"]
    await stopped(task)


async def test_the_same_turn_sent_again_does_not_end_itself(
    sessions: Sessions, owner: Session, other: Session
) -> None:
    name, held = sessions.new_id(), Held()
    task = await held_run(owner, name, held, "run")
    with pytest.raises(BusyTimeout):
        async with other.turn(name, turn_id="t", busy="rollback", timeout=0.1):
            pass
    assert not task.done()
    await other.cancel(name)
    await stopped(task)


def every_kind(hold: Callable[[], Awaitable[str]]) -> Any:
    """An agent that calls one tool of each kind at the same time, and `hold`."""

    async def parts() -> Any:
        return [agents.ToolOutputText(text="one"), agents.ToolOutputText(text="two")]

    async def fails() -> str:
        raise ValueError("no such thing")

    async def custom(_: Any, text: str) -> str:
        return f"custom {text}"

    async def shell(_: Any) -> agents.ShellResult:
        outcome = agents.ShellCallOutcome(type="exit", exit_code=0)
        output = agents.ShellCommandOutput(stdout="so", stderr="", outcome=outcome)
        return agents.ShellResult(output=[output])

    async def held() -> str:
        return await hold()

    functions: list[Any] = [parts, fails, held]
    made = [function_tool(tool) for tool in functions]
    more = [
        agents.CustomTool(name="custom", description="", on_invoke_tool=custom),
        agents.ShellTool(executor=shell),
    ]
    asked: Any = [
        *calls("parts", "c1"),
        *calls("fails", "c2"),
        ResponseCustomToolCall(type="custom_tool_call", call_id="c3", name="custom", input="x"),
        ResponseFunctionShellToolCall.model_validate(
            {
                "type": "shell_call",
                "id": "sh",
                "call_id": "c4",
                "status": "completed",
                "action": {"commands": ["ls"]},
            }
        ),
        *calls("held", "c5"),
    ]
    return agent(asked, says("over"), tools=[*made, *more])


async def test_what_tools_of_every_kind_gave_is_kept_as_the_sdk_keeps_it() -> None:
    async def at_once() -> str:
        return "at once"

    calm = MemorySession()
    await run(calm, "s", every_kind(at_once))
    expected = {key(item): item for item in await calm.bind("s").get_items()}
    session, held = MemorySession(), Held()
    task = asyncio.create_task(run(session, "s", every_kind(held.hold)))

    async def four_have_ended() -> bool:
        info = await session.info("s")
        return info is not None and info.journal_entries == 1 + 5 + 4

    await until(four_have_ended, LONG, "four tools had ended")
    async with session.turn("s", busy="interrupt") as turn:
        items: list[Any] = await turn.get_items()
    await stopped(task)
    assert len(items) == 1 + 5 + 5
    for item in items:
        if item.get("call_id") == "c5" and "output" in item:
            assert item["output"] == INTERRUPTED
        else:
            assert item == expected[key(item)]


def key(item: Any) -> tuple[Any, Any]:
    return item.get("type"), item.get("call_id") or str(item.get("content"))
