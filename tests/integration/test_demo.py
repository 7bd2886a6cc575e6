"""The demo as a user runs it, with few conversations."""

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import redis.asyncio
from agents import RunConfig

from demo import checks
from demo.comparison import difference
from demo.config import Config
from demo.model import HistoryDiffers, recorded_agent
from demo.recording import RecordedCall, Recording
from turnwise import MemorySession, Runner, SQLiteSession
from turnwise.testing.servers import ValkeyServer

ROOT = Path(__file__).parents[2]
SMALL = ("--conversations", "8", "--pace", "0.05", "--kills", "2", "--no-dashboard")


@asynccontextmanager
async def demo(*arguments: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "demo", *arguments),
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "200"},
        stdout=PIPE,
        stderr=STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def run(*arguments: str) -> tuple[int | None, str]:
    async with demo(*arguments) as process:
        output, _ = await process.communicate()
        return process.returncode, output.decode()


async def lines_until(process: Process, pattern: str) -> list[str]:
    """All lines up to the first that matches."""
    assert process.stdout is not None
    lines = []
    async for line in process.stdout:
        lines.append(line.decode())
        if re.search(pattern, lines[-1]):
            return lines
    raise AssertionError(f"{pattern} is not in:\n{''.join(lines)}")


def pids(lines: list[str]) -> list[int]:
    return [int(pid) for line in lines for pid in re.findall(r"\(pid (\d+)\) started", line)]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_the_dashboard_runs_beside_it_and_ends_with_it() -> None:
    arguments = [each for each in SMALL if each != "--no-dashboard"]
    async with demo(*arguments, "--pace", "0.3") as process:
        *_, told = await lines_until(process, "dashboard at|no dashboard")
        address = told.split()[-1]
        async with httpx.AsyncClient(base_url=address) as client:
            shown = await client.get("/sessions")
            assert (shown.status_code, "read-only" in shown.text) == (200, True)
            output, _ = await process.communicate()
            assert (process.returncode, "equals the recording" in output.decode()) == (0, True)
            with pytest.raises(httpx.ConnectError):
                await client.get("/")


def check_summary(output: str) -> None:
    for pattern in (
        r"KILLED \S+ .* in tool (\w+) of (\S+),(.|\n)* took over \2: [1-9].*; \1 runs again",
        r"KILLED \S+ .* in a model call of (\S+),(.|\n)* took over \1: [1-9].*; model runs again",
        r"8 of 8 equal the recording item by item: \d+ items",
        r"(\d+) of \1 are committed, each once",
        r"(\d+) of \1 follow-up turns ran in another process",
        r"5 processes, 2 of them killed with SIGKILL: 1 in a tool, 1 in a model call",
        r"Retried +[1-9]\d* turns: ",
        r"turns/s",
        r"Reused +[1-9]\d* model responses and [1-9]\d* tool outputs",
        r"Model calls +\d+ for \d+ recorded responses. Run again: [1-9].* 0 in the journal",
        r"Tool calls +\d+ for \d+ recorded outputs. Run again: [1-9].* 0 in the journal",
        r"Every conversation in the store equals the recording",
        r"No model call and no tool call with a result in the journal ran again",
    ):
        assert re.search(pattern, output), f"{pattern}\nnot in\n{output}"


async def test_replays_on_sqlite_and_writes_a_screenshot(tmp_path: Path) -> None:
    code, output = await run(*SMALL, "--svg", str(tmp_path / "demo.svg"))

    assert code == 0, output
    check_summary(output)
    screenshot = (tmp_path / "demo.svg").read_text()
    assert "Conversations" in screenshot
    assert "@font-face" not in screenshot


async def test_replays_on_valkey_and_leaves_no_key() -> None:
    async with ValkeyServer() as server:
        code, output = await run(*SMALL, "--url", server.url)
        async with redis.asyncio.from_url(server.url) as client:
            left = await client.keys("*")

    assert code == 0, output
    check_summary(output)
    assert left == []


async def test_an_item_that_is_not_in_the_recording_fails_the_demo() -> None:
    code, output = await run("--workers", "2", "--conversations", "2", "--kills", "0", "--tamper")

    assert code == 1
    assert "1 of 2 equal the recording" in output
    assert "First difference: airline-1-0: item" in output
    assert "recorded  nothing" in output
    assert "this was never said" in output


