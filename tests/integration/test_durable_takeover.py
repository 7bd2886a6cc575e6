"""A worker dies at any entry of the journal. The next one takes the turn over and finishes it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from agents import (
    Agent,
    function_tool,
)

from tests.integration.durable_lab import WAYS, Lab, Ledger, Mortal, Sage, Scenario, calls, says
from tests.integration.durable_scenarios import SCENARIOS, two_steps
from tests.integration.durable_takeovers import check, kinds, taken_over, undisturbed, usage
from turnwise import Runner
from turnwise.durable.calls import OUTCOME_UNKNOWN

CASES = [
    (name, way)
    for name in SCENARIOS
    for way in WAYS
    if way in ("turnwise", "streamed") or name in ("two-steps", "guardrails")
]


@pytest.mark.parametrize(("name", "way"), CASES)
async def test_a_death_at_any_entry_changes_nothing(name: str, way: str) -> None:
    scenario = SCENARIOS[name]
    calm, ledger, entries = await undisturbed(scenario, WAYS[way])
    assert entries > 1 or name == "plain"
    for dies_at in range(1, entries + 1):
        for acknowledged in (False, True):
            takeover = await taken_over(scenario, WAYS[way], dies_at, acknowledged=acknowledged)
            check(takeover, calm, ledger)


@pytest.mark.parametrize("name", ["agent-tools", "handoffs"])
async def test_two_workers_may_die_one_after_the_other(name: str) -> None:
    """The second one at its first or second entry."""
    scenario, way = SCENARIOS[name], WAYS["turnwise"]
    calm, _, entries = await undisturbed(scenario, way)
    for first in range(1, entries):
        for second in (1, 2):
            lab, ledger = Lab(), Ledger()
            for dies_at in (first, min(second, entries - first)):
                store = Mortal(lab.store, dies_at, acknowledged=False)
                with pytest.raises(Exception, match=r"dead|did not acknowledge"):
                    await scenario.run(lab, ledger, way, store)
                lab.expire()
            outcome = await scenario.run(lab, ledger, way)
            if OUTCOME_UNKNOWN not in str(outcome.history):
                assert outcome.history == calm.history
            assert usage(outcome) == usage(calm)
            assert outcome.turn.usage == calm.turn.usage
            assert kinds(outcome) == kinds(calm)


async def test_a_response_is_journaled_during_the_next_model_call() -> None:
    """A handoff has no tool whose start would take the response along."""
    lab, ledger = Lab(), Ledger()
    store = Mortal(lab.store, None, acknowledged=True)

    class Parked(Sage):
        async def get_response(self, *args: Any, **options: Any) -> Any:
            for _ in range(500):
                if store.written:
                    break
                await asyncio.sleep(0.01)
            written.append(store.written)
            return await super().get_response(*args, **options)

    written: list[int] = []
    second = Agent(name="second", model=Parked(ledger, "two", [], says("done")))
    model = Sage(ledger, "one", calls("transfer_to_second"))
    first = Agent(name="first", model=model, handoffs=[second])
    await Scenario(lambda ledger: first).run(lab, ledger, WAYS["turnwise"], store)
    assert written == [1]


async def test_a_turn_in_a_tool_has_a_journal_of_its_own() -> None:
    """If another process sends it, that one continues it."""
    inner, outer, ledger = Lab(), Lab(), Ledger()
    store = Mortal(inner.store, None, acknowledged=True)
    session = inner.session(store)

    @function_tool
    async def ask() -> str:
        result = await Runner.run(two_steps(ledger), "x", session=session, turn_id="inner")
        return str(result.final_output)

    agent = Agent(name="a", model=Sage(ledger, "m", calls("ask"), says("done")), tools=[ask])
    await Runner.run(agent, "go", session=outer.session(), turn_id="t")
    assert {len(getattr(entry, "run", ())) for entry in store.entries} == {3}


async def test_a_model_may_react_to_an_unknown_outcome() -> None:
    """A tool that raised would end the run. If its end is not journaled, the run continues."""
    takeover = await taken_over(SCENARIOS["errors"], WAYS["sdk"], 9, acknowledged=False)
    assert takeover.unknown == ["three"]
    assert takeover.ledger.tools["three"] == 0
    outputs = [item["output"] for item in takeover.outcome.history if "output" in item]
    assert outputs[-1] == "went on"
