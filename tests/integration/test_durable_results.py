"""A turn_id that is sent again: the turn ran once, and every sender gets the same result."""

from __future__ import annotations

import asyncio
import base64
import random
from functools import partial
from typing import Any

import pytest
from agents import Agent, ModelSettings, RunConfig, ToolOutputImage, ToolOutputText, function_tool
from pydantic import BaseModel

from tests.integration.durable_lab import Ledger, Sage, calls, read, says
from tests.integration.durable_scenarios import SCENARIOS
from tests.integration.result_facts import facts
from tests.integration.stores import Sessions, sessions_of
from turnwise import Runner
from turnwise.errors import AlreadyCommitted, TurnIdReused
from turnwise.session import Session

pytestmark = pytest.mark.asyncio(loop_scope="module")


sessions = sessions_of(["memory", "valkey"])


@pytest.fixture
def session(sessions: Sessions) -> Session:
    return sessions.worker().bind(sessions.new_id())


@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_retry_gets_the_same_result(
    name: str, sessions: Sessions, session: Session
) -> None:
    scenario, ledger = SCENARIOS[name], Ledger()
    await session.add_items([{"role": "user", "content": "before"}, *_reply()])
    options = scenario.options(ledger)
    first = await Runner.run(scenario.build(ledger), "go", session=session, turn_id="t", **options)
    done = ledger.models.total(), ledger.tools.total()
    other = sessions.worker().bind(session.session_id)
    await other.add_items([{"role": "user", "content": "after"}])
    again = await Runner.run(scenario.build(ledger), "go", session=other, turn_id="t", **options)
    assert facts(again) == facts(first)
    assert (ledger.models.total(), ledger.tools.total()) == done


def _reply() -> list[Any]:
    return [item.model_dump() for item in says("hello")]


async def test_the_agents_of_a_rebuilt_result_are_the_callers_own(session: Session) -> None:
    ledger = Ledger()
    await Runner.run(SCENARIOS["handoffs"].build(ledger), "go", session=session, turn_id="t")
    agent = SCENARIOS["handoffs"].build(ledger)
    again = await Runner.run(agent, "go", session=session, turn_id="t")
    assert again.last_agent is agent
    assert {item.agent.name for item in again.new_items} == {"first", "second"}


@pytest.mark.parametrize("read_late", [False, True])
@pytest.mark.parametrize("name", ["two-steps", "handoffs", "agent-tools", "output-type"])
async def test_a_streamed_retry_gets_the_same_events(
    name: str, read_late: bool, session: Session
) -> None:
    scenario, ledger = SCENARIOS[name], Ledger()
    first = Runner.run_streamed(scenario.build(ledger), "go", session=session, turn_id="t")
    events = await read(first)
    done = ledger.models.total(), ledger.tools.total()
    again = Runner.run_streamed(scenario.build(ledger), "go", session=session, turn_id="t")
    if read_late:
        assert again.run_loop_task is not None
        await asyncio.wait({again.run_loop_task})
    assert await read(again) == events
    assert facts(again) == facts(first)
    assert again.is_complete
    assert (ledger.models.total(), ledger.tools.total()) == done


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_turn_sent_by_many_at_once_runs_once(
    streamed: bool, sessions: Sessions, session: Session
) -> None:
    ledger = Ledger()
    workers = [sessions.worker().bind(session.session_id) for _ in range(4)]

    async def send(worker: Session) -> Any:
        agent = SCENARIOS["two-steps"].build(ledger)
        if not streamed:
            return await Runner.run(agent, "go", session=worker, turn_id="t")
        result = Runner.run_streamed(agent, "go", session=worker, turn_id="t")
        await read(result)
        return result

    results = await asyncio.gather(*map(send, workers))
    assert ledger.models.total() == 3
    assert ledger.tools.total() == 2
    for result in results[1:]:
        assert facts(result) == facts(results[0])


async def test_a_retry_need_not_be_streamed_as_the_first_run_was(session: Session) -> None:
    ledger = Ledger()
    agent = SCENARIOS["two-steps"].build(ledger)
    first = Runner.run_streamed(agent, "go", session=session, turn_id="t")
    await read(first)
    assert facts(await Runner.run(agent, "go", session=session, turn_id="t")) == facts(first)


async def test_a_retry_with_another_input_or_agent_is_refused(session: Session) -> None:
    ledger = Ledger()
    agent = SCENARIOS["plain"].build(ledger)
    await Runner.run(agent, "go", session=session, turn_id="t")
    with pytest.raises(TurnIdReused, match="another input"):
        await Runner.run(agent, "stop", session=session, turn_id="t")
    other = Agent(name="b", model=agent.model)
    with pytest.raises(TurnIdReused, match="agent 'a', not 'b'"):
        await Runner.run(other, "go", session=session, turn_id="t")
    with pytest.raises(TurnIdReused):
        await read(Runner.run_streamed(other, "go", session=session, turn_id="t"))
    assert len(await session.get_items()) == 2


