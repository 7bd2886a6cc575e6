"""Code that does not fit its journal: the run restarts if that is safe, else it fails."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import agents
import pytest
from agents import Agent, GuardrailFunctionOutput, InputGuardrail, RunConfig
from agents.run_config import CallModelData, ModelInputData

from tests.integration.durable_lab import WAYS, Lab, Ledger, Mortal, Sage, calls, kinds_of, says
from tests.integration.durable_scenarios import tool
from tests.scripted import outline
from turnwise import ReplayMismatch, Runner, repeatable
from turnwise.journal_entries import (
    ResponseEntry,
    RestartedEntry,
    ToolEndedEntry,
    ToolStartedEntry,
)
from turnwise.session import Session


def desk(ledger: Ledger, *, marked: bool, name: str = "a", also: str = "two") -> Agent[Any]:
    """Two steps with tools; `also` names the second one."""
    tools = [tool(ledger, "one"), tool(ledger, also)]
    model = Sage(ledger, "m", calls("one"), calls(also), says("done"))
    used: list[Any] = [repeatable(each) if marked else each for each in tools]
    return Agent(name=name, model=model, tools=used)


async def die(lab: Lab, agent: Agent[Any], dies_at: int, input: Any = "go", **options: Any) -> None:
    session = lab.session(Mortal(lab.store, dies_at, acknowledged=False))
    with pytest.raises(Exception, match="dead"):
        await Runner.run(agent, input, session=session, turn_id="t", **options)
    lab.expire()


Change = Callable[[Ledger, bool], tuple[Agent[Any], Any, dict[str, Any]]]


def another_name(ledger: Ledger, marked: bool) -> tuple[Agent[Any], Any, dict[str, Any]]:
    return desk(ledger, marked=marked, name="b"), "go", {}


def another_tool(ledger: Ledger, marked: bool) -> tuple[Agent[Any], Any, dict[str, Any]]:
    return desk(ledger, marked=marked, also="three"), "go", {}


def another_input(ledger: Ledger, marked: bool) -> tuple[Agent[Any], Any, dict[str, Any]]:
    return desk(ledger, marked=marked), "stop", {}


def another_shape(ledger: Ledger, marked: bool) -> tuple[Agent[Any], Any, dict[str, Any]]:
    """Seen at the second step: a filter adds an item."""

    def remind(data: CallModelData[Any]) -> ModelInputData:
        given = data.model_data
        if any(item.get("type") == "function_call_output" for item in given.input):
            given.input.append({"role": "developer", "content": "be brief"})
        return given

    config = RunConfig(call_model_input_filter=remind)
    return desk(ledger, marked=marked), "go", {"run_config": config}


CHANGES: list[Change] = [another_name, another_tool, another_input, another_shape]


@pytest.mark.parametrize("change", CHANGES)
async def test_a_run_restarts_if_all_its_tools_may_run_again(change: Change) -> None:
    lab, ledger = Lab(), Ledger()
    await die(lab, desk(ledger, marked=True), 4)
    agent, given, options = change(ledger, True)
    session = lab.session()
    result = await Runner.run(agent, given, session=session, turn_id="t", **options)
    assert result.final_output == "done"
    assert ledger.tools["one"] == 2
    items = await session.get_items()
    assert items[0] == {"role": "user", "content": given}
    assert len([item for item in items if item.get("role") == "user"]) == 1


@pytest.mark.parametrize("way", ["turnwise", "sdk", "streamed", "streamed-sdk"])
@pytest.mark.parametrize("change", CHANGES)
async def test_otherwise_it_fails_and_names_the_tools(change: Change, way: str) -> None:
    lab, ledger = Lab(), Ledger()
    await lab.session().add_items([{"role": "user", "content": "before"}])
    await die(lab, desk(ledger, marked=False), 6)
    agent, given, options = change(ledger, False)
    session = lab.session()
    with pytest.raises(ReplayMismatch, match="one, two") as caught:
        await WAYS[way](session, agent, given, options)
    assert caught.value.tools == ["one", "two"]
    assert caught.value.session_id == "s"
    assert outline(await session.get_items()) == ["before"]
    info = await session.info()
    assert info is not None
    assert info.open_turn is None


@pytest.mark.parametrize("marked", [True, False])
async def test_a_stream_that_has_emitted_events_cannot_restart(marked: bool) -> None:
    lab, ledger = Lab(), Ledger()
    await die(lab, desk(ledger, marked=marked), 4)
    agent, given, options = another_shape(ledger, marked)
    with pytest.raises(ReplayMismatch):
        await WAYS["streamed"](lab.session(), agent, given, options)


async def test_what_was_void_for_the_second_worker_is_void_for_the_third() -> None:
    """What was void for the second worker is void for the third."""
    lab, ledger = Lab(), Ledger()
    await die(lab, desk(ledger, marked=True), 4)
    await die(lab, desk(ledger, marked=True, also="three"), 4)
    assert kinds_of(await lab.journal())[4:] == [
        RestartedEntry,
        ResponseEntry,
        ToolStartedEntry,
        ToolEndedEntry,
    ]
    agent = desk(ledger, marked=True, also="three")
    result = await Runner.run(agent, "go", session=lab.session(), turn_id="t")
    assert result.final_output == "done"
    assert (ledger.tools["one"], ledger.tools["three"]) == (2, 1)


async def test_instructions_may_change() -> None:
    lab, ledger = Lab(), Ledger()
    agent = desk(ledger, marked=False)
    agent.instructions = lambda context, agent: f"It is {datetime.now(UTC)}."
    await die(lab, agent, 4)
    await Runner.run(agent, "go", session=lab.session(), turn_id="t")
    assert ledger.tools["one"] == 1


def judged(ledger: Ledger, word: str) -> Agent[Any]:
    """An agent whose guardrail asks another one, who has a tool."""
    judge = Agent(
        name="judge",
        model=Sage(ledger, "judge", calls("look"), says("fine")),
        tools=[tool(ledger, "look")],
    )

    async def ask(context: Any, agent: Any, input: Any) -> GuardrailFunctionOutput:
        await agents.Runner.run(judge, word)
        return GuardrailFunctionOutput(None, tripwire_triggered=False)

    agent = desk(ledger, marked=False)
    agent.input_guardrails = [InputGuardrail(ask, run_in_parallel=False)]
    return agent


async def test_a_mismatch_of_an_inner_run_is_raised() -> None:
    lab, ledger = Lab(), Ledger()
    await die(lab, judged(ledger, "first"), 3)
    with pytest.raises(ReplayMismatch, match="look"):
        await Runner.run(judged(ledger, "second"), "go", session=lab.session(), turn_id="t")


async def test_a_turn_may_have_several_runs() -> None:
    async def work(session: Session, ledger: Ledger) -> list[Any]:
        async with session.turn(turn_id="t") as turn:
            first = await agents.Runner.run(desk(ledger, marked=False), "go", session=turn)
            await turn.add_items([{"role": "user", "content": "between"}])
            other = Agent(
                name="a",
                model=Sage(ledger, "n", calls("four"), says("done")),
                tools=[tool(ledger, "four")],
            )
            second = await agents.Runner.run(other, "go", session=turn)
            return [first.final_output, second.final_output]

    calm = Ledger()
    await work(Lab().session(), calm)
    for dies_at in range(1, 11):
        lab, ledger = Lab(), Ledger()
        store = Mortal(lab.store, dies_at, acknowledged=False)
        with pytest.raises(Exception, match="dead"):
            await work(lab.session(store), ledger)
        lab.expire()
        before = ledger.models.total()
        journal = await lab.journal()
        assert await work(lab.session(), ledger) == ["done", "done"]
        responses = kinds_of(journal).count(ResponseEntry)
        assert ledger.models.total() - before == calm.models.total() - responses
