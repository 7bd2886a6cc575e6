"""What followers of a turn were given: real runs, recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agents import Agent, function_tool
from openai.types.responses import ResponseCodeInterpreterToolCall, ResponseFunctionWebSearch
from openai.types.responses.response_function_web_search import ActionSearch
from openai.types.responses.response_output_item import ImageGenerationCall, McpCall

from tests.http.speaking import Speaker, call, text, thought
from turnwise import MemorySession
from turnwise.background import Policy
from turnwise.types import PendingApproval

Events = list[tuple[str, dict[str, Any]]]
RESET: Events = [("", {"type": "turn.reset"})]


@function_tool
def weather(city: str) -> str:
    """The weather."""
    return f"sunny in {city}"


@function_tool(needs_approval=True)
def refund(order: str) -> str:
    """Give the money back."""
    return f"refunded {order}"


def agent(*replies: Any, **settings: Any) -> Agent[Any]:
    """Its model gives one reply after the other."""
    left = list(replies)
    settings = {"tools": [weather, refund]} | settings
    return Agent(name="helper", model=Speaker(lambda _: left.pop(0)), **settings)


def forecast(last: str = "It is sunny.") -> Agent[Any]:
    """Thinks, calls two tools in two steps, and says `last`."""
    return agent(
        [thought("where is it"), text("Let me see."), call("weather", "c1", city="Oslo")],
        [call("weather", "c2", city="Bergen"), call("weather", "c3", city="Bodø")],
        [text(last)],
    )


def researcher() -> Agent[Any]:
    """Its provider runs tools: a search, code, a tool of a server, and an image."""
    search = ResponseFunctionWebSearch(
        id="ws_1",
        type="web_search_call",
        status="completed",
        action=ActionSearch(type="search", query="weather"),
    )
    code = ResponseCodeInterpreterToolCall(
        id="ci_1",
        type="code_interpreter_call",
        status="completed",
        code="1 + 1",
        container_id="cntr_1",
        outputs=None,
    )
    looked_up = McpCall(
        id="mcp_1",
        type="mcp_call",
        name="almanac",
        server_label="books",
        arguments='{"year": 2024}',
        output="a leap year",
    )
    image = ImageGenerationCall(
        id="ig_1", type="image_generation_call", status="completed", result="aGk="
    )
    cited = text("It is sunny.", cited=["https://example.com/a", "https://example.com/b"])
    return agent([search, code, looked_up, image, cited])


async def recorded(agent: Agent[Any], message: str = "go", turn_id: str = "t") -> Events:
    """The events of a turn that this agent runs to its end, or until it is parked."""
    async with MemorySession() as session:
        receipt = await session.submit("s", message, agent=agent.name, turn_id=turn_id)
        await session.drain("s", [agent], Policy(max_attempts=1))
        return await _taken(receipt)


async def recorded_approval(agent: Agent[Any]) -> tuple[Events, list[PendingApproval]]:
    """The events of a turn whose calls are approved when it is parked, and the approvals."""
    async with MemorySession() as session:
        receipt = await session.submit("s", "go", agent=agent.name, turn_id="t")
        await session.drain("s", [agent])
        asked = await session.pending_approvals("s")
        await session.decide("s", approve=[one.id for one in asked])
        await session.drain("s", [agent])
        return await _taken(receipt), asked


async def _taken(receipt: Any) -> Events:
    found: Events = []
    async for event_id, event in receipt.events():
        found.append((event_id, event))
        if event["type"] == "turn.parked" and (await receipt.status()).state == "parked":
            break
    return found


def with_approvals(events: Events, asked: Sequence[PendingApproval]) -> Events:
    """The events as `answers.answer` gives them while the turn is parked."""
    parked = [number for number, (_, event) in enumerate(events) if event["type"] == "turn.parked"]
    found = list(events[: parked[-1] + 1])
    found[-1] = found[-1][0], {**found[-1][1], "pending": list(asked)}
    return found
