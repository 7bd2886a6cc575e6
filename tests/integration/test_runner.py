"""One run is one turn, and all that the SDK's Runner does it does here as well."""

from __future__ import annotations

import asyncio
from typing import Any

import agents
import pytest
from agents import (
    GuardrailFunctionOutput,
    InputGuardrailTripwireTriggered,
    MaxTurnsExceeded,
    OutputGuardrailTripwireTriggered,
    RunConfig,
    SessionSettings,
    function_tool,
    input_guardrail,
    output_guardrail,
)
from agents.run_config import CallModelData, ModelInputData
from pydantic import BaseModel

from tests.integration.stores import KINDS, Sessions, sessions_of
from tests.scripted import agent, broken, calls, echo, outline, says, script_of, weather
from turnwise import Runner
from turnwise.errors import (
    AlreadyCommitted,
    BusyTimeout,
    SessionBusy,
    UnboundSession,
    UsageError,
)
from turnwise.session import Session

pytestmark = pytest.mark.asyncio(loop_scope="module")


sessions = sessions_of(KINDS)


@pytest.fixture
def session(sessions: Sessions, worker: Session) -> Session:
    return worker.bind(sessions.new_id())


async def test_two_workers_continue_each_others_conversation(sessions: Sessions) -> None:
    name, first, second = sessions.new_id(), sessions.worker(), sessions.worker()
    helper = agent(calls("weather"), says("It is sunny."), echo, tools=[weather])
    result = await Runner.run(helper, "weather?", session=first, session_id=name)
    assert result.final_output == "It is sunny."
    result = await Runner.run(helper, "thanks", session=second.bind(name))
    assert result.final_output == "5 items"
    history = await first.bind(name).get_items()
    assert outline(history) == [
        "weather?",
        "call call_1",
        "output call_1: sunny",
        "It is sunny.",
        "thanks",
        "5 items",
    ]
    info = await first.info(name)
    assert info is not None
    assert (info.turns, info.open_turn) == (2, None)


async def test_concurrent_runs_do_not_interleave_and_each_sees_those_before(
    sessions: Sessions,
) -> None:
    name = sessions.new_id()
    helper = agent(echo)
    results = await asyncio.gather(
        *(
            Runner.run(helper, f"q{number}", session=sessions.worker(), session_id=name)
            for number in range(3)
        )
    )
    said = sorted(str(result.final_output) for result in results)
    assert said == ["1 items", "3 items", "5 items"]
    history = outline(await sessions.worker().bind(name).get_items())
    assert sorted(history[::2]) == ["q0", "q1", "q2"]
    assert history[1::2] == said


