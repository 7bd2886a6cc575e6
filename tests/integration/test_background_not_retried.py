"""Errors that another attempt would run into again: the message is dead-lettered at once."""

from __future__ import annotations

from typing import Any

import agents
import pytest
from agents import Agent, GuardrailFunctionOutput, function_tool
from agents.tool_guardrails import ToolGuardrailFunctionOutput

from tests.integration.background_lab import QUICK, echo, output
from tests.scripted import agent, calls, says
from turnwise import MemorySession


@agents.input_guardrail
def no_input(*_: Any) -> GuardrailFunctionOutput:
    return GuardrailFunctionOutput(None, tripwire_triggered=True)


@agents.output_guardrail
def no_output(*_: Any) -> GuardrailFunctionOutput:
    return GuardrailFunctionOutput(None, tripwire_triggered=True)


@agents.tool_input_guardrail
def no_arguments(_: Any) -> ToolGuardrailFunctionOutput:
    return ToolGuardrailFunctionOutput.raise_exception()


@agents.tool_output_guardrail
def no_result(_: Any) -> ToolGuardrailFunctionOutput:
    return ToolGuardrailFunctionOutput.raise_exception()


def guarded(**guardrails: Any) -> Agent[Any]:
    @function_tool
    def look() -> str:
        return "seen"

    look.tool_input_guardrails = guardrails.pop("before", None)
    look.tool_output_guardrails = guardrails.pop("after", None)
    return agent(calls("look"), says("done"), tools=[look], **guardrails)


def restless() -> Agent[Any]:
    @function_tool
    def look() -> str:
        return "seen"

    return agent(*[calls("look")] * 20, tools=[look])


@pytest.mark.parametrize(
    ("hopeless", "error"),
    [
        (guarded(input_guardrails=[no_input]), "InputGuardrailTripwireTriggered"),
        (guarded(output_guardrails=[no_output]), "OutputGuardrailTripwireTriggered"),
        (guarded(before=[no_arguments]), "ToolInputGuardrailTripwireTriggered"),
        (guarded(after=[no_result]), "ToolOutputGuardrailTripwireTriggered"),
        (restless(), "MaxTurnsExceeded"),
    ],
)
async def test_it_is_dead_lettered_at_once(hopeless: Agent[Any], error: str) -> None:
    session = MemorySession()
    await session.submit("s", "hello", agent="hopeless")
    behind = await session.submit("s", "hello", agent="echo")
    assert await session.drain("s", {"hopeless": hopeless, "echo": echo()}, QUICK) == 2
    (letter,) = await session.dead_letters()
    assert (letter.attempts, letter.error.partition(":")[0]) == (1, error)
    assert await output(behind) == "re: hello"
