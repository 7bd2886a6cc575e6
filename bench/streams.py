"""Very many streams at once: each client follows its own turn, which says a word now and then."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from itertools import count
from typing import Any

from bench.chat_load import request
from bench.serve import STREAM, answer, raise_open_files, served
from bench.serve_agents import WORDS
from bench.usage import cpu_seconds, resident_bytes
from turnwise import RedisSession

_ids = count()
_OPENED = 300.0  # seconds
_AT_ONCE = 50
"""How many streams begin at the same time."""
_WORD = b'data: {"text":"word '


async def measure_streams(url: str, streams: int, seconds: float) -> dict[str, Any]:
    """Let so many streams run for about `seconds` after all are open.

    Returns:
        `lost`: how many streams lacked words, or had them twice or out of order. `megabytes`: the
        server's memory at each quarter of the time, the first one with all streams open. `cpu`: its
        share of a CPU.
    """
    raise_open_files(2 * streams)
    name, counts = f"many-{next(_ids)}", list[int]()
    pause = seconds / WORDS
    async with (
        RedisSession.from_url(url) as session,
        served(url, "--workers-inside", str(streams)) as app,
    ):
        is_open, few = asyncio.Barrier(streams + 1), asyncio.Semaphore(_AT_ONCE)

        async def follow(number: int) -> None:
            body = {
                "session_id": f"{name}-{number}",
                "message": json.dumps(pause),
                "agent": "steady",
            }
            sent = request("POST", "/chat", body, STREAM)
            async with AsyncExitStack() as stack:
                async with few:  # a crowd that comes in one moment is another measurement
                    reader = await stack.enter_async_context(answer(app.port, sent))
                    await reader.readuntil(b"event: turn")
                head = await _until_word(reader)
                await is_open.wait()
                counts.append(_in_order(head + await reader.readuntil(b"event: done")))

        async with asyncio.TaskGroup() as tasks:
            for number in range(streams):
                tasks.create_task(follow(number))
            async with asyncio.timeout(_OPENED):
                await is_open.wait()
            cpu, megabytes = cpu_seconds(app.pid), [_megabytes(app.pid)]
            for _ in range(3):
                await asyncio.sleep(seconds / 4)
                megabytes.append(_megabytes(app.pid))
            used = (cpu_seconds(app.pid) - cpu) / (seconds * 3 / 4)
        for number in range(streams):
            await session.delete(f"{name}-{number}")
    lost = sum(words != WORDS for words in counts)
    return {"streams": streams, "lost": lost, "megabytes": megabytes, "cpu": used}


async def _until_word(reader: asyncio.StreamReader) -> bytes:
    """What comes up to the first word."""
    try:
        return await reader.readuntil(_WORD)
    except asyncio.IncompleteReadError as error:
        raise RuntimeError(f"a stream ended with {error.partial!r}") from None


def _in_order(received: bytes) -> int:
    """How many words came, each in its place."""
    numbers = [int(part.split()[0]) for part in received.split(_WORD)[1:]]
    return len(numbers) if numbers == list(range(len(numbers))) else -1


def _megabytes(pid: int) -> float:
    return resident_bytes(pid) / 1_000_000
