"""Complex runs, nested and concurrent, whose worker dies at any entry of the journal."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import agents
import pytest
from agents import (
    Agent,
    GuardrailFunctionOutput,
    HandoffInputData,
    OutputGuardrail,
    function_tool,
    handoff,
)
from agents.testing import function_call

from tests.integration.durable_lab import (
    WAYS,
    Lab,
    Ledger,
    Mortal,
    Output,
    Sage,
    Scenario,
    calls,
    last_response_with_commit,
    says,
)
from tests.integration.durable_scenarios import tool, two_steps
from tests.integration.durable_takeovers import (
    check,
    kinds,
    nothing_runs,
    taken_over,
    undisturbed,
    usage,
)
from tests.integration.durable_tools import Server
from turnwise import Runner
from turnwise.durable.calls import OUTCOME_UNKNOWN


def nested(ledger: Ledger) -> Agent[Any]:
    """Two calls at once of one agent, that calls one agent twice at once: call ids all alike."""
    deep = Agent(
        name="deep",
        model=Sage(ledger, "deep", calls("one"), says("deep")),
        tools=[tool(ledger, "one")],
    )
    middle = Agent(
        name="middle",
        model=Sage(ledger, "middle", calls("up", "down", input="y"), calls("two"), says("middle")),
        tools=[deep.as_tool("up", ""), deep.as_tool("down", ""), tool(ledger, "two")],
    )
    model = Sage(ledger, "m", calls("left", "right", input="x"), calls("three"), says("done"))
    tools: list[Any] = [middle.as_tool("left", ""), middle.as_tool("right", "")]
    return Agent(name="a", model=model, tools=[*tools, tool(ledger, "three")])


def cycle(ledger: Ledger) -> Agent[Any]:
    """Three handoffs in a circle, each behind a filter that drops all tools and adds a note."""
    asked = ["one", "transfer_to_second"], ["two", "transfer_to_first"]

    def filtered(data: HandoffInputData) -> HandoffInputData:
        history = data.input_history
        said = [{"role": "user", "content": history}] if isinstance(history, str) else [*history]
        note: Any = {"role": "user", "content": "note"}
        return data.clone(input_history=(*said, note), pre_handoff_items=(), new_items=())

    def reply(items: list[Any]) -> Output:
        notes = sum(item.get("content") == "note" for item in items)
        outputs = sum("output" in item for item in items)
        if notes == 3 and outputs:
            return says("done")
        name = asked[notes % 2][min(outputs, 1)]
        return [function_call(name, "{}", call_id=f"{name}-{notes}")]

    first = Agent(name="first", model=Sage(ledger, "first", reply), tools=[tool(ledger, "one")])
    second = Agent(name="second", model=Sage(ledger, "second", reply), tools=[tool(ledger, "two")])
    first.handoffs = [handoff(second, input_filter=filtered)]
    second.handoffs = [handoff(first, input_filter=filtered)]
    return first


def late(ledger: Ledger) -> Agent[Any]:
    """A tool that takes too long, and is called again."""

    @function_tool(timeout=0.25)
    async def one(wait: bool) -> str:
        ledger.tools["one"] += 1
        if wait:
            await asyncio.Event().wait()
        return "in time"

    again = [function_call("one", '{"wait": false}', call_id="again")]
    model = Sage(ledger, "m", calls("one", wait=True), again, says("done"))
    return Agent(name="a", model=model, tools=[one])


def judged(ledger: Ledger) -> Agent[Any]:
    """Two output guardrails at once, each of which runs an agent that calls an agent."""
    judge = Agent(
        name="judge",
        model=Sage(ledger, "judge", calls("look"), says("fine")),
        tools=[tool(ledger, "look")],
    )
    court = Agent(
        name="court",
        model=Sage(ledger, "court", calls("ask", input="x"), says("fine")),
        tools=[judge.as_tool("ask", "")],
    )

    async def after(context: Any, agent: Any, output: Any) -> GuardrailFunctionOutput:
        result = await agents.Runner.run(court, str(output), context=context.context)
        return GuardrailFunctionOutput(result.final_output, tripwire_triggered=False)

    agent = two_steps(ledger)
    agent.output_guardrails = [OutputGuardrail(after, "one"), OutputGuardrail(after, "two")]
    return agent


SCENARIOS = {
    "nested": Scenario(nested),
    "cycle": Scenario(cycle),
    "late": Scenario(late),
    "judged": Scenario(judged),
}


@pytest.mark.parametrize("way", ["turnwise", "streamed"])
@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_death_at_any_entry_of_a_complex_run_changes_nothing(name: str, way: str) -> None:
    scenario = SCENARIOS[name]
    calm, ledger, entries = await undisturbed(scenario, WAYS[way])
    assert calm.result.final_output == "done"
    for dies_at in range(1, entries + 1):
        for acknowledged in (False, True):
            takeover = await taken_over(scenario, WAYS[way], dies_at, acknowledged=acknowledged)
            check(takeover, calm, ledger)


def asking(ledger: Ledger) -> Agent[Any]:
    """Three that need approval at once: a server's tool, a function, and one inside an agent."""
    inner = Agent(
        name="inner",
        model=Sage(ledger, "inner", calls("two"), says("inner")),
        tools=[tool(ledger, "two", needs_approval=True)],
    )
    model = Sage(
        ledger, "m", [*calls("one", "three"), *calls("ask", input="x")], calls("four"), says("done")
    )
    return Agent(
        name="a",
        model=model,
        mcp_servers=[Server(ledger, "always")],
        tools=[
            inner.as_tool("ask", ""),
            tool(ledger, "three", needs_approval=True),
            tool(ledger, "four"),
        ],
    )