async def test_a_turn_without_a_run_has_no_result(session: Session) -> None:
    async with session.turn(turn_id="t") as turn:
        await turn.add_items([{"role": "user", "content": "hi"}])
    with pytest.raises(AlreadyCommitted) as caught:
        await Runner.run(SCENARIOS["plain"].build(Ledger()), "go", session=session, turn_id="t")
    assert caught.value.items == [{"role": "user", "content": "hi"}]
    with pytest.raises(AlreadyCommitted):
        async with session.turn(turn_id="t"):
            pass


async def test_a_cleared_history_has_no_results(session: Session) -> None:
    agent = SCENARIOS["plain"].build(Ledger())
    await Runner.run(agent, "go", session=session, turn_id="t")
    await session.clear_session()
    with pytest.raises(AlreadyCommitted):
        await Runner.run(agent, "go", session=session, turn_id="t")


class City(BaseModel):
    name: str


async def test_tool_outputs_are_rebuilt_as_they_were(session: Session) -> None:
    """JSON values and ToolOutputs exactly, others as the text that the model saw."""
    values = {
        "one": {"a": [1, 2.5, None, True]},
        "two": ToolOutputImage(image_url="https://example.com/a.png"),
        "three": [1, 2],
        "four": City(name="Oslo"),
    }

    def tool(name: str) -> Any:
        return function_tool(lambda: values[name], name_override=name)

    agent = Agent(
        name="a",
        model=Sage(Ledger(), "m", calls(*values), says("done")),
        tools=[tool(name) for name in values],
    )
    await Runner.run(agent, "go", session=session, turn_id="t")
    again = await Runner.run(agent, "go", session=session, turn_id="t")
    outputs = [item.output for item in again.new_items if item.type == "tool_call_output_item"]
    assert outputs == [values["one"], values["two"], values["three"], "name='Oslo'"]


async def test_a_final_output_may_be_a_tools(session: Session) -> None:
    agent = Agent(
        name="a",
        model=Sage(Ledger(), "m", calls("one")),
        tools=[function_tool(lambda: {"x": 1}, name_override="one")],
        tool_use_behavior="stop_on_first_tool",
    )
    first = await Runner.run(agent, "go", session=session, turn_id="t")
    again = await Runner.run(agent, "go", session=session, turn_id="t")
    assert first.final_output == again.final_output == "{'x': 1}"


IMAGE = "data:image/png;base64," + base64.b64encode(random.Random(1).randbytes(300_000)).decode()
LARGE = {
    "image": ToolOutputImage(image_url=IMAGE, detail="high"),
    "parts": [ToolOutputText(text="two"), ToolOutputImage(image_url=IMAGE)],
    "dict": {"type": "image", "image_url": IMAGE},
    "text": IMAGE,
    "value": {"images": [IMAGE]},
}


def shows(value: Any, behavior: Any) -> Agent[Any]:
    return Agent(
        name="a",
        model=Sage(Ledger(), "m", calls("show"), says("seen")),
        tools=[function_tool(lambda: value, name_override="show")],
        tool_use_behavior=behavior,
    )


async def stored_bytes(session: Session) -> int:
    info = await session.info()
    assert info is not None
    return info.bytes


@pytest.mark.parametrize("behavior", ["run_llm_again", "stop_on_first_tool"])
@pytest.mark.parametrize("name", LARGE)
async def test_what_a_tool_returned_is_stored_once(
    sessions: Sessions, name: str, behavior: Any
) -> None:
    """For a turn that can be sent again, and for a message, as for one that cannot."""
    one_shot, direct, queued = (sessions.worker().bind(sessions.new_id()) for _ in range(3))
    agent = partial(shows, LARGE[name], behavior)
    await Runner.run(agent(), "go", session=one_shot)
    first = await Runner.run(agent(), "go", session=direct, turn_id="t")
    again = await Runner.run(agent(), "go", session=direct, turn_id="t")
    assert facts(again) == facts(first)
    receipt = await queued.submit(None, "go", agent="a")
    await queued.drain(None, agent())
    assert (await receipt.result(agent=agent())).final_output == first.final_output
    once = await stored_bytes(one_shot)
    assert await stored_bytes(direct) < 1.25 * once + 1000
    assert await stored_bytes(queued) < 1.25 * once + 1000


async def test_what_a_record_says_once_more_is_compressed(session: Session) -> None:
    rows = [{"number": number, "text": f"row {number}"} for number in range(5000)]
    first = await Runner.run(shows(rows, "run_llm_again"), "go", session=session, turn_id="t")
    again = await Runner.run(shows(rows, "run_llm_again"), "go", session=session, turn_id="t")
    assert facts(again) == facts(first)
    assert await stored_bytes(session) < len(str(rows)) / 2


async def test_a_failed_run_has_no_result_and_may_be_sent_again(session: Session) -> None:
    ledger = Ledger()
    bad = Agent(name="a", model=Sage(ledger, "m", lambda items: 1 / 0))  # type: ignore[arg-type, return-value]  # the model fails
    with pytest.raises(ZeroDivisionError):
        await Runner.run(bad, "go", session=session, turn_id="t")
    good = SCENARIOS["plain"].build(ledger)
    config = RunConfig(model_settings=ModelSettings(temperature=0))
    result = await Runner.run(good, "go", session=session, turn_id="t", run_config=config)
    assert result.final_output == "hello"
