"""Canaries for what the SDK does not promise about the RunState of an interrupted run.

One that fails after an upgrade of the SDK says what has changed: see `turnwise/durable/sdk.py`.
"""

from __future__ import annotations

import agents
import pytest
from agents import function_tool
from agents.testing import function_call

from tests.scripted import agent, calls, says
from turnwise.durable.sdk_states import (
    context_of,
    decision_on,
    is_sticky,
    items_of,
    pending_calls,
    rejection_texts,
)


@function_tool(needs_approval=True)
def pay() -> str:
    return "paid"


async def test_a_state_tells_what_waits_inside_and_outside_once() -> None:
    cashier = agent(calls("pay", "same"), tools=[pay])
    both = [
        function_call("pay", "{}", call_id="same"),
        function_call("ask", '{"input": "a"}', call_id="ask_a"),
        function_call("ask", '{"input": "b"}', call_id="ask_b"),
    ]
    boss = agent(both, tools=[pay, cashier.as_tool("ask", "")])
    result = await agents.Runner.run(boss, "go", context={"user": 1})
    live = result.to_state()
    restored = await agents.RunState.from_json(boss, live.to_json())
    for state in (live, restored):
        found = pending_calls(state)
        assert [one.path for one in found] == [(), ("ask_a",), ("ask_b",)]
        assert [(one.item.name, one.item.call_id) for one in found] == [("pay", "same")] * 3
        assert [one.responses for one in found] == [1, 1, 1]
        assert context_of(state).context == {"user": 1}


async def test_a_state_says_what_is_decided_for_each_that_waits() -> None:
    cashier = agent(calls("pay", "same"), tools=[pay])
    both = [
        function_call("pay", "{}", call_id="own"),
        function_call("ask", '{"input": "a"}', call_id="ask_a"),
        function_call("ask", '{"input": "b"}', call_id="ask_b"),
    ]
    boss = agent(both, tools=[pay, cashier.as_tool("ask", "")])
    result = await agents.Runner.run(boss, "go")
    live = result.to_state()
    for state in (live, await agents.RunState.from_json(boss, live.to_json())):
        assert list(map(decision_on, pending_calls(state))) == [None] * 3
        outer, first, second = pending_calls(state)
        outer.state.approve(outer.item)
        first.state.reject(first.item, rejection_message="no")
        assert list(map(decision_on, pending_calls(state))) == [True, ["no"], None]
        second.state.reject(second.item)
        assert list(map(decision_on, pending_calls(state))) == [True, ["no"], [None]]
        again = await agents.RunState.from_json(boss, state.to_json())
        assert list(map(decision_on, pending_calls(again))) == [True, ["no"], [None]]


@pytest.mark.parametrize("approve", [True, False])
async def test_a_state_says_whether_a_decision_is_about_all_calls(approve: bool) -> None:
    cashier = agent([*calls("pay", "one"), *calls("pay", "two")], tools=[pay])
    live = (await agents.Runner.run(cashier, "go")).to_state()
    for state in (live, await agents.RunState.from_json(cashier, live.to_json())):
        first, second = pending_calls(state)
        state.approve(first.item) if approve else state.reject(first.item)
        assert [is_sticky(first), is_sticky(second)] == [False, False]
        if approve:
            state.approve(first.item, always_approve=True)
        else:
            state.reject(first.item, always_reject=True, rejection_message="Never.")
        decided = True if approve else ["Never."]
        assert list(map(decision_on, pending_calls(state))) == [decided, decided]
        assert [is_sticky(first), is_sticky(second)] == [True, True]


async def test_a_result_begins_with_the_items_of_the_state_that_it_went_on_from() -> None:
    cashier = agent(calls("pay"), says("thanks"), tools=[pay])
    waits = await agents.Runner.run(cashier, "go")
    state = await agents.RunState.from_json(cashier, waits.to_state().to_json())
    state.approve(state.get_interruptions()[0])
    before = items_of(state)
    result = await agents.Runner.run(cashier, state)
    assert before
    assert list(map(id, result.new_items[: len(before)])) == list(map(id, before))
    assert [item.type for item in result.new_items[len(before) :]] == [
        "tool_call_output_item",
        "message_output_item",
    ]


async def test_a_rejected_call_has_a_text_for_the_model() -> None:
    all_three = [*calls("pay", "a"), *calls("pay", "b"), *calls("pay", "c")]
    cashier = agent(all_three, says("sorry"), tools=[pay])
    state = (await agents.Runner.run(cashier, "go")).to_state()
    first, second, third = state.get_interruptions()
    state.reject(first, rejection_message="no")
    state.reject(second)
    state.approve(third)
    texts = rejection_texts(state)
    assert (texts["a"], set(texts)) == ("no", {"a", "b"})
    result = await agents.Runner.run(cashier, state)
    outputs = [item.output for item in result.new_items if item.type == "tool_call_output_item"]
    assert outputs[:2] == [texts["a"], texts["b"]]


async def test_a_state_has_a_context_of_its_own() -> None:
    result = await agents.Runner.run(agent(calls("pay"), tools=[pay]), "go", context={"user": 1})
    context_of(result.to_state()).context = None
    assert result.context_wrapper.context == {"user": 1}