async def resumed(lab: Lab, ledger: Ledger, way: str, store: Any = None) -> Any:
    """Approve everything that is pending, or resume with what was approved."""
    session = lab.session(store)
    ids = [asked.id for asked in await lab.session().pending_approvals()]
    with last_response_with_commit():
        if way == "turnwise":
            return await Runner.resume(asking(ledger), session=session, approve=ids)
        result = await Runner.resume_streamed(asking(ledger), session=session, approve=ids)
        async for _ in result.stream_events():
            pass
        return result


@pytest.mark.parametrize("way", ["turnwise", "streamed"])
async def test_a_death_at_any_entry_of_a_resumed_run_changes_nothing(way: str) -> None:
    calm_lab, calm = Lab(), Ledger()
    await WAYS[way](calm_lab.session(), asking(calm), "go", {})
    store = Mortal(calm_lab.store, None, acknowledged=True)
    assert (await resumed(calm_lab, calm, way, store)).final_output == "done"
    whole = await calm_lab.session().get_items()
    assert store.written > 8
    for dies_at in range(1, store.written + 1):
        for acknowledged in (False, True):
            lab, ledger = Lab(), Ledger()
            await WAYS[way](lab.session(), asking(ledger), "go", {})
            mortal = Mortal(lab.store, dies_at, acknowledged=acknowledged)
            with pytest.raises(Exception, match=r"dead|did not acknowledge"):
                await resumed(lab, ledger, way, mortal)
            await nothing_runs()
            lab.expire()
            assert (await resumed(lab, ledger, way)).final_output == "done"
            history: list[Any] = list(await lab.session().get_items())
            assert len(history) == len(whole)
            unknown = [
                item["call_id"] for item in history if OUTCOME_UNKNOWN in str(item.get("output"))
            ]
            changed = [item for item in history if item not in whole]
            assert [item["call_id"] for item in changed if "output" in item] == unknown
            assert all(count == 1 for count in ledger.tools.values()), (dies_at, ledger.tools)
            ended = set(ledger.tools) | {call.removeprefix("of_") for call in unknown}
            assert ended >= {"one", "three", "four"}


@pytest.mark.parametrize("name", ["nested", "judged", "cycle"])
async def test_a_death_during_a_replay_changes_nothing(name: str) -> None:
    """The second worker loses the store when its reader has seen so many events."""
    scenario, way = SCENARIOS[name], WAYS["streamed"]
    calm, _, entries = await undisturbed(scenario, way)
    for seen in range(0, 16, 3):
        lab, ledger = Lab(), Ledger()
        first = Mortal(lab.store, entries - 2, acknowledged=True)
        with pytest.raises(Exception, match=r"dead|did not acknowledge"):
            await scenario.run(lab, ledger, way, first)
        await nothing_runs()
        lab.expire()
        second = Mortal(lab.store, None, acknowledged=True)
        result = Runner.run_streamed(
            scenario.build(ledger), "go", session=lab.session(second), turn_id="t"
        )
        with suppress(Exception):
            count = 0
            async for _ in result.stream_events():
                count += 1
                second.is_dead = second.is_dead or count > seen
        await nothing_runs()
        lab.expire()
        outcome = await scenario.run(lab, ledger, way)
        if OUTCOME_UNKNOWN not in str(outcome.history):
            assert outcome.history == calm.history
        assert (outcome.events, outcome.deltas) == (calm.events, calm.deltas)
        assert usage(outcome) == usage(calm)
        assert kinds(outcome) == kinds(calm)
