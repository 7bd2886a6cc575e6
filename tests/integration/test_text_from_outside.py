"""Ids, names and texts that callers and tools choose forge no line, and none is endless."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
from pathlib import Path
from typing import Any

import pytest
from agents import function_tool

from tests.integration.background_lab import QUICK
from tests.integration.stores import Sessions, new_sessions_of
from tests.integration.test_cli import invoked, lines
from tests.scripted import agent, calls
from turnwise import connect
from turnwise.background import Policy
from turnwise.errors import DeadLettered, SessionBusy, TurnCancelled, UsageError
from turnwise.observe.logging import TurnLog
from turnwise.session import Session
from turnwise.testing.conformance.lab import NONSENSE

sessions = new_sessions_of(["memory", "sqlite", "valkey"])
FORGED = "s\n1\tdead\x1b[2K"
LONG = "secret\n" * 100_000
BOUND = 4_000  # characters


def failing() -> Any:
    @function_tool(failure_error_function=None)
    async def look_up() -> str:
        raise OSError(LONG)

    helper = agent(calls("look_up"), tools=[look_up])
    helper.name = f"{FORGED}agent"
    return helper


async def fail(session: Session, policy: Policy = QUICK) -> None:
    helper = failing()
    await session.submit(FORGED, "hi", agent=helper.name, turn_id=f"{FORGED}turn")
    await session.drain(FORGED, [helper], policy)


async def test_what_turnwise_logs_is_one_line_of_bounded_length(
    sessions: Sessions, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "turnwise")
    session = sessions.worker(hooks=[TurnLog()])
    await fail(session)
    with pytest.raises(TurnCancelled):
        async with session.turn(FORGED, turn_id=FORGED):
            with pytest.raises(SessionBusy) as busy:
                await session.submit(FORGED, "hi", agent="any", busy="reject")
            await session.cancel(FORGED, reason=f"{FORGED}reason")
            await asyncio.Event().wait()
    texts = [record.getMessage() for record in caplog.records if record.name == "turnwise"]
    assert any("dead" in text for text in texts)
    assert any("reason" in text for text in texts)
    for text in [*texts, str(busy.value)]:
        assert text.isprintable()
        assert len(text) < BOUND


async def test_what_its_errors_quote_is_one_line_of_bounded_length(sessions: Sessions) -> None:
    session = sessions.worker()
    await fail(session)
    with pytest.raises(DeadLettered) as dead:
        await session.receipt(FORGED, f"{FORGED}turn").result(30)
    with pytest.raises(TurnCancelled) as cancelled:
        async with session.turn(FORGED, turn_id=FORGED) as turn:
            await session.cancel(FORGED, reason=f"{FORGED}reason")
            await turn.add_items([{"role": "user", "content": "hi"}])
    for error in (dead.value, cancelled.value):
        assert str(error).isprintable()
        assert len(str(error)) < BOUND
    assert cancelled.value.reason == f"{FORGED}reason"


@pytest.mark.parametrize("nonsense", [*NONSENSE, 5], ids=lambda text: ascii(text)[:20])
async def test_what_is_no_dead_letter_is_a_usage_error(sessions: Sessions, nonsense: Any) -> None:
    session = sessions.worker()
    await fail(session)
    for call in (
        session.dead_letters(after=nonsense),
        session.retry_dead_letter(nonsense),
        session.delete_dead_letter(f"stopped:{nonsense}"),
    ):
        with pytest.raises(UsageError, match="dead letter"):
            await call
    assert len(await session.dead_letters()) == 1


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "1"], ids=repr)
async def test_a_count_that_is_no_whole_number_is_a_usage_error(
    sessions: Sessions, count: Any
) -> None:
    session = sessions.worker()
    for call in (
        session.dead_letters(count),
        session.sessions(count=count),
        session.queue("s", count),
        session.audit(count=count),
        session.audit(before=count),
        session.history("s", limit=count),
        session.biggest(count=count),
    ):
        with pytest.raises(UsageError, match="use a whole number from 1"):
            await call


async def test_a_tool_s_error_is_neither_published_nor_kept_at_full_length(
    sessions: Sessions,
) -> None:
    session = sessions.worker()
    await fail(session)
    (letter,) = await session.dead_letters()
    assert len(letter.error) < BOUND
    receipt = session.receipt(FORGED, f"{FORGED}turn")
    events = [event async for _, event in receipt.events()]
    assert events[-1]["state"] == "dead"
    assert max(len(str(event)) for event in events) < BOUND


@pytest.mark.parametrize("name", ["plain", "a b; c $(d) 'e", "-o", "\\n", FORGED, "ü\u202e'\\'\n1"])
async def test_the_next_page_of_sessions_is_one_line_that_a_shell_reads(
    tmp_path: Path, name: str
) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    async with connect(url) as session:
        for each in (name, f"{name}~"):
            await session.bind(each).add_items([{"role": "user", "content": "hi"}])
    first = await invoked(url, "sessions", "list", "--count", "1", "-o", "jsonl")
    (told,) = first.stderr.splitlines()
    assert told.isprintable()
    told = told.removeprefix("there are more: ")
    printed = ["bash", "-c", f"printf '%s\\0' {told}"]
    options = subprocess.run(printed, capture_output=True, check=True, text=True).stdout
    assert options == f"--cursor\0{name}\0"
    last = await lines(url, "sessions", "list", "-o", "jsonl", *options.split("\0")[:-1])
    assert [json.loads(line)["session_id"] for line in last] == [f"{name}~"]


@pytest.mark.parametrize("on_dead", ["next", "stop"])
async def test_the_command_prints_a_line_for_each_dead_letter(tmp_path: Path, on_dead: Any) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    async with connect(url) as session:
        await fail(session, Policy(max_attempts=1, on_dead=on_dead))
        option = ["--state", "stopped"] if on_dead == "stop" else []
        told = await lines(url, "dead-letters", "list", *option)
        _, _, line = [each for each in told if each.strip()]  # after the names and a rule
        assert line.isprintable()
        for name in ("", "turn", "agent"):
            assert rf" s\n1\tdead\x1b[2K{name} " in line
        assert len(line) < BOUND
        unknown = await invoked(url, "dead-letters", "retry", FORGED)
        assert unknown.exit_code == 1
        assert len(unknown.output.splitlines()) <= 1
