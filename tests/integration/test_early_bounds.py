"""What the history cannot take is refused before anything more is paid for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import agents
import pytest
from agents import (
    Agent,
    ToolGuardrailFunctionOutput,
    ToolOutputGuardrailData,
    function_tool,
    tool_output_guardrail,
)
from agents.testing import function_call

from tests.integration.stores import Sessions, sessions_of
from tests.scripted import Script, outline, says, script_of
from turnwise import Policy, Runner
from turnwise.errors import DeadLettered, ItemTooLarge, LimitError, SessionTooLarge, TurnTooLarge
from turnwise.session import Session
from turnwise.turns.cancelled import FAILED

pytestmark = pytest.mark.asyncio(loop_scope="module")
sessions = sessions_of(["memory", "sqlite", "valkey"])

LARGE = "x" * 3000
Run = Callable[[Session, Agent[Any], Any], Awaitable[object]]


async def plain(session: Session, agent: Agent[Any], input: Any) -> None:
    await Runner.run(agent, input, session=session)


async def resendable(session: Session, agent: Agent[Any], input: Any) -> None:
    await Runner.run(agent, input, session=session, turn_id="t")


async def streamed(session: Session, agent: Agent[Any], input: Any) -> None:
    async for _ in Runner.run_streamed(agent, input, session=session).stream_events():
        pass


async def block(session: Session, agent: Agent[Any], input: Any) -> None:
    async with session.turn() as turn:
        await agents.Runner.run(agent, input, session=turn)


async def background(session: Session, agent: Agent[Any], input: Any) -> None:
    receipt = await session.submit(None, input, agent=agent.name)
    await session.drain(None, agent, Policy(max_attempts=5))
    try:
        await receipt.result(0)
    except DeadLettered as error:
        kinds = {kind.__name__: kind for _, kind in BOUNDS}
        raise kinds[error.reason.partition(":")[0]](error.reason) from None


every_way = pytest.mark.parametrize("run", [plain, resendable, streamed, block, background])
BOUNDS: list[tuple[dict[str, Any], type[LimitError]]] = [
    ({"max_item_bytes": 2000}, ItemTooLarge),
    ({"max_turn_bytes": 2000}, TurnTooLarge),
    ({"max_session_bytes": 2000, "compression": False}, SessionTooLarge),
]
every_bound = pytest.mark.parametrize(("bound", "error"), BOUNDS)


@every_way
@every_bound
async def test_an_input(
    sessions: Sessions, run: Run, bound: dict[str, Any], error: type[LimitError]
) -> None:
    session = sessions.worker(**bound).bind(sessions.new_id())
    agent = Agent(name="a", model=Script(says("never")))
    with pytest.raises(error):
        await run(session, agent, LARGE)
    assert not script_of(agent).asked
    assert await session.get_items() == []


@every_way
@every_bound
async def test_a_tools_output(
    sessions: Sessions, run: Run, bound: dict[str, Any], error: type[LimitError]
) -> None:
    """It is refused when it ends: what runs beside it is cancelled, and no model is called."""
    session = sessions.worker(**bound).bind(sessions.new_id())

    async def forever() -> str:
        await asyncio.Event().wait()
        return "never"

    tools = [
        function_tool(lambda: LARGE, name_override="large"),
        function_tool(forever, name_override="forever"),
    ]
    wants = [function_call(tool.name, "{}", call_id=f"of_{tool.name}") for tool in tools]
    agent = Agent(name="a", model=Script(wants, says("never")), tools=list(tools))
    with pytest.raises(error):
        await asyncio.wait_for(run(session, agent, "go"), 30)
    assert len(script_of(agent).asked) == 1
    history = outline(await session.get_items())
    if run is not resendable:
        assert history == []
    else:  # every attempt would end so: what is known of the tools stays
        assert history == [
            "go",
            "call of_large",
            "call of_forever",
            f"output of_large: {FAILED}",
            f"output of_forever: {FAILED}",
        ]


async def test_a_guardrail_may_still_make_an_output_smaller(sessions: Sessions) -> None:
    @tool_output_guardrail
    def shorten(data: ToolOutputGuardrailData) -> ToolGuardrailFunctionOutput:
        return ToolGuardrailFunctionOutput.reject_content("too long")

    session = sessions.worker(max_item_bytes=2000).bind(sessions.new_id())
    tool = function_tool(lambda: LARGE, name_override="large")
    tool.tool_output_guardrails = [shorten]
    wants = [function_call("large", "{}", call_id="c")]
    agent = Agent(name="a", model=Script(wants, says("done")), tools=[tool])
    assert (await Runner.run(agent, "go", session=session)).final_output == "done"
