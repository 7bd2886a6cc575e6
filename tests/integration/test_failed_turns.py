"""A turn whose run raises: what a retry continues, and what is kept if no retry can help."""

from __future__ import annotations

from collections import Counter
from typing import Any

import agents
import pytest
from agents import (
    Agent,
    GuardrailFunctionOutput,
    MaxTurnsExceeded,
    OutputGuardrailTripwireTriggered,
    ToolOutputGuardrailTripwireTriggered,
    function_tool,
)
from agents.exceptions import ModelBehaviorError
from agents.tool_guardrails import ToolGuardrailFunctionOutput

from tests.integration.approval_lab import Clerk, asks, waiting
from tests.integration.background_lab import QUICK, output
from tests.integration.stores import Sessions, new_sessions_of
from tests.scripted import agent, calls, outline, says
from turnwise import MemorySession, NoPendingApproval, Runner, idempotency_key, repeatable
from turnwise.errors import AlreadyCommitted, SessionTooLarge, TurnTooLarge
from turnwise.session import Session
from turnwise.turns.cancelled import FAILED

sessions = new_sessions_of(["memory", "sqlite", "valkey"])


class Overloaded(Exception):
    """The provider answers 429."""


class Till:
    """An agent whose tool pays; each model call has a call id of its own, as a provider's has."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.asked = Counter[str]()

    def agent(self, *replies: Any, **options: Any) -> Agent[Any]:
        async def pay() -> str:
            self.keys.append(idempotency_key())
            return "paid"

        def answer(given: list[Any]) -> Any:
            if any(item.get("type") == "function_call_output" for item in given):
                self.asked["after"] += 1
                reply = replies[min(self.asked["after"], len(replies)) - 1]
                if isinstance(reply, Exception):
                    raise reply
                return reply
            self.asked["before"] += 1
            return calls("pay", f"call_{self.asked['before']}")

        return agent(answer, tools=[function_tool(pay)], **options)


HISTORY = ["pay", "call call_1", "output call_1: paid"]


@agents.output_guardrail
def no_secrets(_context: Any, _agent: Any, text: Any) -> GuardrailFunctionOutput:
    return GuardrailFunctionOutput(None, tripwire_triggered="SECRET" in str(text))


@agents.tool_output_guardrail
def no_result(_: Any) -> ToolGuardrailFunctionOutput:
    return ToolGuardrailFunctionOutput.raise_exception()


async def read(result: Any) -> Any:
    async for _ in result.stream_events():
        pass
    return result


async def sent(session: Session, helper: Agent[Any], way: str, **options: Any) -> Any:
    """One sending of the turn "t"."""
    if way == "stream":
        result = Runner.run_streamed(helper, "pay", session=session, turn_id="t", **options)
        return await read(result)
    if way == "block":
        async with session.turn(turn_id="t") as turn:
            return await agents.Runner.run(helper, "pay", session=turn, **options)
    return await Runner.run(helper, "pay", session=session, turn_id="t", **options)


@pytest.mark.parametrize("way", ["run", "stream", "block"])
async def test_a_retry_continues_after_a_provider_s_error(sessions: Sessions, way: str) -> None:
    till, session = Till(), sessions.worker(session_id="s")
    helper = till.agent(Overloaded("429"), Overloaded("503"), says("done"))
    for _ in range(2):
        with pytest.raises(Overloaded):
            await sent(sessions.worker(session_id="s"), helper, way)
        assert await session.get_items() == []
    result = await sent(session, helper, way)
    assert result.final_output == "done"
    assert len(till.keys) == 1
    assert till.asked["before"] == 1
    assert outline(await session.get_items()) == [*HISTORY, "done"]


async def test_a_turn_that_nobody_can_send_again_leaves_nothing(sessions: Sessions) -> None:
    till, session = Till(), sessions.worker(session_id="s")
    with pytest.raises(Overloaded):
        await Runner.run(till.agent(Overloaded("429")), "pay", session=session)
    assert await session.info() is None


async def test_a_retry_asks_again_for_a_response_that_was_of_no_use(sessions: Sessions) -> None:
    till, session = Till(), sessions.worker(session_id="s")
    helper = till.agent(calls("no_such_tool", "c2"), says("done"))
    with pytest.raises(ModelBehaviorError):
        await sent(session, helper, "run")
    result = await sent(session, helper, "run")
    assert (result.final_output, len(till.keys)) == ("done", 1)


async def test_so_does_the_next_attempt_at_a_message(sessions: Sessions) -> None:
    till, session = Till(), sessions.worker(session_id="s")
    helper = till.agent(calls("no_such_tool", "c2"), says("done"))
    receipt = await session.submit(None, "pay", agent="agent")
    await session.drain(None, helper, QUICK)
    assert (await output(receipt), len(till.keys)) == ("done", 1)


async def test_a_retry_repeats_a_repeatable_tool_whose_error_ended_the_turn(
    sessions: Sessions,
) -> None:
    session, ran = sessions.worker(session_id="s"), Counter[str]()

    async def search() -> str:
        ran["search"] += 1
        if ran["search"] == 1:
            raise ConnectionError("reset")
        return "found"

    tool = repeatable(function_tool(search, failure_error_function=None))
    helper = agent(calls("search"), says("done"), tools=[tool])
    with pytest.raises(agents.UserError):
        await sent(session, helper, "run")
    assert (await sent(session, helper, "run")).final_output == "done"
    assert ran["search"] == 2


@pytest.mark.parametrize("way", ["run", "stream", "block"])
@pytest.mark.parametrize("why", ["guardrail", "max_turns"])
async def test_an_error_that_each_attempt_meets_ends_a_turn_whose_tool_ran(
    sessions: Sessions, way: str, why: str
) -> None:
    till, session = Till(), sessions.worker(session_id="s")
    if why == "guardrail":
        helper, options = till.agent(says("SECRET"), output_guardrails=[no_secrets]), {}
    else:
        helper, options = till.agent(says("never")), {"max_turns": 1}
    error = OutputGuardrailTripwireTriggered if why == "guardrail" else MaxTurnsExceeded
    with pytest.raises(error):
        await sent(session, helper, way, **options)
    assert outline(await session.get_items()) == HISTORY
    with pytest.raises(AlreadyCommitted):
        await sent(session, helper, way, **options)
    assert len(till.keys) == 1
    assert (await Runner.run(agent(says("hi")), "hello", session=session)).final_output == "hi"


async def test_without_a_tool_it_leaves_nothing(sessions: Sessions) -> None:
    session = sessions.worker(session_id="s")
    helper = agent(says("SECRET"), says("fine"), output_guardrails=[no_secrets])
    with pytest.raises(OutputGuardrailTripwireTriggered):
        await sent(session, helper, "run")
    assert await session.get_items() == []
    assert (await sent(session, helper, "run")).final_output == "fine"


async def test_calls_of_the_step_that_failed_are_kept_with_outputs(sessions: Sessions) -> None:
    """Of a step that an error ends, the SDK adds only the calls that had ended."""
    session, ran = sessions.worker(session_id="s"), Counter[str]()

    async def pay() -> str:
        ran["pay"] += 1
        return "paid"

    async def send() -> str:
        while not ran["pay"]:
            raise AssertionError("paid first")
        ran["send"] += 1
        raise ConnectionError("reset")

    both = [*calls("pay", "c1"), *calls("send", "c2")]
    tools: list[Any] = [function_tool(pay), function_tool(send, failure_error_function=None)]
    helper = agent(both, says("done"), tools=tools)
    with pytest.raises(agents.UserError, match="reset"):
        await sent(session, helper, "run")
    assert outline(await session.get_items()) == [
        "pay",
        "call c1",
        "output c1: paid",
        "call c2",
        f"output c2: {FAILED}",
    ]
    with pytest.raises(AlreadyCommitted):
        await sent(session, helper, "run")
    assert ran == {"pay": 1, "send": 1}


async def test_an_output_that_a_guardrail_held_back_is_not_kept(sessions: Sessions) -> None:
    till, session = Till(), sessions.worker(session_id="s")
    helper = till.agent(says("never"))
    (tool,) = helper.tools
    assert isinstance(tool, agents.FunctionTool)
    tool.tool_output_guardrails = [no_result]
    with pytest.raises(ToolOutputGuardrailTripwireTriggered):
        await sent(session, helper, "run")
    assert outline(await session.get_items()) == [*HISTORY[:2], f"output call_1: {FAILED}"]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("why", ["guardrail", "max_turns"])
async def test_it_ends_a_turn_that_was_resumed(
    sessions: Sessions, streamed: bool, why: str
) -> None:
    clerk, session = Clerk(), sessions.worker(session_id="s")
    await waiting(session, clerk, "pay", turn_id="t")
    (asked,) = await session.pending_approvals()
    helper = clerk.agent(says("SECRET"))
    if why == "guardrail":
        helper.output_guardrails = [no_secrets]
    else:
        helper = clerk.agent(*(asks("look", again=f"_{count}") for count in range(2, 20)))
    with pytest.raises((OutputGuardrailTripwireTriggered, MaxTurnsExceeded)):
        if streamed:
            await read(await Runner.resume_streamed(helper, session=session, approve=[asked.id]))
        else:
            await Runner.resume(helper, session=session, approve=[asked.id])
    history = outline(await session.get_items())
    assert history[:5] == [
        "go",
        "call of_look",
        "output of_look: look done",
        "call of_pay",
        "output of_pay: pay done",
    ]
    assert "SECRET" not in history
    assert clerk.ran["pay"] == 1
    with pytest.raises(NoPendingApproval):
        await Runner.resume(clerk.agent(says("x")), session=session)
    with pytest.raises(AlreadyCommitted):
        await Runner.run(clerk.agent(says("x")), "go", session=session, turn_id="t")
    assert (await Runner.run(clerk.agent(says("hi")), "on", session=session)).final_output == "hi"


async def test_a_resumed_turn_repeats_a_repeatable_tool_whose_error_ended_the_resumption(
    sessions: Sessions,
) -> None:
    session, ran = sessions.worker(session_id="s"), Counter[str]()

    async def pay() -> str:
        ran["pay"] += 1
        if ran["pay"] == 1:
            raise ConnectionError("reset")
        return "paid"

    tool = function_tool(pay, failure_error_function=None, needs_approval=True)
    helper = agent(calls("pay"), says("done"), tools=[repeatable(tool)])
    await Runner.run(helper, "go", session=session)
    (asked,) = await session.pending_approvals()
    with pytest.raises(agents.UserError):
        await Runner.resume(helper, session=session, approve=[asked.id])
    assert (await Runner.resume(helper, session=session)).final_output == "done"
    assert ran["pay"] == 2


async def test_a_turn_that_the_session_has_no_room_for_does_not_run_again() -> None:
    till, session = Till(), MemorySession(session_id="s", max_session_bytes=100)
    for _ in range(2):
        with pytest.raises(SessionTooLarge):
            await sent(session, till.agent(says("done")), "run")
    assert (len(till.keys), till.asked) == (1, Counter(before=1))


async def test_a_turn_that_cannot_be_parked_keeps_what_its_tools_did(sessions: Sessions) -> None:
    clerk, session = Clerk(), sessions.worker(session_id="s", max_turn_bytes=1500)
    helper = clerk.agent(asks("look"), asks("pay"))
    with pytest.raises(TurnTooLarge):
        await Runner.run(helper, "go", session=session, turn_id="t")
    history = outline(await session.get_items())
    assert history[:3] == ["go", "call of_look", "output of_look: look done"]
    assert history[3:] == ["call of_pay", f"output of_pay: {FAILED}"]
