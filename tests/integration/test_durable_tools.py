"""Every kind of tool over a takeover: ended calls are replayed, others have unknown outcomes."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import closing
from typing import Any

import agents
import pytest
from agents import (
    Agent,
    function_tool,
)

from tests.integration.durable_lab import WAYS, Lab, Ledger, Mortal, Sage, Scenario, calls, says
from tests.integration.durable_takeovers import check, taken_over, undisturbed
from tests.integration.durable_tools import (
    KINDS,
    agent_in_tool,
    counted,
    made_repeatable,
    not_marked,
    tool_in_tool,
)
from turnwise import Runner, idempotency_key
from turnwise.durable.calls import OUTCOME_UNKNOWN
from turnwise.errors import UsageError
from turnwise.journal_entries import ResponseEntry


@pytest.mark.parametrize("name", KINDS)
async def test_a_death_at_any_entry_changes_nothing(name: str) -> None:
    scenario = Scenario(KINDS[name])
    calm, ledger, entries = await undisturbed(scenario, WAYS["turnwise"])
    assert entries > 2
    steps = range(1, entries + 1) if entries < 20 else (2, 7, 13, 14, 20, entries)
    for dies_at in steps:
        takeover = await taken_over(scenario, WAYS["turnwise"], dies_at, acknowledged=False)
        check(takeover, calm, ledger)


@pytest.mark.parametrize(
    "scenario",
    [
        Scenario(made_repeatable),
        Scenario(not_marked, settings={"repeatable_tools": ("one",)}),
    ],
    ids=["marked", "by setting"],
)
async def test_a_repeatable_tool_runs_again(scenario: Scenario) -> None:
    takeover = await taken_over(scenario, WAYS["sdk"], 3, acknowledged=True)
    assert sorted(takeover.unknown) == ["one", "two"]
    assert takeover.ledger.tools - takeover.by_first.tools == Counter(one=1)
    outputs = [item["output"] for item in takeover.outcome.history if "output" in item]
    assert outputs == ["one", OUTCOME_UNKNOWN]
    assert len(takeover.ledger.keys["one"]) == 1


async def test_a_tool_that_a_tool_calls_has_no_entries() -> None:
    scenario = Scenario(tool_in_tool)
    _, ledger, entries = await undisturbed(scenario, WAYS["sdk"])
    assert (entries, ledger.tools) == (3, Counter(one=1, two=1))
    takeover = await taken_over(scenario, WAYS["sdk"], 3, acknowledged=False)
    assert takeover.ledger.tools == ledger.tools
    outputs = [item["output"] for item in takeover.outcome.history if "output" in item]
    assert outputs == ["one and two"]


async def test_an_unknown_outcome_stays_unknown() -> None:
    """Two workers die, one after the other. The second had passed it on to the model already.

    The third may run the tool again, but the model must not see two outcomes.
    """
    lab, ledger = Lab(), Ledger()
    scenario = Scenario(not_marked)
    for dies_at in (2, 1):
        store = Mortal(lab.store, dies_at, acknowledged=False)
        with pytest.raises(Exception, match="dead"):
            await scenario.run(lab, ledger, WAYS["sdk"], store)
        lab.expire()
    marked = Scenario(made_repeatable)
    outcome = await marked.run(lab, ledger, WAYS["sdk"])
    outputs = [item["output"] for item in outcome.history if "output" in item]
    assert outputs[0] == OUTCOME_UNKNOWN
    assert ledger.tools["one"] == 0


async def test_an_agent_in_a_repeatable_tool_is_replayed() -> None:
    scenario = Scenario(agent_in_tool)
    _, ledger, entries = await undisturbed(scenario, WAYS["sdk"])
    assert ledger.tools == Counter(one=2)
    assert len(ledger.keys["one"]) == 2
    for dies_at in range(1, entries + 1):
        takeover = await taken_over(scenario, WAYS["sdk"], dies_at, acknowledged=False)
        responses = len(takeover.entries(ResponseEntry))
        live = takeover.ledger.models.total() - takeover.by_first.models.total()
        assert live == ledger.models.total() - responses
        ran = Counter(takeover.ended)["one"] + ("one" in takeover.unknown)
        assert takeover.ledger.tools["one"] - takeover.by_first.tools["one"] == 2 - ran


async def test_idempotency_keys_are_unique_to_the_call() -> None:
    """The same call id has another key in another turn, session, or enclosing call."""
    ledger = Ledger()
    inner = Agent(
        name="inner",
        model=Sage(ledger, "inner", calls("one"), says("inner")),
        tools=[counted(ledger, "one")],
    )
    tools: list[Any] = [inner.as_tool("left", ""), inner.as_tool("right", "")]
    model = Sage(ledger, "m", calls("left", "right", input="x"), says("done"))
    agent = Agent(name="a", model=model, tools=tools)
    session = Lab().session()
    await Runner.run(agent, "go", session=session, turn_id="t1")
    await session.clear_session()
    await Runner.run(agent, "go", session=session, turn_id="t2")
    await Runner.run(agent, "go", session=session.bind("other"), turn_id="t1")
    assert len(ledger.keys["one"]) == 6
    assert {len(key) for key in ledger.keys["one"]} == {40}


async def test_an_idempotency_key_needs_a_turn() -> None:
    with pytest.raises(UsageError, match="in a turn"):
        idempotency_key()
    ledger = Ledger()
    agent = Agent(
        name="a",
        model=Sage(ledger, "m", calls("one"), says("done")),
        tools=[function_tool(idempotency_key, name_override="one", failure_error_function=None)],
    )
    with pytest.raises(agents.UserError, match="in a turn"):
        await agents.Runner.run(agent, "go")


def by_run_sync(inner: Agent[Any]) -> Any:
    asyncio.set_event_loop(asyncio.new_event_loop())
    with closing(asyncio.get_event_loop()):
        return agents.Runner.run_sync(inner, "x").final_output


def by_asyncio_run(inner: Agent[Any]) -> Any:
    async def ran() -> Any:
        return (await agents.Runner.run(inner, "x")).final_output

    return asyncio.run(ran())


def by_a_stream(inner: Agent[Any]) -> Any:
    async def ran() -> Any:
        result = agents.Runner.run_streamed(inner, "x")
        async for _ in result.stream_events():
            pass
        return result.final_output

    return asyncio.run(ran())


@pytest.mark.parametrize("way", [by_run_sync, by_asyncio_run, by_a_stream])
async def test_an_agent_that_a_tool_runs_in_a_thread_has_no_keys_of_its_own(way: Any) -> None:
    """They would all be the key of the call around; that call keeps it, before and after."""
    refused: list[str] = []
    keys: list[str] = []

    def refuses(name: str) -> None:
        with pytest.raises(UsageError, match="Make 'outer' async") as caught:
            idempotency_key()
        refused.append(f"{name}: {type(caught.value).__name__}")

    async def on_the_loop() -> str:
        refuses("on_the_loop")
        return "done"

    def in_a_thread() -> str:
        refuses("in_a_thread")
        deeper = Agent(name="deeper", model=Sage(ledger, "d", calls("deep"), says("deeper")))
        deeper.tools = [function_tool(deep)]
        asyncio.run(agents.Runner.run(deeper, "y"))
        return "done"

    async def deep() -> str:
        refuses("deep")
        return "done"

    def outer() -> str:
        keys.append(idempotency_key())
        said = way(inner)
        keys.append(idempotency_key())
        return str(said)

    ledger = Ledger()
    model = Sage(ledger, "inner", calls("on_the_loop", "in_a_thread"), says("inner"))
    tools: list[Any] = [function_tool(on_the_loop), function_tool(in_a_thread)]
    inner = Agent(name="inner", model=model, tools=tools)
    model = Sage(ledger, "m", calls("outer"), says("done"))
    agent = Agent(name="a", model=model, tools=[function_tool(outer)])
    lab = Lab()
    await Runner.run(agent, "go", session=lab.session(), turn_id="t")
    assert sorted(refused) == [
        f"{name}: UsageError" for name in ("deep", "in_a_thread", "on_the_loop")
    ]
    assert len(keys) == 2
    assert len(set(keys)) == 1


async def test_an_agent_in_a_thread_with_a_session_of_its_own_has_keys() -> None:
    """Turnwise's Runner makes it a turn of its own, whatever thread that is in."""
    ledger = Ledger()
    lab = Lab()

    def outer() -> str:
        keys.append(idempotency_key())
        options: Any = {"session": lab.session().bind("inner"), "turn_id": "i"}
        return str(asyncio.run(Runner.run(inner, "x", **options)).final_output)

    keys: list[str] = []
    model = Sage(ledger, "inner", calls("one"), says("inner"))
    inner = Agent(name="inner", model=model, tools=[counted(ledger, "one")])
    model = Sage(ledger, "m", calls("outer"), says("done"))
    agent = Agent(name="a", model=model, tools=[function_tool(outer)])
    await Runner.run(agent, "go", session=Lab().session(), turn_id="t")
    assert len(ledger.keys["one"]) == 1
    assert not ledger.keys["one"] & set(keys)


async def test_a_tool_that_cancelled_itself_is_replayed_as_cancelled() -> None:
    """A tool that cancels itself is a failure for the model, and it stays one."""

    def build(ledger: Ledger) -> Agent[Any]:
        @function_tool
        async def one() -> str:
            ledger.tools["one"] += 1
            raise asyncio.CancelledError

        return Agent(name="a", model=Sage(ledger, "m", calls("one"), says("done")), tools=[one])

    scenario = Scenario(build)
    calm, ledger, entries = await undisturbed(scenario, WAYS["sdk"])
    assert entries == 3
    check(await taken_over(scenario, WAYS["sdk"], 3, acknowledged=False), calm, ledger)
