"""A streamed run is one turn, however its reader behaves."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from contextlib import aclosing
from typing import Any, cast

import agents
import pytest
from agents import (
    Agent,
    GuardrailFunctionOutput,
    InputGuardrailTripwireTriggered,
    MaxTurnsExceeded,
    OutputGuardrailTripwireTriggered,
    RunResultStreaming,
    function_tool,
    input_guardrail,
    output_guardrail,
)
from agents.testing import ScriptedModel

from tests.integration.stores import KINDS, Sessions, sessions_of
from tests.scripted import agent, broken, calls, echo, outline, says, script_of, weather
from turnwise import Runner
from turnwise.errors import AlreadyCommitted, SessionBusy, StreamIdle, UsageError
from turnwise.session import Session
from turnwise.turns import OnError

pytestmark = pytest.mark.asyncio(loop_scope="module")
STEPS = ["hi", "call call_1", "output call_1: sunny", "It is sunny."]


sessions = sessions_of(KINDS)


@pytest.fixture
def session(sessions: Sessions, worker: Session) -> Session:
    return worker.bind(sessions.new_id())


def forecaster() -> Agent[Any]:
    return agent(calls("weather"), says("It is sunny."), tools=[weather])


async def drain(result: RunResultStreaming) -> list[Any]:
    return [event async for event in result.stream_events()]


async def until_complete(result: RunResultStreaming) -> None:
    async with asyncio.timeout(20):
        while not result.is_complete:
            await asyncio.sleep(0.001)


async def until_idle(session: Session) -> list[str]:
    """The history once no turn is open any more."""
    async with asyncio.timeout(20):
        while (info := await session.info()) is not None and info.open_turn is not None:
            await asyncio.sleep(0.001)
    return outline(await session.get_items())


async def test_the_commit_is_seen_when_the_stream_has_ended(
    sessions: Sessions, session: Session
) -> None:
    result = Runner.run_streamed(forecaster(), "hi", session=session)
    other = sessions.worker().bind(session.session_id)
    await drain(result)
    info = await other.info()
    assert info is not None
    assert info.open_turn is None
    assert outline(await other.get_items()) == STEPS


async def test_the_result_is_the_sdks(session: Session) -> None:
    def scripted() -> Agent[Any]:
        model = ScriptedModel([calls("weather"), says("It is sunny.")])
        return Agent(name="scripted", model=model, tools=[weather])

    model = agents.SQLiteSession("model")
    plain = agents.Runner.run_streamed(scripted(), "hi", session=model)
    ours = Runner.run_streamed(scripted(), "hi", session=session)
    assert isinstance(ours, RunResultStreaming)
    theirs_seen, seen = await drain(plain), await drain(ours)
    assert [_kind(event) for event in seen] == [_kind(event) for event in theirs_seen]
    assert ours.is_complete
    assert plain.is_complete
    assert ours.final_output == plain.final_output == "It is sunny."
    assert ours.to_input_list() == plain.to_input_list()
    assert [type(item) for item in ours.new_items] == [type(item) for item in plain.new_items]
    assert ours.last_agent.name == plain.last_agent.name
    assert len(ours.raw_responses) == len(plain.raw_responses) == 2
    assert (ours.current_turn, ours.max_turns) == (plain.current_turn, plain.max_turns)
    assert ours.run_loop_exception is None
    assert str(ours).replace("TurnResultStreaming", "RunResultStreaming") == str(plain)
    assert await session.get_items() == await model.get_items()
    model.close()


def _kind(event: Any) -> tuple[str, str]:
    data = getattr(event, "data", None)
    return event.type, getattr(event, "name", "") or getattr(data, "type", "")


async def test_two_streams_and_a_run_follow_each_other(session: Session) -> None:
    results = [
        Runner.run_streamed(agent(echo), f"q{number}", session=session) for number in range(3)
    ]
    await asyncio.gather(*(drain(result) for result in results))
    assert sorted(str(result.final_output) for result in results) == [
        "1 items",
        "3 items",
        "5 items",
    ]
    assert (await Runner.run(agent(echo), "q3", session=session)).final_output == "7 items"


async def test_a_stream_that_nobody_reads_is_committed(session: Session) -> None:
    result = Runner.run_streamed(forecaster(), "hi", session=session)
    await until_complete(result)
    assert await until_idle(session) == STEPS


async def test_a_reader_that_breaks_off_does_not_keep_the_run_from_its_commit(
    session: Session,
) -> None:
    result = Runner.run_streamed(forecaster(), "hi", session=session)
    async for _ in result.stream_events():
        break
    await until_complete(result)
    assert await until_idle(session) == STEPS


async def test_a_closed_stream_is_committed_when_it_is_closed(session: Session) -> None:
    result = Runner.run_streamed(forecaster(), "hi", session=session)
    async with aclosing(cast(Any, result.stream_events())) as events:
        await anext(events)
    info = await session.info()
    assert info is not None
    assert info.open_turn is None
    assert outline(await session.get_items()) == STEPS


async def test_a_reader_that_raises_leaves_a_whole_turn(session: Session) -> None:
    result = Runner.run_streamed(forecaster(), "hi", session=session)
    with pytest.raises(ZeroDivisionError):
        async for _ in result.stream_events():
            raise ZeroDivisionError
    await until_complete(result)
    assert await until_idle(session) == STEPS


@pytest.mark.parametrize("read", [0, 1, 3])
async def test_cancel_rolls_back(session: Session, read: int) -> None:
    await session.add_items([{"role": "user", "content": "before"}])
    never = asyncio.Event()

    @function_tool
    async def wait() -> str:
        await never.wait()
        return "never"

    result = Runner.run_streamed(agent(calls("wait"), tools=[wait]), "hi", session=session)
    events = cast(Any, result.stream_events())
    for _ in range(read):
        await anext(events)
    result.cancel()
    assert [event async for event in events] == []
    assert result.is_complete
    assert await until_idle(session) == ["before"]


async def test_cancel_rolls_back_a_run_that_resists(session: Session) -> None:
    started, never = asyncio.Event(), asyncio.Event()

    @function_tool
    async def resist() -> str:
        started.set()
        with contextlib.suppress(asyncio.CancelledError):
            await never.wait()
        return "went on"

    helper = agent(calls("resist"), says("done"), tools=[resist])
    result = Runner.run_streamed(helper, "hi", session=session)
    await started.wait()
    result.cancel()
    await drain(result)
    assert await until_idle(session) == []
    assert await session.info() is None


async def test_cancel_after_the_end_changes_nothing(session: Session) -> None:
    result = Runner.run_streamed(forecaster(), "hi", session=session)
    await drain(result)
    result.cancel()
    assert await drain(result) == []
    assert await until_idle(session) == STEPS


async def test_cancel_after_turn_commits_the_finished_steps(session: Session) -> None:
    result = Runner.run_streamed(forecaster(), "hi", session=session)
    async for event in result.stream_events():
        if event.type == "run_item_stream_event" and event.name == "tool_called":
            result.cancel("after_turn")
    assert await until_idle(session) == STEPS[:3]
    assert result.final_output is None


async def test_a_failing_tool_or_model_rolls_back_and_raises(session: Session) -> None:
    failing = agent(calls("broken"), tools=[broken])
    with pytest.raises(agents.UserError, match="the tool broke"):
        await drain(Runner.run_streamed(failing, "hi", session=session))
    with pytest.raises(ZeroDivisionError):
        await drain(Runner.run_streamed(agent(ZeroDivisionError()), "hi", session=session))
    assert await until_idle(session) == []
    assert await session.info() is None


async def test_what_a_failed_stream_saved_is_kept_on_request(session: Session) -> None:
    endless = agent(calls("weather"), tools=[weather])
    for on_error in ("rollback", "keep"):
        result = Runner.run_streamed(
            endless, on_error, session=session, max_turns=1, on_error=on_error
        )
        with pytest.raises(MaxTurnsExceeded):
            await drain(result)
    assert await until_idle(session) == ["keep", *STEPS[1:3]]


async def test_cancel_rolls_back_also_what_would_be_kept_on_an_error(session: Session) -> None:
    result = Runner.run_streamed(forecaster(), "hi", session=session, on_error="keep")
    async for _ in result.stream_events():
        result.cancel()
    assert await until_idle(session) == []


@pytest.mark.parametrize("parallel", [True, False])
async def test_an_input_guardrail_rolls_back(session: Session, parallel: bool) -> None:
    """In parallel it trips after the model has answered."""
    answered = asyncio.Event()

    @input_guardrail(run_in_parallel=parallel)
    async def guard(*_: Any) -> GuardrailFunctionOutput:
        if parallel:
            await answered.wait()
        return GuardrailFunctionOutput(output_info=None, tripwire_triggered=True)

    def answer(_: list[Any]) -> Any:
        answered.set()
        return says("hello")

    helper = agent(answer, input_guardrails=[guard])
    with pytest.raises(InputGuardrailTripwireTriggered):
        await drain(Runner.run_streamed(helper, "hi", session=session))
    assert await until_idle(session) == []


async def test_a_guardrail_that_trips_unread_rolls_back(session: Session) -> None:
    tripped = asyncio.Event()

    @input_guardrail
    async def guard(*_: Any) -> GuardrailFunctionOutput:
        await asyncio.sleep(0)
        tripped.set()
        return GuardrailFunctionOutput(output_info=None, tripwire_triggered=True)

    result = Runner.run_streamed(
        agent(says("hello"), input_guardrails=[guard]), "hi", session=session
    )
    await tripped.wait()
    task = cast("asyncio.Task[Any]", result.run_loop_task)
    await asyncio.wait({task})
    assert await until_idle(session) == []


async def test_an_output_guardrail_rolls_back(session: Session) -> None:
    @output_guardrail
    async def guard(*_: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(output_info=None, tripwire_triggered=True)

    helper = agent(says("bad"), output_guardrails=[guard])
    with pytest.raises(OutputGuardrailTripwireTriggered):
        await drain(Runner.run_streamed(helper, "hi", session=session))
    assert await until_idle(session) == []


@pytest.mark.parametrize("on_error", ["rollback", "keep"])
async def test_a_reader_that_holds_the_stream_is_cancelled(
    session: Session, caplog: pytest.LogCaptureFixture, on_error: OnError
) -> None:
    """The run waits for its reader before its second step; with none it would wait for ever."""
    result = Runner.run_streamed(
        forecaster(),
        "hi",
        session=session,
        on_error=on_error,
        on_disconnect="rollback",
        stream_idle_timeout=0.05,
    )
    events = cast(Any, result.stream_events())
    await anext(events)
    with caplog.at_level(logging.ERROR, "turnwise"):
        await until_complete(result)
        assert await until_idle(session) == []
    with pytest.raises(StreamIdle, match="stream_idle_timeout"):
        async for _ in events:
            pass
    assert [record.name for record in caplog.records] == ["turnwise"]


async def test_a_slow_reader_of_a_finished_run_is_not_idle(session: Session) -> None:
    result = Runner.run_streamed(
        agent(says("hello")), "hi", session=session, stream_idle_timeout=0.01
    )
    await asyncio.wait({cast("asyncio.Task[Any]", result.run_loop_task)})
    loop = asyncio.get_running_loop()
    async for _ in result.stream_events():
        later = loop.time() + 0.02  # the reader's own pace, which is what is tested
        while loop.time() < later:
            await asyncio.sleep(0)
    assert await until_idle(session) == ["hi", "hello"]


async def test_a_stream_raises_why_its_turn_cannot_begin(session: Session) -> None:
    helper = forecaster()
    async with session.turn(turn_id="t1") as turn:
        await turn.add_items([{"role": "user", "content": "first"}])
        with pytest.raises(SessionBusy):
            await drain(Runner.run_streamed(helper, "hi", session=session, busy="reject"))
    with pytest.raises(AlreadyCommitted) as committed:
        await drain(Runner.run_streamed(helper, "hi", session=session, turn_id="t1"))
    assert outline(committed.value.items) == ["first"]
    assert script_of(helper).asked == []
    assert await until_idle(session) == ["first"]


async def test_an_approved_stream_resumes_in_the_same_turn(session: Session) -> None:
    @function_tool(needs_approval=True)
    def delete() -> str:
        return "deleted"

    helper = agent(calls("delete"), says("gone"), tools=[delete])
    asked = Runner.run_streamed(helper, "delete it", session=session)
    await drain(asked)
    state = asked.to_state()
    state.approve(asked.interruptions[0])
    await drain(Runner.run_streamed(helper, state, session=session))
    assert await until_idle(session) == [
        "delete it",
        "call call_1",
        "output call_1: deleted",
        "gone",
    ]


async def test_options_come_by_position_as_in_the_sdk(session: Session) -> None:
    contexts: list[Any] = []

    class Notes(agents.RunHooks[Any]):
        async def on_agent_start(self, context: Any, agent: Any) -> None:
            contexts.append(context.context)

    hooks = Notes()
    given = {"user": 1}, 5, hooks, None, None, False, None, session
    await drain(Runner.run_streamed(agent(says("hello")), "hi", *given))
    assert contexts == [{"user": 1}]
    assert outline(await session.get_items()) == ["hi", "hello"]
    with pytest.raises(UsageError, match="by position"):
        Runner.run_streamed(agent(says("x")), "hi", {}, context={}, session=session)
