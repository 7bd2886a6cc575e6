"""A turn that is lost or cancelled ends its run at once, however deep in tools the run is."""

from __future__ import annotations

import asyncio
from typing import Any

import agents
import pytest
from agents import Agent, GuardrailFunctionOutput, OutputGuardrail, RunHooks, function_tool

from tests.integration.durable_lab import (
    WAYS,
    Lab,
    Ledger,
    Mortal,
    Sage,
    Scenario,
    calls,
    kinds_of,
    read,
    says,
)
from tests.integration.durable_scenarios import tool
from tests.integration.durable_tools import Server
from turnwise import Runner
from turnwise.durable.calls import OUTCOME_UNKNOWN
from turnwise.errors import LeaseLost, SessionGone, TurnCancelled
from turnwise.journal_entries import ResponseEntry
from turnwise.turns import Turn
from turnwise.types import Grant


class Stage:
    """An agent whose tool does something to its own turn, and another tool that must not run."""

    def __init__(self, lab: Lab, event: str) -> None:
        self.lab = lab
        self.event = event
        self.ledger = Ledger()

    def agent(self, *, deep: bool) -> Agent[Any]:
        @function_tool(failure_error_function=lambda context, error: f"hidden: {error}")
        async def strike() -> str:
            self.ledger.tools["strike"] += 1
            await self._strike()
            return "struck"

        @function_tool
        async def never() -> str:
            self.ledger.tools["never"] += 1
            return "never"

        replies = calls("strike"), calls("never"), says("done")
        inner = Agent(
            name="inner", model=Sage(self.ledger, "inner", *replies), tools=[strike, never]
        )
        if not deep:
            return inner
        model = Sage(self.ledger, "m", calls("ask", input="x"), says("done"))
        return Agent(name="a", model=model, tools=[inner.as_tool("ask", "")])

    async def _strike(self) -> None:
        if self.event == "deleted":
            await self.lab.store.delete("s")
        else:
            self.lab.expire()
            grant = await self.lab.store.begin("s", "t", "thief", 15_000, worker="thief")
            assert isinstance(grant, Grant)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("deep", [False, True], ids=["at the top", "inside an agent"])
@pytest.mark.parametrize(("event", "error"), [("taken over", LeaseLost), ("deleted", SessionGone)])
async def test_a_lost_turn_ends_its_run_at_once(
    way: str, deep: bool, event: str, error: type[Exception]
) -> None:
    stage = Stage(Lab(), event)
    with pytest.raises(error) as caught:
        await WAYS[way](stage.lab.session(), stage.agent(deep=deep), "go", {})
    assert type(caught.value).__name__ == error.__name__
    assert stage.ledger.tools == {"strike": 1}
    assert stage.ledger.models.total() == 1 + deep


class Striking(RunHooks[Any]):
    """Ends the turn from outside, right before something that would cost."""

    def __init__(self, at: str) -> None:
        self.at = at
        self.turn: Turn | None = None

    async def on_llm_start(self, context: Any, agent: Any, *given: Any) -> None:
        self._strike("model")

    async def on_tool_start(self, context: Any, agent: Any, tool: Any) -> None:
        self._strike("tool")

    def _strike(self, at: str) -> None:
        assert self.turn is not None
        if at == self.at:
            self.turn.fail(LeaseLost("lost", session_id="s"))


@pytest.mark.parametrize(("at", "asked"), [("model", 0), ("tool", 1)])
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_lost_turn_begins_no_model_or_tool_call(
    at: str, asked: int, streamed: bool
) -> None:
    stage, hooks = Stage(Lab(), "deleted"), Striking(at)
    agent = stage.agent(deep=False)
    with pytest.raises(LeaseLost):
        async with stage.lab.session().turn(turn_id="t") as turn:
            hooks.turn = turn.turn
            if streamed:
                await read(agents.Runner.run_streamed(agent, "go", session=turn, hooks=hooks))
            await agents.Runner.run(agent, "go", session=turn, hooks=hooks)
    assert (stage.ledger.models.total(), stage.ledger.tools.total()) == (asked, 0)


