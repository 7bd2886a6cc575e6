"""Agents and the origins of tool calls, as a record names them."""

from __future__ import annotations

from collections import Counter
from typing import Any

from agents import Agent, Handoff, ToolOrigin
from agents.items import ToolCallItem, ToolCallOutputItem

from turnwise.durable import sdk

AgentName = str | tuple[str, int]
"""An agent's name; of further agents of that name also how many come before it."""


class Origins:
    """The origins of calls, by call id: their outputs have the same."""

    def __init__(self) -> None:
        self._by_call: dict[Any, ToolOrigin | None] = {}

    def add(self, call: ToolCallItem) -> None:
        self._by_call[call.call_id] = call.tool_origin

    def of(self, output: Any) -> ToolOrigin | None:
        return self._by_call.get(output.get("call_id") if isinstance(output, dict) else None)

    def differs(self, item: ToolCallOutputItem) -> dict[str, str] | None:
        """The output's origin as JSON, if its call has another one; {} for none."""
        if item.tool_origin == self.of(item.raw_item):
            return None
        return item.tool_origin.to_json_dict() if item.tool_origin else {}


def named_agents(starting: Agent[Any] | None) -> dict[AgentName, Agent[Any]]:
    """The agents that handoffs lead to, by their names in a record."""
    named: dict[AgentName, Agent[Any]] = {}
    counts: Counter[str] = Counter()
    known: set[int] = set()
    reached: list[Any] = [starting]
    while reached:
        agent = reached.pop()
        if isinstance(agent, Handoff):
            agent = sdk.target_of(agent)
        if isinstance(agent, Agent) and id(agent) not in known:
            known.add(id(agent))
            count = counts[agent.name]
            named[(agent.name, count) if count else agent.name] = agent
            counts[agent.name] += 1
            reached += agent.handoffs
    return named
