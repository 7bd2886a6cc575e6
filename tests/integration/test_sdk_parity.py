"""Whole conversations run as with the SDK's own session: same prompts, results and items."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

import agents
import pytest
import pytest_asyncio
from agents import (
    Agent,
    GuardrailFunctionOutput,
    RunConfig,
    SessionSettings,
    function_tool,
    input_guardrail,
    output_guardrail,
)
from agents.memory import Session as SDKSession
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.integration.stores import KINDS, Sessions, sessions_of
from tests.integration.test_exact_items import ODD, exactly
from tests.scripted import Reply, Script, calls, says, script_of
from turnwise import Runner
from turnwise.session import Session

pytestmark = pytest.mark.asyncio(loop_scope="module")
Way = Literal["run", "stream", "plain", "plain stream", "in a turn", "read in part", "unread"]
End = Literal["answer", "failing tool", "failing model", "too many steps", "input", "output"]


sessions = sessions_of(KINDS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workers(sessions: Sessions) -> tuple[Session, Session]:
    return sessions.worker(), sessions.worker(compression=False)


@dataclass(frozen=True)
class Exchange:
    """What a user says, and how the agent comes to its answer."""

    text: str
    steps: list[list[str]]
    end: End
    way: Way
    worker: int
    limit: int | None
    hands_over: bool


_TOLD_AGAIN: tuple[Way, ...] = ("run", "stream", "unread")
exchanges = st.builds(
    Exchange,
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.lists(st.lists(st.sampled_from(["good", "bad"]), min_size=1, max_size=2), max_size=2),
    st.sampled_from(["answer", "answer", "failing tool", "failing model", "too many steps"])
    | st.sampled_from(["input", "output"]),
    st.sampled_from(
        ["run", "stream", "plain", "plain stream", "in a turn", "read in part", "unread"]
    ),
    st.integers(0, 1),
    st.none() | st.integers(1, 6),
    st.booleans(),
)


@function_tool
def good(number: int) -> str:
    return f"good {number}"


@function_tool
def bad(number: int) -> str:
    """The model gets its error."""
    raise ValueError(number)


@function_tool(failure_error_function=None)
def failing(number: int) -> str:
    """Its error ends the run."""
    raise ValueError(number)


def _guard(*_: Any) -> GuardrailFunctionOutput:
    return GuardrailFunctionOutput(output_info=None, tripwire_triggered=True)


@dataclass
class Conversation:
    """One side of the comparison: the agents' models count their calls for it alone."""

    asked: list[Any] = field(default_factory=list)
    results: list[Any] = field(default_factory=list)
    count: int = 0

    def agent(self, exchange: Exchange) -> Agent[Any]:
        model = Script(*self._replies(exchange))
        model.asked = self.asked
        tools: list[agents.Tool] = [good, bad, failing]
        worker: Agent[Any] = Agent(name="worker", model=model, tools=tools)
        if exchange.end == "output":
            worker.output_guardrails.append(output_guardrail(_guard))
        front: Agent[Any] = worker
        if exchange.hands_over:
            model = Script(calls("transfer_to_worker", self._call_id()))
            model.asked = self.asked
            front = Agent(name="front", model=model, handoffs=[worker])
        if exchange.end == "input":
            front.input_guardrails.append(input_guardrail(run_in_parallel=False)(_guard))
        return front

    def _replies(self, exchange: Exchange) -> list[Reply]:
        replies: list[Reply] = [self._transport(*names) for names in exchange.steps]
        if exchange.end == "failing tool":
            replies.append(self._transport("failing"))
        if exchange.end == "failing model":
            replies.append(ZeroDivisionError())
        if exchange.end == "too many steps":
            replies += [self._transport("good") for _ in range(9)]
        return [*replies, says(f"answer to {exchange.text}")]

    def _transport(self, *names: str) -> list[Any]:
        return [
            item
            for name in names
            for item in calls(name, self._call_id(), f'{{"number": {self.count}}}')
        ]

    def _call_id(self) -> str:
        self.count += 1
        return f"call_{self.count}"


def _options(exchange: Exchange) -> dict[str, Any]:
    settings = SessionSettings(limit=exchange.limit) if exchange.limit else None
    return {
        "max_turns": 3 + exchange.hands_over if exchange.end == "too many steps" else 10,
        "run_config": RunConfig(session_settings=settings),
    }


async def _drain(result: Any) -> Any:
    async for _ in result.stream_events():
        pass
    return result