@pytest.mark.parametrize("trip", [True, False])
@pytest.mark.parametrize("parallel", [True, False])
async def test_an_input_guardrail_rolls_the_turn_back(
    session: Session, parallel: bool, trip: bool
) -> None:
    @input_guardrail(run_in_parallel=parallel)
    async def guard(*_: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(output_info=None, tripwire_triggered=trip)

    helper = agent(says("hello"), input_guardrails=[guard])
    if trip:
        with pytest.raises(InputGuardrailTripwireTriggered):
            await Runner.run(helper, "hi", session=session)
    else:
        await Runner.run(helper, "hi", session=session)
    assert outline(await session.get_items()) == ([] if trip else ["hi", "hello"])


async def test_an_output_guardrail_rolls_the_turn_back(session: Session) -> None:
    @output_guardrail
    async def guard(*_: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(output_info=None, tripwire_triggered=True)

    await Runner.run(agent(says("first")), "one", session=session)
    with pytest.raises(OutputGuardrailTripwireTriggered):
        await Runner.run(agent(says("bad"), output_guardrails=[guard]), "two", session=session)
    assert outline(await session.get_items()) == ["one", "first"]


async def test_what_a_failed_run_saved_is_kept_on_request_only(session: Session) -> None:
    for on_error in ("rollback", "keep"):
        helper = agent(calls("weather"), tools=[weather])
        with pytest.raises(MaxTurnsExceeded):
            await Runner.run(
                helper,
                on_error,
                session=session,
                max_turns=1,
                on_error=on_error,
            )
    assert outline(await session.get_items()) == [
        "keep",
        "call call_1",
        "output call_1: sunny",
    ]


async def test_a_failing_model_or_tool_rolls_back(session: Session) -> None:
    with pytest.raises(ZeroDivisionError):
        await Runner.run(agent(ZeroDivisionError()), "hi", session=session)
    with pytest.raises(agents.UserError, match="the tool broke"):
        await Runner.run(agent(calls("broken"), tools=[broken]), "hi", session=session)
    assert await session.get_items() == []
    assert await session.info() is None


async def test_the_sdks_error_handlers_work(session: Session) -> None:
    def handler(data: agents.RunErrorHandlerInput[Any]) -> agents.RunErrorHandlerResult:
        return agents.RunErrorHandlerResult(final_output="enough")

    result = await Runner.run(
        agent(calls("weather"), tools=[weather]),
        "hi",
        session=session,
        max_turns=1,
        error_handlers={"max_turns": handler},
    )
    assert result.final_output == "enough"
    assert outline(await session.get_items())[-1] == "enough"


async def test_handoffs_context_hooks_and_output_types_pass_through(session: Session) -> None:
    class Answer(BaseModel):
        number: int

    class Hooks(agents.RunHooks[Any]):
        async def on_agent_start(self, context: Any, agent: Any) -> None:
            context.context.append(agent.name)

    specialist = agent(says('{"number": 7}'), output_type=Answer)
    specialist.name = "specialist"
    helper = agent(calls("transfer_to_specialist"), handoffs=[specialist])
    visited: list[str] = []
    result = await Runner.run(helper, "how many?", session=session, context=visited, hooks=Hooks())
    assert result.final_output == Answer(number=7)
    assert result.last_agent is specialist
    assert visited == ["agent", "specialist"]
    assert outline(await session.get_items())[-1] == '{"number": 7}'


async def test_the_callers_input_callback_and_filter_are_called(session: Session) -> None:
    await session.add_items([{"role": "user", "content": "old"}, {"role": "user", "content": "x"}])

    def combine(history: list[Any], new: list[Any]) -> list[Any]:
        return history[-1:] + new

    def shorten(data: CallModelData[Any]) -> ModelInputData:
        given: list[Any] = data.model_data.input
        items = [item | {"content": item["content"].upper()} for item in given]
        return ModelInputData(input=items, instructions="be short")

    config = RunConfig(session_input_callback=combine, call_model_input_filter=shorten)
    helper = agent(says("hello"))
    await Runner.run(helper, "new", session=session, run_config=config)
    assert outline(script_of(helper).asked[0]) == ["X", "NEW"]
    assert outline(await session.get_items()) == ["old", "x", "new", "hello"]


async def test_a_limit_of_the_run_or_of_the_session_bounds_what_the_model_sees(
    session: Session,
) -> None:
    await session.add_items([{"role": "user", "content": str(number)} for number in range(5)])
    helper = agent(says("ok"))
    config = RunConfig(session_settings=SessionSettings(limit=2))
    await Runner.run(helper, "a", session=session, run_config=config)
    await Runner.run(helper, "b", session=session.bind(session.session_id, limit=1))
    assert [outline(asked) for asked in script_of(helper).asked] == [["3", "4", "a"], ["ok", "b"]]
    assert len(await session.get_items()) == 9


@pytest.mark.parametrize("approved", [True, False])
async def test_an_approved_run_resumes_in_the_same_turn(session: Session, approved: bool) -> None:
    ran: list[str] = []

    @function_tool(needs_approval=True)
    def delete() -> str:
        ran.append("once")
        return "deleted"

    helper = agent(calls("delete"), says("gone"), tools=[delete])
    asked = await Runner.run(helper, "delete it", session=session, turn_id="approved")
    assert len(asked.interruptions) == 1
    assert outline(await session.get_items()) == []
    state = await agents.RunState.from_string(helper, asked.to_state().to_string())
    (interruption,) = state.get_interruptions()
    state.approve(interruption) if approved else state.reject(interruption)
    result = await Runner.run(helper, state, session=session)
    assert result.final_output == "gone"
    assert ran == ["once"] * approved
    first, called, done, said = outline(await session.get_items())
    assert (first, called, said) == ("delete it", "call call_1", "gone")
    assert done.startswith("output call_1")
    again = await Runner.run(helper, "delete it", session=session, turn_id="approved")
    assert again.final_output == "gone"
    assert ran == ["once"] * approved


async def test_a_turn_id_runs_once(sessions: Sessions, session: Session) -> None:
    helper = agent(says("hello"))
    runs = [
        Runner.run(helper, "hi", session=worker, session_id=session.session_id, turn_id="t1")
        for worker in (session, sessions.worker(), sessions.worker())
    ]
    results = await asyncio.gather(*runs)
    assert len(script_of(helper).asked) == 1
    assert [result.final_output for result in results] == ["hello"] * 3
    history = await session.get_items()
    assert outline(history) == ["hi", "hello"]
    with pytest.raises(AlreadyCommitted) as caught:
        async with session.turn(turn_id="t1"):
            pass
    assert (caught.value.items, caught.value.turn_id) == (history, "t1")
    assert caught.value.session_id == session.session_id
    assert caught.value.committed_at > 0


@pytest.mark.parametrize("count", [0, 3, 255, 256, 257, 700])
async def test_a_retry_gets_all_that_the_turn_added(
    sessions: Sessions, session: Session, count: int
) -> None:
    items: list[Any] = [{"role": "user", "content": str(number)} for number in range(count)]
    await session.add_items([{"role": "user", "content": "before"}])
    async with session.turn(turn_id="t1") as turn:
        await turn.add_items(items)
    await session.add_items([{"role": "user", "content": "after"}])
    other = sessions.worker().bind(session.session_id)
    with pytest.raises(AlreadyCommitted) as committed:
        await Runner.run(agent(), "hi", session=other, turn_id="t1")
    assert committed.value.items == items
    await session.clear_session()
    with pytest.raises(AlreadyCommitted) as committed:
        await Runner.run(agent(), "hi", session=other, turn_id="t1")
    assert committed.value.items == []


async def test_a_busy_session_is_refused_or_waited_for(
    sessions: Sessions, session: Session
) -> None:
    other, helper = sessions.worker(), agent(says("hello"))
    name = session.session_id
    async with session.turn() as turn:
        with pytest.raises(SessionBusy, match=turn.turn_id):
            await Runner.run(helper, "hi", session=other, session_id=name, busy="reject")
        with pytest.raises(BusyTimeout):
            await Runner.run(helper, "hi", session=other, session_id=name, timeout=0.01)
        waiting = asyncio.create_task(
            Runner.run(helper, "hi", session=other, session_id=name, timeout=None)
        )
        async with asyncio.timeout(10):
            while not (info := await session.info()) or not info.queued:
                await asyncio.sleep(0)
        await turn.add_items([{"role": "user", "content": "first"}])
    await waiting
    assert outline(await session.get_items()) == ["first", "hi", "hello"]
    assert len(script_of(helper).asked) == 1


async def test_the_plain_sdk_takes_a_bound_session_or_a_turn(session: Session) -> None:
    helper = agent(calls("weather"), says("sunny"), echo, tools=[weather])
    await agents.Runner.run(helper, "hi", session=session)
    assert len(await session.get_items()) == 4
    async with session.turn() as turn:
        await agents.Runner.run(helper, "two", session=turn)
        streamed = agents.Runner.run_streamed(helper, "three", session=turn)
        async for _ in streamed.stream_events():
            pass
        result = await Runner.run(helper, "four", session=turn)
        assert len(await session.get_items()) == 4
    assert result.final_output == "9 items"
    info = await session.info()
    assert info is not None
    assert len(await session.get_items()) == info.items == 10


async def test_other_sessions_are_the_sdks_business(session: Session) -> None:
    helper = agent(says("hello"))
    foreign = agents.SQLiteSession("foreign")
    await Runner.run(helper, "hi", session=foreign)
    assert outline(await foreign.get_items()) == ["hi", "hello"]
    assert (await Runner.run(helper, "hi")).final_output == "hello"
    assert (await Runner.run(helper, "hi", session=None)).final_output == "hello"
    for extra in ({"session_id": "x"}, {"turn_id": "x"}):
        with pytest.raises(UsageError, match="a Turnwise session"):
            await Runner.run(helper, "hi", session=foreign, **extra)  # type: ignore[arg-type]  # str, str
        with pytest.raises(UsageError, match="a Turnwise session"):
            Runner.run_streamed(helper, "hi", **extra)  # type: ignore[arg-type]  # as above
    foreign.close()


async def test_an_unbound_session_is_no_session(worker: Session) -> None:
    helper = agent(says("hello"))
    with pytest.raises(UnboundSession, match="bind"):
        await Runner.run(helper, "hi", session=worker)
    with pytest.raises(UnboundSession, match="bind"):
        Runner.run_streamed(helper, "hi", session=worker)
    with pytest.raises(UnboundSession, match="bind"):
        await agents.Runner.run(helper, "hi", session=worker)
    assert script_of(helper).asked == []


async def test_a_word_that_is_none_of_the_choices_is_refused_before_anything_runs(
    session: Session,
) -> None:
    helper = agent(says("hello"))
    wrong: Any
    for wrong in ({"busy": "queue"}, {"on_error": "ignore"}):
        with pytest.raises(UsageError, match="is not one of"):
            await Runner.run(helper, "hi", session=session, **wrong)
    assert script_of(helper).asked == []
    assert await session.info() is None


async def test_what_the_sdk_refuses_leaves_no_turn_behind(session: Session) -> None:
    with pytest.raises(agents.UserError):
        await Runner.run(agent(), "hi", session=session, conversation_id="conv_1")
    with pytest.raises(agents.UserError):
        streamed = Runner.run_streamed(agent(), "hi", session=session, conversation_id="conv_1")
        async for _ in streamed.stream_events():
            pass
    assert await session.info() is None
