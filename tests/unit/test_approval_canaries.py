"""What approvals use of the SDK's RunState without being promised it."""

from __future__ import annotations

import agents
from agents import function_tool
from agents.testing import function_call

from tests.scripted import agent, calls, says
from turnwise.durable.sdk import overhear
from turnwise.durable.states import asking, context_of, decision_on, items_of


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
        found = asking(state)
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
        assert list(map(decision_on, asking(state))) == [None] * 3
        outer, first, second = asking(state)
        outer.state.approve(outer.item)
        first.state.reject(first.item, rejection_message="no")
        assert list(map(decision_on, asking(state))) == [True, ["no"], None]
        second.state.reject(second.item)
        assert list(map(decision_on, asking(state))) == [True, ["no"], [None]]
        again = await agents.RunState.from_json(boss, state.to_json())
        assert list(map(decision_on, asking(again))) == [True, ["no"], [None]]


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


async def test_a_run_s_events_can_be_overheard() -> None:
    told: list[str] = []
    result = agents.Runner.run_streamed(agent(says("hello")), "hi")
    overhear(result, lambda event: told.append(event.type))
    assert told == []
    assert [event.type async for event in result.stream_events()] == told
    assert told


async def test_a_state_has_a_context_of_its_own() -> None:
    result = await agents.Runner.run(agent(calls("pay"), tools=[pay]), "go", context={"user": 1})
    context_of(result.to_state()).context = None
    assert result.context_wrapper.context == {"user": 1}
