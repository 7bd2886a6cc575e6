"""What a run is given of the past holds no half of a pair, in whatever way the run begins."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import agents
import pytest
from agents import Agent

from tests.integration.stores import Sessions, sessions_of
from tests.items import Item, assistant, call, output, reasoning, user, without_halves
from tests.scripted import Script, calls, echo, says, script_of, weather
from turnwise import Runner
from turnwise.session import Session

pytestmark = pytest.mark.asyncio(loop_scope="module")
sessions = sessions_of(["memory", "sqlite", "valkey"])


def unique(items: list[Item]) -> list[Item]:
    """The items with ids of their own: the SDK drops what has the id of another."""
    return [item | {"id": f"i{n}"} if "id" in item else item for n, item in enumerate(items)]


HISTORY = unique(
    [
        user("weather?"),
        reasoning("a"),
        call("a"),
        call("b"),
        output("a"),
        output("b"),
        reasoning("b"),
        assistant("sunny"),
        user("and tomorrow?"),
        call("c"),
        reasoning("c"),
        output("c"),
        assistant("rain"),
        user("thanks"),
        reasoning("d"),
        call("d", "custom_tool_call"),
        output("d", "custom_tool_call"),
    ]
)
INPUT = user("anything else?")
Run = Callable[[Session, Agent[Any], Any], Awaitable[object]]


async def plain(session: Session, agent: Agent[Any], input: Any) -> None:
    await Runner.run(agent, input, session=session)


async def streamed(session: Session, agent: Agent[Any], input: Any) -> None:
    result = Runner.run_streamed(agent, input, session=session)
    async for _ in result.stream_events():
        pass


async def block(session: Session, agent: Agent[Any], input: Any) -> None:
    async with session.turn() as turn:
        await agents.Runner.run(agent, input, session=turn)


async def background(session: Session, agent: Agent[Any], input: Any) -> None:
    await session.submit(None, input, agent=agent.name)
    await session.drain(None, agent)


async def with_turn_id(session: Session, agent: Agent[Any], input: Any) -> None:
    first = await Runner.run(agent, input, session=session, turn_id="t")
    second = await Runner.run(agent, input, session=session, turn_id="t")
    assert second.input == first.input


every_way = pytest.mark.parametrize("run", [plain, streamed, block, background, with_turn_id])


async def filled(sessions: Sessions, history: list[Item], limit: int | None = None) -> Session:
    session = sessions.worker().bind(sessions.new_id(), limit=limit)
    await session.add_items(cast(Any, history))
    return session


def agent(*replies: Any) -> Agent[Any]:
    return Agent(name="agent", model=Script(*(replies or (echo,))))


@every_way
async def test_a_limit_cuts_nothing_apart(sessions: Sessions, run: Run) -> None:
    for limit in range(1, len(HISTORY) + 1):
        answering = agent()
        await run(await filled(sessions, HISTORY, limit), answering, [INPUT])
        expected = without_halves(HISTORY, limit)
        assert script_of(answering).asked[0] == [*expected, INPUT]


@every_way
async def test_half_a_history_is_given_without_its_halves(sessions: Sessions, run: Run) -> None:
    ends = [call("x"), reasoning("e"), user("hello?"), reasoning("f")]
    imported = unique([output("lost"), *HISTORY, *ends])
    answering = agent()
    await run(await filled(sessions, imported), answering, "hi")
    assert script_of(answering).asked[0] == [*without_halves(imported), user("hi")]


async def test_after_a_pop_no_half_is_given(sessions: Sessions) -> None:
    for popped in range(1, len(HISTORY)):
        session, answering = await filled(sessions, HISTORY), agent()
        for _ in range(popped):
            await session.pop_item()
        await Runner.run(answering, [cast(Any, INPUT)], session=session)
        assert script_of(answering).asked[0] == [*without_halves(HISTORY[:-popped]), INPUT]


@every_way
@pytest.mark.parametrize("kind", ["computer_call", "mcp_approval_request"])
async def test_a_call_is_given_to_the_run_whose_input_answers_it(
    sessions: Sessions, run: Run, kind: str
) -> None:
    waiting = [user("do it"), reasoning("a"), call("x", kind)]
    for answers, given in (
        ([output("x", kind)], [*waiting, output("x", kind)]),
        ([INPUT], [user("do it"), INPUT]),
    ):
        answering = agent()
        await run(await filled(sessions, waiting), answering, answers)
        assert script_of(answering).asked[0] == given


async def test_a_later_run_of_a_block_is_given_no_half_of_an_earlier_one(
    sessions: Sessions,
) -> None:
    for limit in range(1, 5):
        session, answering = await filled(sessions, []), agent()
        async with session.turn() as turn:
            tooled = agent(calls("weather"), says("sunny"))
            tooled.tools = [weather]
            await agents.Runner.run(tooled, "weather?", session=turn)
            turn.session_settings = agents.SessionSettings(limit=limit)
            before = cast("list[Item]", await turn.get_items(-1))
            await agents.Runner.run(answering, "thanks", session=turn)
            assert len(before) == 4
        assert script_of(answering).asked[0][:-1] == without_halves(before, limit)
