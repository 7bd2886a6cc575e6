"""A second answer to a turn_id equals the first in all that documents promise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from agents import (
    Agent,
    ModelResponse,
    RunConfig,
    RunErrorHandlerResult,
    Usage,
    function_tool,
    handoff,
)
from agents.extensions import handoff_filters
from pydantic import BaseModel

from tests.integration.durable_lab import read
from tests.integration.result_facts import facts
from tests.integration.stores import Sessions, sessions_of
from tests.items import assistant, user
from tests.scripted import Script, calls, says
from turnwise import Runner
from turnwise.session import Session

pytestmark = pytest.mark.asyncio(loop_scope="module")
sessions = sessions_of(["memory", "valkey"])


class City(BaseModel):
    name: str


@dataclass
class Case:
    """A run: `build` makes its agent anew, as another deployment does."""

    build: Callable[[], Agent[Any]]
    options: dict[str, Any] = field(default_factory=dict)


class RawUsage(Script):
    """A model that tells what its provider counted."""

    async def get_response(self, *args: Any, **options: Any) -> ModelResponse:
        response = await super().get_response(*args, **options)
        response.usage = Usage(requests=1, input_tokens=3)
        response.raw_usage = {"prompt_tokens": 3}
        return response


@function_tool
def look() -> str:
    """Looks."""
    return "seen"


def handing_over(**settings: Any) -> Agent[Any]:
    """An agent that calls a tool and hands over to another one, which does the same."""
    last = Agent(name="last", model=Script(calls("look", "two"), says("done")), tools=[look])
    replies = [calls("look", "one"), calls("transfer_to_last", "over")]
    there = handoff(last, **settings)
    return Agent(name="first", model=Script(*replies), tools=[look], handoffs=[there])


def drops_the_past(data: Any) -> Any:
    return data.clone(input_history=data.input_history[-1:])


def alike() -> Agent[Any]:
    """Two agents of one name, of which only the second has an output type."""
    typed = Agent(name="a", output_type=City, model=Script(says('{"name": "Oslo"}')))
    return Agent(name="a", handoffs=[typed], model=Script(calls("transfer_to_a")))


def endless(output_type: Any) -> Agent[Any]:
    return Agent(name="a", output_type=output_type, model=Script(calls("look")), tools=[look])


def handled(output: Any) -> dict[str, Any]:
    result = RunErrorHandlerResult(final_output=output, include_in_history=False)
    return {"max_turns": 1, "error_handlers": {"max_turns": lambda _: result}}


def inner_agent() -> Agent[Any]:
    asked = Agent(name="asked", model=Script(says("yes")))
    ask = asked.as_tool("ask", "asks")
    replies = [calls("ask", "c", '{"input": "x"}'), says("done")]
    return Agent(name="a", model=Script(*replies), tools=[ask])


def with_custom_data() -> Agent[Any]:
    tool = function_tool(
        lambda: "seen", name_override="look", custom_data_extractor=lambda _: {"shown": [1, 2]}
    )
    return Agent(name="a", model=Script(calls("look"), says("done")), tools=[tool])


CASES = {
    "filtered": Case(lambda: handing_over(input_filter=handoff_filters.remove_all_tools)),
    "past-dropped": Case(lambda: handing_over(input_filter=drops_the_past)),
    "nested": Case(handing_over, {"run_config": RunConfig(nest_handoff_history=True)}),
    "not-rewritten": Case(handing_over),
    "alike": Case(alike),
    "handled-model": Case(lambda: endless(City), handled(City(name="Oslo"))),
    "handled-list": Case(lambda: endless(list[City]), handled([City(name="Oslo")])),
    "handled-text": Case(lambda: endless(None), handled("stopped")),
    "unlimited": Case(lambda: Agent(name="a", model=Script(says("done"))), {"max_turns": None}),
    "agent-as-tool": Case(inner_agent),
    "custom-data": Case(with_custom_data),
    "raw-usage": Case(lambda: Agent(name="a", model=RawUsage(says("done")))),
}


async def answer(case: Case, session: Session, *, streamed: bool) -> Any:
    options = {"session": session, "turn_id": "t", **case.options}
    if not streamed:
        return await Runner.run(case.build(), "go", **options)
    result = Runner.run_streamed(case.build(), "go", **options)
    await read(result)
    return result


@pytest.mark.parametrize("streamed", [False, True], ids=["run", "streamed"])
@pytest.mark.parametrize("name", CASES)
async def test_a_second_answer_equals_the_first(
    name: str, sessions: Sessions, streamed: bool
) -> None:
    session = sessions.worker(session_id=sessions.new_id())
    past: list[Any] = [user("before"), assistant("answered"), user("and"), assistant("again")]
    await session.add_items(past)
    first = await answer(CASES[name], session, streamed=streamed)
    other = sessions.worker(session_id=session.session_id)
    assert facts(await answer(CASES[name], other, streamed=streamed)) == facts(first)
    assert facts(await answer(CASES[name], other, streamed=not streamed)) == facts(first)
