"""What approvals use of the SDK's RunState without being promised it."""

from __future__ import annotations

import agents
from agents import function_tool
from agents.testing import function_call

from tests.scripted import agent, calls
from turnwise.durable.states import asking, context_of


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


async def test_a_state_has_a_context_of_its_own() -> None:
    result = await agents.Runner.run(agent(calls("pay"), tools=[pay]), "go", context={"user": 1})
    context_of(result.to_state()).context = None
    assert result.context_wrapper.context == {"user": 1}
