"""What an interruption keeps of a step whose outputs are not plain tool results."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import agents
import pytest
from agents import Agent, RunConfig, RunHooks, ToolTimeoutError, function_tool
from agents.tool_guardrails import ToolGuardrailFunctionOutput, ToolOutputGuardrail

from tests.integration.cancel_lab import WAYS, Held, run, stopped
from tests.integration.fault_lab import LONG
from tests.scripted import agent, calls, outline, says
from turnwise import MemorySession, Runner
from turnwise.durable.replay import Replay
from turnwise.journal_entries import Entry, Raised, ToolEndedEntry
from turnwise.session import Session
from turnwise.testing.servers.waiting import until
from turnwise.turns.cancelled import INTERRUPTED


class HookRecorder(RunHooks[Any]):
    """The tools whose outputs the SDK has recorder."""

    def __init__(self) -> None:
        self.tools: set[str] = set()

    async def on_tool_end(self, context: Any, agent: Any, tool: Any, result: Any) -> None:
        self.tools.add(tool.name)


class Desk:
    """An agent that calls all its tools at once; the last one, `hold`, is held."""

    def __init__(self, *tools: Any, asks: bool = False) -> None:
        self.recorder = HookRecorder()
        self.held = Held()
        hold: Any = self.held.hold
        self.tools = [*tools, function_tool(hold, needs_approval=asks)]
        self.step = [call for tool in self.tools for call in calls(tool.name, tool.name)]
        self.agent = agent(self.step, says("over"), tools=self.tools)

    async def interrupted(
        self, session: Session, work: Coroutine[Any, Any, Any], *ended: str
    ) -> list[str]:
        """What is kept if that is interrupted as soon as these tools have ended, sorted."""
        task = asyncio.create_task(work)

        async def all_ended() -> bool:
            return self.held.entered.is_set() and self.recorder.tools >= set(ended)

        await until(all_ended, LONG, f"{ended} had ended")
        async with session.turn("s", busy="interrupt") as turn:
            items = outline(await turn.get_items())
        await asyncio.wait({task}, timeout=LONG)
        assert task.done()
        await stopped(task)
        asked = len(self.tools)
        assert items[: 1 + asked] == ["Hi", *(f"call {tool.name}" for tool in self.tools)]
        assert len(items) == 1 + 2 * asked
        assert f"output hold: {INTERRUPTED}" in items
        return [item for item in items[1 + asked :] if not item.startswith("output hold")]


def clerk() -> Desk:
    def named(name: str) -> Any:
        def made() -> str:
            return f"{name} is done"

        return function_tool(made, name_override=name, needs_approval=name != "look")

    return Desk(named("look"), named("quick"), named("pay"), asks=True)


async def resumed(session: Session, desk: Desk, how: str, message: str | None, config: Any) -> None:
    """Let it wait for approvals, then approve all but the payment."""
    options: dict[str, Any] = {"hooks": desk.recorder, "run_config": config}
    if how == "sdk":
        async with session.turn("s", turn_id="t") as turn:
            waits = await agents.Runner.run(desk.agent, "Hi", session=turn)
            state = waits.to_state()
            for item in state.get_interruptions():
                if item.name == "pay":
                    state.reject(item, rejection_message=message)
                else:
                    state.approve(item)
            await agents.Runner.run(desk.agent, state, session=turn, **options)
        return
    await run(session, "s", desk.agent, how)
    ids = {str(ask.tool_name): ask.id for ask in await session.pending_approvals("s")}
    options |= {"session": session, "session_id": "s", "reject": {ids.pop("pay"): message}}
    later = agent(says("over"), tools=desk.tools)
    if how == "run":
        await Runner.resume(later, approve=list(ids.values()), **options)
        return
    result = await Runner.resume_streamed(later, approve=list(ids.values()), **options)
    async for _ in result.stream_events():
        pass


async def formatter(_: Any) -> str:
    return "formatted"


@pytest.mark.parametrize(
    ("message", "config", "text"),
    [
        ("explicit", None, "explicit"),
        (None, RunConfig(tool_error_formatter=formatter), "formatted"),
        (None, None, "Tool execution was not approved."),
    ],
)
@pytest.mark.parametrize("how", WAYS)
async def test_a_run_that_was_resumed_keeps_what_had_ended(
    how: str, message: str | None, config: RunConfig | None, text: str
) -> None:
    session, desk = MemorySession(), clerk()
    work = resumed(session, desk, how, message, config)
    assert sorted(await desk.interrupted(session, work, "quick")) == [
        "output look: look is done",
        f"output pay: {text}",
        "output quick: quick is done",
    ]


def late(**options: Any) -> Any:
    async def late() -> str:
        return await Held().hold()

    return function_tool(late, timeout=0.01, **options)


def says_late(_: Any, error: Exception) -> str:
    assert isinstance(error, ToolTimeoutError)
    return "too late"


async def says_later(_: Any, error: Exception) -> str:
    return says_late(_, error)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "Tool 'late' timed out after 0.01 seconds."),
        ({"timeout_error_function": says_late}, "too late"),
        ({"timeout_error_function": says_later}, "too late"),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_timeout_is_kept(options: Any, text: str, *, streamed: bool) -> None:
    session, desk = MemorySession(), Desk(late(**options))
    work = recorded_run(session, desk.agent, desk.recorder, streamed=streamed)
    assert await desk.interrupted(session, work, "late") == [f"output late: {text}"]


async def recorded_run(
    session: Session, desk: Agent[Any], recorder: HookRecorder, *, streamed: bool
) -> None:
    options: Any = {"session": session, "session_id": "s", "turn_id": "t", "hooks": recorder}
    if not streamed:
        await Runner.run(desk, "Hi", **options)
        return
    async for _ in Runner.run_streamed(desk, "Hi", **options).stream_events():
        pass


async def test_an_error_that_ends_the_run_is_no_output(monkeypatch: pytest.MonkeyPatch) -> None:
    @function_tool(failure_error_function=None)
    async def falls() -> str:
        raise ValueError("not for the model")

    session, desk, write = MemorySession(), Desk(falls), Replay.write

    async def held(replay: Replay, entry: Entry) -> None:
        if isinstance(entry, ToolEndedEntry) and isinstance(entry.outcome, Raised):
            desk.recorder.tools.add("falls")
            await asyncio.Event().wait()
        await write(replay, entry)

    monkeypatch.setattr(Replay, "write", held)
    work = recorded_run(session, desk.agent, desk.recorder, streamed=False)
    assert await desk.interrupted(session, work, "falls") == [f"output falls: {INTERRUPTED}"]


async def test_what_a_guardrail_made_of_an_output_is_kept() -> None:
    @agents.tool_output_guardrail
    def hides(_: Any) -> ToolGuardrailFunctionOutput:
        return ToolGuardrailFunctionOutput.reject_content("hidden")

    @function_tool
    async def quick() -> str:
        return "secret"

    guardrail: ToolOutputGuardrail[Any] = hides
    quick.tool_output_guardrails = [guardrail]
    session, desk = MemorySession(), Desk(quick)
    work = recorded_run(session, desk.agent, desk.recorder, streamed=False)
    assert await desk.interrupted(session, work, "quick") == ["output quick: hidden"]