async def test_a_takeover_of_a_cancelled_turn_raises_turn_cancelled() -> None:
    lab, ledger = Lab(), Ledger()

    @function_tool
    async def one() -> str:
        ledger.tools["one"] += 1
        return "one"

    agent = Agent(name="a", model=Sage(ledger, "m", calls("one"), says("done")), tools=[one])
    session = lab.session(Mortal(lab.store, 3, acknowledged=False))
    with pytest.raises(Exception, match="dead"):
        await Runner.run(agent, "go", session=session, turn_id="t")
    await lab.store.cancel("s", "t")
    lab.expire()
    with pytest.raises(TurnCancelled):
        await Runner.run(agent, "go", session=lab.session(), turn_id="t")
    assert ledger.models.total() == 1


@pytest.mark.parametrize("way", ["turnwise", "streamed"])
@pytest.mark.parametrize("kind", ["function", "server"])
async def test_a_resumed_run_is_taken_over(way: str, kind: str) -> None:
    """The approved tool had begun. Neither it nor the model runs again."""
    ledger = Ledger()

    def agent() -> Agent[Any]:
        if kind == "server":
            model = Sage(ledger, "m", calls("one"), says("done"))
            return Agent(name="a", model=model, mcp_servers=[Server(ledger, "always")])

        @function_tool(name_override="one", needs_approval=True)
        async def pay() -> str:
            ledger.tools["one"] += 1
            return "from afar"

        model = Sage(ledger, "m", calls("one"), says("done"))
        return Agent(name="a", model=model, tools=[pay])

    async def approved() -> Any:
        state = await agents.RunState.from_string(agent(), text)
        for item in state.get_interruptions():
            state.approve(item)
        return state

    text = (await agents.Runner.run(agent(), "go")).to_state().to_string()
    for dies_at, paid in ((1, 0), (2, 1)):
        ledger.tools.clear()
        lab = Lab()
        store = Mortal(lab.store, dies_at, acknowledged=False)
        with pytest.raises(Exception, match="dead"):
            await WAYS[way](lab.session(store), agent(), await approved(), {})
        lab.expire()
        result, _, _ = await WAYS[way](lab.session(), agent(), await approved(), {})
        assert result.final_output == "done"
        assert ledger.tools["one"] == paid
        (output,) = [i.output for i in result.new_items if i.type == "tool_call_output_item"]
        assert ("from afar" if paid else OUTCOME_UNKNOWN) in str(output)


async def test_code_left_over_from_a_closed_run_writes_no_entries() -> None:
    """What a tool leaves running is no part of the turn once the run that called it is over."""
    ledger, tasks = Ledger(), []
    go = asyncio.Event()
    model = Sage(ledger, "other", calls("two"), says("late"))
    other = Agent(name="other", model=model, tools=[tool(ledger, "two")])

    async def later() -> Any:
        await go.wait()
        return await agents.Runner.run(other, "x")

    @function_tool
    async def one() -> str:
        tasks.append(asyncio.create_task(later()))
        return "one"

    agent = Agent(name="a", model=Sage(ledger, "m", calls("one"), says("done")), tools=[one])
    lab = Lab()
    store = Mortal(lab.store, None, acknowledged=True)
    async with lab.session(store).turn(turn_id="t") as turn:
        await agents.Runner.run(agent, "go", session=turn)
        before = [entry for entry in store.entries if not isinstance(entry, ResponseEntry)]
        go.set()
        assert (await tasks[0]).final_output == "late"
        assert [entry for entry in store.entries if not isinstance(entry, ResponseEntry)] == before


async def test_a_turn_without_tools_writes_no_journal() -> None:
    """Its response is not written if the commit comes soon."""
    agent = Agent(name="a", model=Sage(Ledger(), "m", says("hello")))
    lab = Lab()
    store = Mortal(lab.store, None, acknowledged=True)
    await Scenario(lambda ledger: agent).run(lab, Ledger(), WAYS["turnwise"], store)
    assert store.written == 0


async def test_a_last_response_is_journaled_soon() -> None:
    """A guardrail takes its time: should the worker die in it, the response is not paid again."""
    lab = Lab()
    store = Mortal(lab.store, None, acknowledged=True)

    async def slow(context: Any, agent: Any, output: Any) -> GuardrailFunctionOutput:
        while not store.written:
            await asyncio.sleep(0.01)
        return GuardrailFunctionOutput(None, tripwire_triggered=False)

    agent = Agent(name="a", model=Sage(Ledger(), "m", says("hello")))
    agent.output_guardrails = [OutputGuardrail(slow)]
    await Runner.run(agent, "go", session=lab.session(store), turn_id="t")
    assert kinds_of(store.entries) == [ResponseEntry]
