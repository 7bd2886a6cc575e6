"""Two agents for the chat page: one with tools, and one that says everything again."""

from __future__ import annotations

from typing import Any

from agents import Agent
from agents.items import TResponseOutputItem

from tests.http.speaking import Speaker, text
from tests.http.wire_agents import agents as helpers
from turnwise.http import Quota


def _parrot(items: list[Any]) -> list[TResponseOutputItem]:
    said = next(item["content"] for item in reversed(items) if item.get("role") == "user")
    return [text(f"{said}, {said}!", len(items))]


agents = [*helpers, Agent[Any](name="parrot", model=Speaker(_parrot))]
one_stream = Quota(requests=None, turns=None, open_streams=1)
