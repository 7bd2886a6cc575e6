"""What a step of a run costs: a model's response and the tools that it calls.

Each step's cost is the difference of a run with many and a run with one, divided by the difference
of their numbers: what a run costs once drops out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count
from typing import Any

from agents import Agent, function_tool
from agents.extensions.memory.redis_session import RedisSession as SDKRedisSession
from agents.run import AgentRunner

import turnwise
from bench.model import InstantModel
from bench.samples import Sample, timed
from bench.sides import redis_client
from turnwise import RedisSession

MANY = 9
_MOST = 2 * MANY
BARE, SDK, PLAIN, OURS = "no session", "sdk", "no journal", "turnwise"
SIDES = BARE, SDK, PLAIN, OURS
SHAPES = {"no tool": (0, 1), "one": (1, 1), "many": (MANY, 1), "wide": (1, MANY)}
"""Steps of a run, and tools that each calls at once."""

Run = Callable[[Agent[None], str], Awaitable[object]]

_ids = count()


async def measure_steps(url: str, rounds: int) -> dict[str, dict[str, Sample]]:
    """By side: ms of a whole run without tools, for each step, for each further tool of a step.

    The same as CPU time of this process under names that end with " CPU".
    """
    samples: dict[str, dict[str, Sample]] = {side: {} for side in SIDES}
    async with redis_client(url) as client, RedisSession.from_url(url) as session:
        runs = _runs(client, session)
        agents_of = {
            side: {name: _agent(*shape) for name, shape in SHAPES.items()} for side in SIDES
        }
        for number in range(rounds + 1):
            shift = number % len(SIDES)
            found: dict[str, dict[str, tuple[float, float]]] = {side: {} for side in SIDES}
            for name in SHAPES:
                for side in SIDES[shift:] + SIDES[:shift]:
                    call = partial(runs[side], agents_of[side][name], f"steps-{next(_ids)}")
                    await client.ping()
                    found[side][name] = await timed(call)
            if number:  # the first round loads scripts and opens connections
                for side in SIDES:
                    _add(samples[side], found[side])
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
        """Nothing that takes time."""
        return "found"

    return Agent(name="worker", model=InstantModel(steps, width, look_up.name), tools=[look_up])


def _runs(client: Any, session: RedisSession) -> dict[str, Run]:
    """One turn, by side. The SDK's own runner is asked directly: nothing journals there."""
    sdk: Any = AgentRunner()

    async def bare(agent: Agent[None], _: str) -> object:
        return await sdk.run(agent, "Go", max_turns=_MOST)

    async def theirs(agent: Agent[None], session_id: str) -> object:
        kept = SDKRedisSession(session_id, redis_client=client)
        return await sdk.run(agent, "Go", session=kept, max_turns=_MOST)

    async def unjournaled(agent: Agent[None], session_id: str) -> object:
        async with session.turn(session_id, shared=True) as turn:
            return await sdk.run(agent, "Go", session=turn, max_turns=_MOST)

    async def ours(agent: Agent[None], session_id: str) -> object:
        return await turnwise.Runner.run(
            agent, "Go", session=session, session_id=session_id, max_turns=_MOST
        )

    return {BARE: bare, SDK: theirs, PLAIN: unjournaled, OURS: ours}
