"""`turnwise serve` with its worker inside, beside the app that people write without it."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from random import Random
from typing import Any
from urllib.parse import urlsplit

from bench.background import in_batches
from bench.chat import TURNS, Load, wait_until_listening
from bench.chat_load import request
from bench.child_process import ChildProcess, child_process
from bench.contenders import SDK, TURNWISE, SDKOnRedis, TurnwiseContender, redis_client
from bench.history import HistoryGenerator
from bench.samples import Sample, alternating, timed
from bench.serve_agents import TOKENS
from bench.usage import cpu_seconds, resident_bytes
from bench.waiting import calls
from turnwise import RedisSession
from turnwise.testing.servers.ports import HOST, free_port

SHORT, LONG = TURNS, 1_000
"""Items of the histories: of the short ones on average, of the long ones at first."""
CONVERSATIONS = 16
_WARM_UP = 0.5  # seconds
STREAM = "Accept: text/event-stream\r\n"
_ids = count()


async def measure_serve(
    url: str, rounds: int, seconds: float, requests: int, streams: int, idle: float
) -> dict[str, Any]:
    """Both on the server at `url`, each in phases of its own.

    `rates`: requests/s by length of the history, then by side; `times` is the ratio of each round,
    and `cpu` is per second of the process's CPU time. `first_token`: milliseconds from a request to
    the first token, one after the other; `resume`: from a request to the last of a finished turn's
    `TOKENS` tokens. `idle`: what `streams` open streams cost while nothing comes, observed for
    `idle` seconds.
    """
    async with _apps(url) as apps:
        rates = await _rates(url, apps, rounds, seconds)
        first_token = await _first_tokens(apps, requests)
        resume = await _resume(apps[TURNWISE].port, requests)
    return {
        "rates": rates,
        "first_token": {name: sample.with_percentiles() for name, sample in first_token.items()},
        "resume": resume.with_percentiles(),
        "idle": await _idle(url, streams, idle),
    }


class _App:
    """An app that runs; `route` is where a stream is asked for."""

    def __init__(self, process: ChildProcess, port: int, route: str) -> None:
        self.port = port
        self.pid = process.process.pid
        self.route = route


@asynccontextmanager
async def _apps(url: str) -> AsyncIterator[dict[str, _App]]:
    port = free_port()
    async with child_process("bench.reference_app", url, port) as sdk, served(url) as turnwise:
        await wait_until_listening(sdk.process, port)
        yield {SDK: _App(sdk, port, "/stream"), TURNWISE: turnwise}


@asynccontextmanager
async def served(url: str, *options: str) -> AsyncIterator[_App]:
    """`turnwise serve`, as long as the block lasts."""
    command = "serve", "bench.serve_agents:agents", "--url", url, "--port", "0", *options
    async with child_process("turnwise.cli", *command) as process:
        _, address = await process.wait_for("serving")
        yield _App(process, urlsplit(address).port or 0, "/chat")


async def _rates(
    url: str, apps: dict[str, _App], rounds: int, seconds: float
) -> dict[str, dict[str, Any]]:
    found = {}
    async with child_process("bench.chat_load") as generator:
        loads = {name: Load(generator, app.port, app.pid) for name, app in apps.items()}
        for length in (SHORT, LONG):
            known = await _conversations(url) if length == LONG else ""
            samples = {name: (Sample(), Sample()) for name in apps}
            for load in loads.values():
                await load.rates("/chat", _WARM_UP, known)
            for order in alternating(apps, rounds):
                for name in order:
                    measured = await loads[name].rates("/chat", seconds, known)
                    for sample, value in zip(samples[name], measured, strict=True):
                        sample.add(value)
            found[str(length)] = _compared(samples)
    return found


def _compared(samples: dict[str, tuple[Sample, Sample]]) -> dict[str, Any]:
    rates = {name: rate.values for name, (rate, _) in samples.items()}
    times = Sample([ours / sdk for ours, sdk in zip(rates[TURNWISE], rates[SDK], strict=True)])
    by_side = {
        name: {"rate": rate.as_json(), "cpu": cpu.as_json()}
        for name, (rate, cpu) in samples.items()
    }
    return {**by_side, "times": times.as_json()}


async def _conversations(url: str) -> str:
    """The name of conversations with long histories, which both sides have."""
    name = f"serve-{next(_ids)}"
    async with redis_client(url) as client, RedisSession.from_url(url) as session:
        sides = SDKOnRedis(client), TurnwiseContender(session, batch=100)
        items = HistoryGenerator().items(LONG)
        for number in range(CONVERSATIONS):
            await asyncio.gather(*(side.fill(f"{name}-{number}", items) for side in sides))
    return name


async def _first_tokens(apps: dict[str, _App], requests: int) -> dict[str, Sample]:
    samples, rng = {name: Sample() for name in apps}, Random(1)
    name = f"token-{next(_ids)}"
    for number in range(requests):
        for side, app in apps.items():
            await asyncio.sleep(rng.uniform(0, 0.03))  # out of phase with what polls
            body = {"session_id": f"{name}-{number // TURNS}", "message": "Go"}
            if side == TURNWISE:
                body["agent"] = "typing"
            asked = time.perf_counter()
            async with answer(app.port, request("POST", app.route, body, STREAM)) as reader:
                await reader.readuntil(b"event: delta")
                samples[side].add((time.perf_counter() - asked) * 1000)
                await reader.readuntil(b"event: done")
    return samples


async def _resume(port: int, requests: int) -> Sample:
    """The stream broke after its first event, and its client comes back."""
    name, sample = f"resume-{next(_ids)}", Sample()
    body = {"session_id": name, "message": "Go", "turn_id": "long", "agent": "long"}
    async with answer(port, request("POST", "/chat", body, STREAM)) as reader:
        await reader.readuntil(b"event: done")
    events = request("GET", f"/chat/{name}/turns/long/events?after=1-1")

    async def resumed() -> None:
        async with answer(port, events) as reader:
            received = await reader.readuntil(b"event: done")
            assert received.count(b"event: delta") >= TOKENS - 2, received[:400]

    for _ in range(max(2, requests // 5)):
        sample.add((await timed(resumed))[0])
    return sample


@asynccontextmanager
async def answer(port: int, sent: bytes) -> AsyncIterator[asyncio.StreamReader]:
    """Send a request on a connection of its own, and read its answer."""
    reader, writer = await asyncio.open_connection(HOST, port, limit=2**22)
    try:
        writer.write(sent)
        yield reader
    finally:
        writer.close()


async def _idle(url: str, streams: int, seconds: float) -> dict[str, Any]:
    """No worker takes the messages that the streams follow."""
    raise_open_files(2 * streams)
    name = f"streams-{next(_ids)}"
    async with RedisSession.from_url(url) as session:
        async with served(url, "--workers-inside", "0") as app, AsyncExitStack() as stack:

            async def opened(number: int) -> None:
                body = {"session_id": f"{name}-{number}", "message": "Go"}
                sent = request("POST", "/chat", body, STREAM)
                reader = await stack.enter_async_context(answer(app.port, sent))
                await reader.readuntil(b"event: turn")

            await opened(streams)  # what the first one costs is not counted
            without, before = await _cost(url, app, seconds), resident_bytes(app.pid)
            await in_batches([opened(number) for number in range(streams)])
            await asyncio.sleep(3 * seconds)  # meanwhile they ask less and less often
            costs = await _cost(url, app, seconds)
            memory = resident_bytes(app.pid) - before
        await in_batches([session.delete(f"{name}-{number}") for number in range(streams + 1)])
    return {"streams": streams, "bytes": memory, "without": without, "with": costs}


async def _cost(url: str, app: _App, seconds: float) -> dict[str, float]:
    """The share of a CPU that the process takes, and the store's commands per second."""
    async with redis_client(url) as client:
        cpu, (_, commands) = cpu_seconds(app.pid), await calls(client)
        await asyncio.sleep(seconds)
        used, (_, after) = cpu_seconds(app.pid) - cpu, await calls(client)
    return {"cpu": used / seconds, "commands": (after - commands) / seconds}


def raise_open_files(needed: int) -> None:
    """Let this process, and those that it starts, have so many connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(needed + 500, hard)), hard))