async def test_a_worker_that_dies_unexpectedly_fails_the_demo() -> None:
    async with demo() as process:
        workers = pids(await lines_until(process, "worker-3 .* started"))
        os.kill(workers[1], signal.SIGKILL)
        output, _ = await process.communicate()

    assert process.returncode == 1
    assert f"worker-2 (pid {workers[1]}) exited unexpectedly, with code -9" in output.decode()
    assert not any(map(is_alive, workers))


@pytest.mark.parametrize(
    ("stop", "moment"),
    [
        (signal.SIGTERM, "worker-3 .* started"),
        (signal.SIGINT, "KILLED worker"),
    ],
)
async def test_stops_all_workers_when_it_is_stopped(stop: signal.Signals, moment: str) -> None:
    async with demo("--conversations", "20") as process:
        workers = pids(await lines_until(process, moment))
        process.send_signal(stop)
        output, _ = await process.communicate()

    assert process.returncode == 130
    assert b"Traceback" not in output
    assert not any(map(is_alive, workers))


async def test_memory_is_refused() -> None:
    code, output = await run("--url", "memory://")

    assert code == 1
    assert "several processes cannot share" in output


# The model's own check, and the checks of the store.


async def no_workload(turn_id: str, call: RecordedCall) -> None:
    """Calls take no time."""


async def test_the_model_refuses_a_history_that_lacks_a_turn() -> None:
    recording = Recording(1)
    first, _, third, *_ = recording.conversations[0].turns
    agent = recorded_agent(recording, no_workload)
    config = RunConfig(tracing_disabled=True)
    async with MemorySession(session_id="c") as session:
        await Runner.run(agent, first.input, session=session, context=first, run_config=config)
        with pytest.raises(HistoryDiffers, match="item 3 of"):
            await Runner.run(agent, third.input, session=session, context=third, run_config=config)


async def test_turns_that_are_committed_as_one_are_found(tmp_path: Path) -> None:
    """All items are there, in a single turn."""
    recording = Recording(1)
    (conversation,) = recording.conversations
    config = Config(f"sqlite:///{tmp_path}/sessions.db", "run")
    async with SQLiteSession(tmp_path / "sessions.db") as sessions:
        session = sessions.bind(config.session_id(conversation.id))
        await session.add_items([dict(item) for item in conversation.items])  # type: ignore[misc]  # as recorded

    result = await checks.check_store(recording, config)

    assert result.conversations == 0
    assert result.differences == [f"airline-0-0: 1 turns are stored, not {len(conversation.turns)}"]


async def test_missing_and_unexpected_sessions_are_found(tmp_path: Path) -> None:
    config = Config(f"sqlite:///{tmp_path}/sessions.db", "run")
    async with SQLiteSession(tmp_path / "sessions.db") as sessions:
        await sessions.bind(config.session_id("other")).add_items(
            [{"role": "user", "content": "hi"}]
        )

    result = await checks.check_store(Recording(1), config)

    assert "session session:run:airline-0-0 is missing" in result.differences
    assert "session session:run:other is not in the recording" in result.differences


def test_differences_are_readable() -> None:
    recorded = [
        {"type": "message", "role": "user", "content": "yes"},
        {"type": "function_call_output", "call_id": "1", "output": "x" * 30 + "seat 12A"},
    ]
    stored = [{"role": "user", "content": "yes"}, {**recorded[1], "output": "x" * 30 + "seat 13A"}]

    assert difference(recorded, [stored[0], recorded[1]]) is None
    assert difference(recorded, stored) == (
        "item 2 of 2 recorded and 2 found\n"
        "  function_call_output, output, from character 37 on\n"
        "  recorded  …xxxxxxxxxxxxxxxxxxseat 12A…\n"
        "  found     …xxxxxxxxxxxxxxxxxxseat 13A…"
    )


def test_the_recording_is_split_into_turns_with_unique_call_ids() -> None:
    recording = Recording()

    assert len(recording.conversations) == 150
    assert len(recording.turns) == 984
    assert sum(conversation.renamed_calls for conversation in recording.conversations) == 56
    for conversation in recording.conversations:
        calls = [item["call_id"] for item in conversation.items if item["type"] == "function_call"]
        assert len(set(calls)) == len(calls)
