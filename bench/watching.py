"""What the dashboard takes: its overview, and what browsers that watch cost the store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from bench.contenders import redis_client
from bench.samples import Sample, timed
from turnwise import RedisSession
from turnwise.dashboard.serve import serve

BROWSERS = 10
_ROUNDS = 30


async def measure_watching(url: str, session_id: str, seconds: float) -> dict[str, Any]:
    """The overview in milliseconds, and the share of a core that the server needs for browsers.

    Ten of them watch: five the overview, five a session. Each asks for its page anew at each change
    that it hears of, as a real one does. `without` is the server's share when nobody watches.
    """
    async with redis_client(url) as client:
        without = await _share(client, seconds)
        async with RedisSession.from_url(url) as session, _served(session) as address:
            async with httpx.AsyncClient(base_url=address, timeout=30) as browser:
                await browser.get("/")
                overview = Sample()
                for _ in range(_ROUNDS):
                    overview.add((await timed(lambda: _page(browser, "/")))[0])
            async with _browsers(address, session_id) as pages:
                before = pages[0]
                share = await _share(client, seconds)
                asked = (pages[0] - before) / seconds
    return {
        "overview": overview.with_percentiles(),
        "browsers": {"without": without, "with": share, "pages": asked},
    }


@asynccontextmanager
async def _served(session: RedisSession) -> AsyncIterator[str]:
    """The address of the dashboard."""
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(
        serve(session, "127.0.0.1", 0, authenticate=None, read_only=True, on_ready=ready.set_result)
    )
    try:
        yield await ready
    finally:
        serving.cancel()
        await asyncio.wait([serving])


@asynccontextmanager
async def _browsers(address: str, session_id: str) -> AsyncIterator[list[int]]:
    """Browsers that watch; the list has one number, of pages that they asked for."""
    pages = [0]
    async with httpx.AsyncClient(base_url=address, timeout=30) as client:
        kinds: tuple[tuple[str, tuple[str, ...]], ...] = (
            ("/changes", ("/", "/samples.json")),
            (f"/changes?id={session_id}", (f"/session?id={session_id}",)),
        )
        watching = [
            asyncio.create_task(_watch(client, *kinds[number % 2], pages))
            for number in range(BROWSERS)
        ]
        try:
            yield pages
        finally:
            for task in watching:
                task.cancel()
            await asyncio.wait(watching)


async def _watch(
    client: httpx.AsyncClient, stream: str, shown: tuple[str, ...], pages: list[int]
) -> None:
    while True:
        async with client.stream("GET", stream) as events:
            async for line in events.aiter_lines():
                if line.startswith("event: change"):
                    for path in shown:
                        await _page(client, path)
                        pages[0] += 1


async def _page(client: httpx.AsyncClient, path: str) -> None:
    (await client.get(path)).raise_for_status()


async def _share(client: Any, seconds: float) -> float:
    """The server's CPU time for so long, as a share of one core."""
    cpu, started = await _cpu(client), time.perf_counter()
    await asyncio.sleep(seconds)
    return (await _cpu(client) - cpu) / (time.perf_counter() - started)


async def _cpu(client: Any) -> float:
    info = await client.info("cpu")
    return float(info["used_cpu_user"] + info["used_cpu_sys"])
