"""Agents of every shape that a turn can have, for tests of takeovers."""

from __future__ import annotations

import asyncio
from typing import Any

import agents
from agents import (
    Agent,
    GuardrailFunctionOutput,
    InputGuardrail,
    ModelProvider,
    OutputGuardrail,
    RunConfig,
    RunHooks,
    function_tool,
    handoff,
)
from agents.tool import FunctionTool
from pydantic import BaseModel

from tests.integration.durable_lab import Ledger, Sage, Scenario, calls, says

_TIMEOUT = 0.1
"""Seconds of a tool that never ends: long enough for it to begin, however busy the machine is."""


def tool(ledger: Ledger, name: str, **settings: Any) -> FunctionTool:
    """A tool that enters itself in the ledger."""

    async def run(word: str = "") -> str:
        ledger.tools[name] += 1
        await asyncio.sleep(0)
        return f"{name}{word}"

    return function_tool(run, name_override=name, **settings)


def plain(ledger: Ledger) -> Agent[Any]:
    return Agent(name="a", model=Sage(ledger, "m", says("hello")))


def two_steps(ledger: Ledger) -> Agent[Any]:
    model = Sage(ledger, "m", calls("one"), calls("two"), says("done"))
    return Agent(name="a", model=model, tools=[tool(ledger, "one"), tool(ledger, "two")])


def parallel(ledger: Ledger) -> Agent[Any]:
    model = Sage(ledger, "m", calls("one", "two", "three"), says("done"))
    return Agent(name="a", model=model, tools=[tool(ledger, n) for n in ("one", "two", "three")])


def handoffs(ledger: Ledger) -> Agent[Any]:
    """To another agent and back again, each with a tool of its own, and model objects."""
    first = Agent(name="first", tools=[tool(ledger, "one")])
    second = Agent(name="second", tools=[tool(ledger, "two")], handoffs=[first])
    first.handoffs = [handoff(second)]
    there, back = calls("transfer_to_second"), calls("transfer_to_first")
    one = Sage(ledger, "one", calls("one"), there, [], [], says("done"))
    first.model = one
    second.model = Sage(ledger, "two", [], [], calls("two"), back)
    return first


def agent_tools(ledger: Ledger) -> Agent[Any]:
    """Two agents as tools at the same time, one of them with an agent as a tool itself."""

    def made(name: str, *tools: Any) -> Agent[Any]:
        used = [t.name for t in tools]
        model = Sage(ledger, name, calls(*used, input="x") if used else says(""), says(name))
        return Agent(name=name, model=model, tools=list(tools))

    deep = made("deep", tool(ledger, "three"))
    left = made("left", tool(ledger, "one"))
    right = made("right", tool(ledger, "two"), deep.as_tool("ask_deep", "asks deep"))
    model = Sage(
        ledger, "m", calls("ask_left", "ask_right", input="x"), calls("four"), says("done")
    )
    tools: list[Any] = [
        left.as_tool("ask_left", ""),
        right.as_tool("ask_right", ""),
        tool(ledger, "four"),
    ]
    return Agent(name="a", model=model, tools=tools)


def twins(ledger: Ledger) -> Agent[Any]:
    """The same agent runs twice at once with the same input: each call has a run of its own.

    One of them has ended before the other one's tool has.
    """

    @function_tool
    async def one() -> str:
        ledger.tools["one"] += 1
        for _ in range(300 * (ledger.tools["one"] - 1)):
            await asyncio.sleep(0)
        return "one"

    inner = Agent(
        name="inner", model=Sage(ledger, "inner", calls("one"), says("inner")), tools=[one]
    )
    tools: list[Any] = [inner.as_tool("left", ""), inner.as_tool("right", "")]
    model = Sage(ledger, "m", calls("left", "right", input="x"), says("done"))
    return Agent(name="a", model=model, tools=tools)


class Asking(RunHooks[Any]):
    """Hooks that run an agent with the run config that they are shown."""

    def __init__(self, ledger: Ledger) -> None:
        self.other = Agent(name="other", model="other", tools=[tool(ledger, "three")])

    async def on_tool_start(self, context: Any, agent: Any, tool: Any) -> None:
        if agent is not self.other:
            await agents.Runner.run(self.other, "x", run_config=context.run_config)


def with_asking_hooks(ledger: Ledger) -> dict[str, Any]:
    models = {"by-name": [calls("one"), calls("two"), says("done")]}
    models["other"] = [calls("three"), says("other")]

    class Named(ModelProvider):
        def get_model(self, model_name: str | None) -> Sage:
            return Sage(ledger, str(model_name), *models[str(model_name)])

    return {"run_config": RunConfig(model_provider=Named()), "hooks": Asking(ledger)}


