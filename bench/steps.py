"""What a step of a run costs: a model response and the tool calls in it.

The cost of a step is the difference between a run with many steps and a run with one, divided by
the difference in steps. So the fixed cost of a run cancels out.
"""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count
from typing import Any

from agents import Agent, function_tool
from agents.extensions.memory.redis_session import RedisSession as SDKRedisSession
from agents.run import AgentRunner

import turnwise
from bench.contenders import redis_client
from bench.model import InstantModel
from bench.samples import PHASES, WARM_UP, Sample, alternating, timed
from turnwise import RedisSession

MANY = 9
_MAX_TURNS = 2 * MANY
NO_SESSION, SDK, NO_JOURNAL, TURNWISE = "no session", "sdk", "no journal", "turnwise"
CONTENDERS = NO_SESSION, SDK, NO_JOURNAL, TURNWISE
SHAPES = {"no tool": (0, 1), "one": (1, 1), "many": (MANY, 1), "wide": (1, MANY)}
"""Steps of a run, and parallel tool calls of each step."""

Run = Callable[[Agent[None], str], Awaitable[object]]

_ids = count()


async def measure_steps(url: str, rounds: int) -> dict[str, dict[str, Sample]]:
    """By contender: ms of a run without tools, of each step, and of each further tool of a step.

    Names that end with " CPU" hold the same as CPU time of this process.
    """
    samples: dict[str, dict[str, Sample]] = {contender: {} for contender in CONTENDERS}
    async with redis_client(url) as client, RedisSession.from_url(url) as session:
        runs = _runs(client, session)
        agents_of = {
            contender: {name: _agent(*shape) for name, shape in SHAPES.items()}
            for contender in CONTENDERS
        }
        for order in alternating(CONTENDERS, PHASES):
            for contender in order:
                gc.collect()  # no phase pays for the garbage of another
                run, shapes = runs[contender], agents_of[contender]
                for number in range(-WARM_UP, max(1, rounds // PHASES)):
                    found = {
                        name: await timed(partial(run, agent, f"steps-{next(_ids)}"))
                        for name, agent in shapes.items()
                    }
                    if number >= 0:
                        _add(samples[contender], found)
    return samples


def _add(samples: dict[str, Sample], found: dict[str, tuple[float, float]]) -> None:
    for unit, suffix in enumerate(("", " CPU")):
        none, one, many, wide = (found[name][unit] for name in SHAPES)
        for kind, value in (
            ("run", none),
            ("step", (many - one) / (MANY - 1)),
            ("tool", (wide - one) / (MANY - 1)),
        ):
            samples.setdefault(kind + suffix, Sample()).add(value)


def _agent(steps: int, width: int) -> Agent[None]:
    @function_tool
    async def look_up() -> str:
        """Takes no time."""
        return "found"

    return Agent(name="worker", model=InstantModel(steps, width, look_up.name), tools=[look_up])


def _runs(client: Any, session: RedisSession) -> dict[str, Run]:
    """One turn of each contender. The SDK's own runner, called directly, writes no journal."""
    sdk: Any = AgentRunner()

    async def no_session(agent: Agent[None], _: str) -> object:
        return await sdk.run(agent, "Go", max_turns=_MAX_TURNS)

    async def sdk_session(agent: Agent[None], session_id: str) -> object:
        stored = SDKRedisSession(session_id, redis_client=client)
        return await sdk.run(agent, "Go", session=stored, max_turns=_MAX_TURNS)

    async def no_journal(agent: Agent[None], session_id: str) -> object:
        async with session.turn(session_id, shared=True) as turn:
            return await sdk.run(agent, "Go", session=turn, max_turns=_MAX_TURNS)

    async def turnwise_run(agent: Agent[None], session_id: str) -> object:
        return await turnwise.Runner.run(
            agent, "Go", session=session, session_id=session_id, max_turns=_MAX_TURNS
        )

    return {
        NO_SESSION: no_session,
        SDK: sdk_session,
        NO_JOURNAL: no_journal,
        TURNWISE: turnwise_run,
    }
