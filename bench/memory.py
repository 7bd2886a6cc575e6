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
from bench.history import Items
from bench.sides import OurSide, SDKOnRedis, Side, redis_client
from turnwise import RedisSession
from turnwise.codec import zstd

SDK, PLAIN, SHIPPED = "sdk", "turnwise, no compression", "turnwise"
HELD_OUT, UNSEEN = "turnwise, dictionary of other tasks", "turnwise, dictionary of made-up items"

Conversation = tuple[str, list[tuple[Items, Items]]]


def conversations(every: int) -> list[Conversation]:
    """Real conversations, or each `every`-th of them.

    They are those about odd tasks: dictionaries are tried on them that were trained without. The
    shipped one was trained with all.
    """
    lines = train_dictionary.CONVERSATIONS.read_text(encoding="utf-8").splitlines()
    found = [_conversation(json.loads(line)) for line in lines]
    odd = [known for known in found if int(known[0].split("-")[1]) % 2]
    return odd[::every]


def _conversation(recorded: dict[str, Any]) -> Conversation:
    turns = [
        ([{"content": turn["input"], "role": "user"}], turn["output"]) for turn in recorded["turns"]
    ]
    return recorded["id"], cast(list[tuple[Items, Items]], turns)


async def measure_memory(url: str, every: int) -> dict[str, list[int]]:
    """Bytes by MEMORY USAGE of each conversation's keys, by side."""
    held_out, unseen = _dictionaries()
    talks = conversations(every)
    async with redis_client(url) as client:
        usage = {SDK: await _usage(client, SDKOnRedis(client), talks)}
        for name, dictionary in (
            (PLAIN, nullcontext()),
            (SHIPPED, nullcontext()),
            (HELD_OUT, _using(held_out)),
            (UNSEEN, _using(unseen)),
        ):
            with dictionary:
                session = RedisSession(client, compression=name != PLAIN)
                usage[name] = await _usage(client, OurSide(session), talks)
    return usage


async def _usage(client: Redis, side: Side, talks: list[Conversation]) -> list[int]:
    usage = []
    for session_id, turns in talks:
        await client.flushdb()
        for said, answered in turns:
            await side.turn(session_id, said, answered)
        keys = [key async for key in client.scan_iter()]
        usage.append(sum([await client.memory_usage(key, samples=0) or 0 for key in keys]))
    await client.flushdb()
    return usage


def _dictionaries() -> tuple[zstandard.ZstdCompressionDict, zstandard.ZstdCompressionDict]:
    """One that knows this agent, but not these tasks; one that knows no agent at all."""
    learned, _ = train_dictionary.conversations()
    made_up = train_dictionary.made_up_items(seed=1, count=4000)
    size = train_dictionary.CHOSEN
    return train_dictionary.train(size, learned + made_up), train_dictionary.train(size, made_up)


@contextmanager
def _using(dictionary: zstandard.ZstdCompressionDict) -> Iterator[None]:
    dictionary.precompute_compress(level=train_dictionary.LEVEL)
    with patch.object(zstd, "_dictionary", lambda: dictionary):
        yield
