"""Redis memory of a turn whose tool answers with an image, against the size of that item."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Awaitable, Callable
from itertools import count
from random import Random
from typing import Any

import agents
import msgspec
from agents import Agent, ToolOutputImage, function_tool
from agents.extensions.memory.redis_session import RedisSession as SDKRedisSession
from redis.asyncio import Redis

from bench.contenders import SDK, redis_client
from bench.history import SEED
from bench.model import InstantModel
from turnwise import RedisSession, Runner
from turnwise.worker import Worker

IMAGE_BYTES = 300_000
ONE_SHOT, TURN_ID, BACKGROUND = "one-shot", "turn_id", "background"
_TIMEOUT = 60

Run = Callable[[str], Awaitable[Any]]

_ids = count()


@function_tool
async def draw() -> ToolOutputImage:
    """An image, which does not compress."""
    image = b64encode(Random(SEED).randbytes(IMAGE_BYTES)).decode()
    return ToolOutputImage(image_url=f"data:image/png;base64,{image}")


async def measure_images(url: str) -> dict[str, int]:
    """Bytes of the item as JSON ("item"), and of each kind of turn with one such item."""
    agent = Agent(name="artist", model=InstantModel(1, 1, draw.name), tools=[draw])
    async with redis_client(url) as client, RedisSession.from_url(url) as session:

        async def sdk(name: str) -> None:
            await agents.Runner.run(agent, "Go", session=SDKRedisSession(name, redis_client=client))

        async def one_shot(name: str) -> None:
            await Runner.run(agent, "Go", session=session, session_id=name)

        async def with_turn_id(name: str) -> None:
            await Runner.run(agent, "Go", session=session, session_id=name, turn_id="1")

        async def background(name: str) -> None:
            await _in_background(session, agent, name)

        runs: dict[str, Run] = {
            SDK: sdk,
            ONE_SHOT: one_shot,
            TURN_ID: with_turn_id,
            BACKGROUND: background,
        }
        names = {kind: f"images-{next(_ids)}" for kind in runs}
        for kind, run in runs.items():
            await run(names[kind])
        items: list[Any] = await session.bind(names[ONE_SHOT]).get_items()
        [item] = [item for item in items if item.get("type") == "function_call_output"]
        found = {"item": len(msgspec.json.encode(item))}
        for kind, name in names.items():
            found[kind] = await _usage(client, session.key(name) if kind != SDK else f"*{name}*")
        return found


async def _in_background(session: RedisSession, agent: Agent[Any], name: str) -> None:
    receipt = await session.submit(name, "Go", agent=agent.name)
    worker = Worker(session, agent)
    working = asyncio.create_task(worker.run())
    await receipt.result(_TIMEOUT)
    worker.stop()
    await working


async def _usage(client: Redis, pattern: str) -> int:
    """What MEMORY USAGE says of the keys, in bytes."""
    keys = [key async for key in client.scan_iter(pattern, count=1_000)]
    return sum([await client.memory_usage(key, samples=0) or 0 for key in keys])