def guardrails(ledger: Ledger) -> Agent[Any]:
    """Guardrails that run agents: one beside the run, one behind it."""
    judge = Agent(
        name="judge",
        model=Sage(ledger, "judge", calls("look"), says("fine")),
        tools=[tool(ledger, "look")],
    )
    critic = Agent(name="critic", model=Sage(ledger, "critic", says("good")))

    async def before(context: Any, agent: Any, input: Any) -> GuardrailFunctionOutput:
        result = await agents.Runner.run(judge, "judge this", context=context.context)
        return GuardrailFunctionOutput(result.final_output, tripwire_triggered=False)

    async def after(context: Any, agent: Any, output: Any) -> GuardrailFunctionOutput:
        result = await agents.Runner.run(critic, str(output))
        return GuardrailFunctionOutput(result.final_output, tripwire_triggered=False)

    agent = two_steps(ledger)
    agent.input_guardrails = [InputGuardrail(before)]
    agent.output_guardrails = [OutputGuardrail(after)]
    return agent


class Answer(BaseModel):
    text: str


def output_type(ledger: Ledger) -> Agent[Any]:
    agent = two_steps(ledger)
    agent.output_type = Answer
    agent.model = Sage(ledger, "m", calls("one"), calls("two"), says('{"text": "done"}'))
    return agent


def errors(ledger: Ledger) -> Agent[Any]:
    """Tools that fail: with the SDK's text, with a text of their own, and inside an agent."""

    @function_tool
    async def one() -> str:
        ledger.tools["one"] += 1
        raise ValueError("no")

    @function_tool(failure_error_function=lambda context, error: f"told: {error}")
    async def two() -> str:
        ledger.tools["two"] += 1
        raise ValueError("no")

    @function_tool(failure_error_function=None)
    async def three() -> str:
        ledger.tools["three"] += 1
        raise ValueError("no")

    model = Sage(ledger, "inner", calls("three"), says("went on"))
    inner = Agent(name="inner", model=model, tools=[three])
    ask = inner.as_tool("ask", "", failure_error_function=lambda context, error: f"failed: {error}")
    model = Sage(ledger, "m", calls("one"), calls("two"), calls("ask", input="x"), says("done"))
    return Agent(name="a", model=model, tools=[one, two, ask])


def timeouts(ledger: Ledger) -> Agent[Any]:
    @function_tool(timeout=_TIMEOUT)
    async def one() -> str:
        ledger.tools["one"] += 1
        await asyncio.Event().wait()
        return "never"

    @function_tool(timeout=_TIMEOUT, timeout_error_function=lambda context, error: f"late: {error}")
    async def two() -> str:
        ledger.tools["two"] += 1
        await asyncio.Event().wait()
        return "never"

    agent = two_steps(ledger)
    agent.tools = [one, two]
    return agent


class Provider(ModelProvider):
    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def get_model(self, model_name: str | None) -> Sage:
        return Sage(self.ledger, str(model_name), calls("one"), calls("two"), says("done"))


def by_name(ledger: Ledger) -> Agent[Any]:
    agent = two_steps(ledger)
    agent.model = "by-name"
    return agent


def with_provider(ledger: Ledger) -> dict[str, Any]:
    return {"run_config": RunConfig(model_provider=Provider(ledger))}


def with_name(ledger: Ledger) -> dict[str, Any]:
    return {"run_config": {"model_provider": Provider(ledger), "model": "of-config"}}


def with_model(ledger: Ledger) -> dict[str, Any]:
    return {"run_config": RunConfig(model=Provider(ledger).get_model("object"))}


SCENARIOS = {
    "plain": Scenario(plain),
    "two-steps": Scenario(two_steps),
    "parallel": Scenario(parallel),
    "handoffs": Scenario(handoffs),
    "agent-tools": Scenario(agent_tools),
    "twins": Scenario(twins),
    "hooks": Scenario(by_name, options=with_asking_hooks),
    "guardrails": Scenario(guardrails),
    "output-type": Scenario(output_type),
    "errors": Scenario(errors),
    "timeouts": Scenario(timeouts),
    "by-name": Scenario(by_name, options=with_provider),
    "config-name": Scenario(two_steps, options=with_name),
    "config-model": Scenario(two_steps, options=with_model),
}
