"""Redis memory of real conversations with tool calls."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, cast
from unittest.mock import patch

import zstandard
from redis.asyncio import Redis

from bench import train_dictionary
from bench.contenders import Contender, SDKOnRedis, TurnwiseContender, redis_client
from bench.history import Items
from turnwise import RedisSession
from turnwise.codec import zstd

SDK, UNCOMPRESSED, SHIPPED = "sdk", "turnwise, no compression", "turnwise"
OTHER_TASKS = "turnwise, dictionary of other tasks"
SYNTHETIC = "turnwise, dictionary of synthetic items"

Conversation = tuple[str, list[tuple[Items, Items]]]


def conversations(every: int) -> list[Conversation]:
    """Real conversations about odd tasks, or every `every`-th of them.

    They are the held-out half: other dictionaries than the shipped one are trained without them.
    """
    lines = train_dictionary.CONVERSATIONS.read_text(encoding="utf-8").splitlines()
    found = [_conversation(json.loads(line)) for line in lines]
    odd = [each for each in found if int(each[0].split("-")[1]) % 2]
    return odd[::every]


def _conversation(recorded: dict[str, Any]) -> Conversation:
    turns = [
        ([{"content": turn["input"], "role": "user"}], turn["output"]) for turn in recorded["turns"]
    ]
    return recorded["id"], cast(list[tuple[Items, Items]], turns)


async def measure_memory(url: str, every: int) -> dict[str, list[int]]:
    """By contender: what MEMORY USAGE says of each conversation's keys, in bytes."""
    other_tasks, synthetic = _dictionaries()
    held_out = conversations(every)
    async with redis_client(url) as client:
        usage = {SDK: await _usage(client, SDKOnRedis(client), held_out)}
        for name, dictionary in (
            (UNCOMPRESSED, nullcontext()),
            (SHIPPED, nullcontext()),
            (OTHER_TASKS, _using(other_tasks)),
            (SYNTHETIC, _using(synthetic)),
        ):
            with dictionary:
                session = RedisSession(client, compression=name != UNCOMPRESSED)
                usage[name] = await _usage(client, TurnwiseContender(session), held_out)
    return usage


async def _usage(client: Redis, contender: Contender, held_out: list[Conversation]) -> list[int]:
    usage = []
    for session_id, turns in held_out:
        await client.flushdb()
        for user_items, agent_items in turns:
            await contender.turn(session_id, user_items, agent_items)
        keys = [key async for key in client.scan_iter()]
        usage.append(sum([await client.memory_usage(key, samples=0) or 0 for key in keys]))
    await client.flushdb()
    return usage


def _dictionaries() -> tuple[zstandard.ZstdCompressionDict, zstandard.ZstdCompressionDict]:
    """One trained on the agent's other tasks, and one trained on synthetic items only."""
    training, _ = train_dictionary.conversations()
    synthetic = train_dictionary.synthetic_items(seed=1, count=4000)
    size = train_dictionary.CHOSEN
    other_tasks = train_dictionary.train(size, training + synthetic)
    return other_tasks, train_dictionary.train(size, synthetic)


@contextmanager
def _using(dictionary: zstandard.ZstdCompressionDict) -> Iterator[None]:
    dictionary.precompute_compress(level=train_dictionary.LEVEL)
    with patch.object(zstd, "_dictionary", lambda: dictionary):
        yield