async def _read_in_part(result: Any) -> None:
    async with aclosing(result.stream_events()) as events:
        await anext(events)


async def _run(session: Session, exchange: Exchange, agent: Agent[Any], turn_id: str) -> Any:
    options, text = _options(exchange), exchange.text
    ours = options | {"session": session, "on_error": "keep", "turn_id": turn_id}
    match exchange.way:
        case "run":
            return await Runner.run(agent, text, **ours)
        case "plain":
            return await agents.Runner.run(agent, text, session=session, **options)
        case "plain stream":
            result = agents.Runner.run_streamed(agent, text, session=session, **options)
            return await _drain(result)
        case "in a turn":
            async with session.turn(turn_id=turn_id, on_error="keep") as turn:
                return await agents.Runner.run(agent, text, session=turn, **options)
    result = Runner.run_streamed(agent, text, **ours)
    if exchange.way == "unread":
        await asyncio.wait({cast("asyncio.Task[Any]", result.run_loop_task)})
    if exchange.way == "read in part":
        await _read_in_part(result)
    return await _drain(result)


async def _of_the_sdk(session: SDKSession, exchange: Exchange, agent: Agent[Any]) -> Any:
    options = _options(exchange)
    if exchange.way in ("run", "plain", "in a turn"):
        return await agents.Runner.run(agent, exchange.text, session=session, **options)
    result = agents.Runner.run_streamed(agent, exchange.text, session=session, **options)
    return await _drain(result)


async def _outcome(work: Any) -> Any:
    try:
        result = await work
    except Exception as error:
        return type(error)
    return result.final_output, result.to_input_list(), result.last_agent.name


@settings(max_examples=20, deadline=None)
@given(script=st.lists(exchanges, min_size=1, max_size=4))
async def test_a_conversation_goes_as_with_the_sdks_session(
    sessions: Sessions, workers: tuple[Session, Session], script: list[Exchange]
) -> None:
    """And a turn that is sent again goes as it went."""
    name, model = sessions.new_id(), agents.SQLiteSession("model")
    ours, theirs = Conversation(), Conversation()
    try:
        for number, exchange in enumerate(script):
            session, turn_id = workers[exchange.worker].bind(name), f"t{number}"
            ours.results.append(
                await _outcome(_run(session, exchange, ours.agent(exchange), turn_id))
            )
            theirs.results.append(
                await _outcome(_of_the_sdk(model, exchange, theirs.agent(exchange)))
            )
            assert ours.results == theirs.results
            assert ours.asked == theirs.asked
            other = workers[1 - exchange.worker].bind(name)
            if exchange.end == "answer" and exchange.way in _TOLD_AGAIN:
                for way in _TOLD_AGAIN:
                    again, agent = replace(exchange, way=way), Conversation().agent(exchange)
                    outcome = await _outcome(_run(other, again, agent, turn_id))
                    assert outcome == theirs.results[-1]
                    assert script_of(agent).asked == []
            async with other.turn() as turn:
                assert await turn.get_items() == await model.get_items()
    finally:
        model.close()


@function_tool
def surrogate() -> str:
    return "\ud83d"


@pytest.mark.parametrize("way", ["run", "stream"])
async def test_odd_items_go_as_with_the_sdks_session(
    sessions: Sessions, workers: tuple[Session, Session], way: Way
) -> None:
    """Also when the turn is sent again. Only what the SDK's session itself alters is left out."""
    odd = [item for name, item in ODD.items() if name != "two halves of a pair as two characters"]
    session, model = workers[0].bind(sessions.new_id()), agents.SQLiteSession("model")
    for number, item in enumerate([*odd, {"role": "user", "content": "\udc00"}]):

        def agent(number: int = number) -> Agent[Any]:
            script = Script(calls("surrogate", f"call_{number}"), says("\ud83d said"))
            return Agent(name="agent", model=script, tools=[surrogate])

        items: list[Any] = [item]
        theirs = await agents.Runner.run(agent(), items, session=model)
        for _ in range(2):
            ours: Any
            if way == "run":
                ours = await Runner.run(agent(), items, session=session, turn_id=str(number))
            else:
                ours = await _drain(
                    Runner.run_streamed(agent(), items, session=session, turn_id=str(number))
                )
            assert ours.final_output == theirs.final_output
            assert exactly(ours.to_input_list(), theirs.to_input_list())
            assert exactly(await session.get_items(), await model.get_items())
    model.close()
