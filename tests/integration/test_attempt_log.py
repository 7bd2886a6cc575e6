"""What the log says of attempts that fail or take over: one line each, with the reason."""

from __future__ import annotations

import logging

import pytest

from tests.integration.background_lab import echo
from turnwise import MemorySession
from turnwise.background import Policy
from turnwise.turns import mint

TWICE = Policy(max_attempts=2, backoff=0)


async def fail(message: str) -> None:
    raise RuntimeError(f"no {message}\nforged line")


@pytest.fixture
def session() -> MemorySession:
    return MemorySession()


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    found = (record for record in caplog.records if record.name == "turnwise")
    return [(record.levelname, record.getMessage()) for record in found]


@pytest.mark.parametrize(
    ("policy", "follows"),
    [
        (TWICE, "its message becomes a dead letter"),
        (Policy(max_attempts=2, backoff=0, on_dead="stop"), "its session stops there"),
    ],
)
async def test_each_failed_attempt_says_why_and_what_follows(
    session: MemorySession, caplog: pytest.LogCaptureFixture, policy: Policy, follows: str
) -> None:
    await session.submit("s", "such thing", agent="echo", turn_id="t")
    with caplog.at_level(logging.INFO, "turnwise"):
        await session.drain("s", [echo(fail)], policy)
    why = r"RuntimeError: no such thing\nforged line"
    assert lines(caplog) == [
        (
            "WARNING",
            "attempt 1 of turn 't' of session 's' failed, another one follows in 0 s: " + why,
        ),
        ("ERROR", f"attempt 2 of turn 't' of session 's' failed, {follows}: {why}"),
    ]
    assert not any(record.exc_info for record in caplog.records)


async def test_at_debug_the_traceback_comes_with_it(
    session: MemorySession, caplog: pytest.LogCaptureFixture
) -> None:
    await session.submit("s", "such thing", agent="echo", turn_id="t")
    with caplog.at_level(logging.DEBUG, "turnwise"):
        await session.drain("s", [echo(fail)], TWICE)
    failed = [each for each in caplog.records if getattr(each, "event", "") == "attempt failed"]
    assert len(failed) == 2
    for record in failed:
        assert record.exc_info is not None
        assert isinstance(record.exc_info[1], RuntimeError)


async def test_a_takeover_is_a_line(
    session: MemorySession, caplog: pytest.LogCaptureFixture
) -> None:
    await session.submit("s", "hello", agent="echo", turn_id="t")
    await session.runtime.store.next("s", mint(), 1, worker="dead")
    with caplog.at_level(logging.INFO, "turnwise"):
        assert await session.drain("s", [echo()]) == 1
    text = "attempt 2 of turn 't' of session 's' takes over: "
    text += "workers that died in it: 1, entries in its journal: 0"
    assert lines(caplog) == [("WARNING", text)]


async def test_an_agent_that_is_missing_is_told_once(
    session: MemorySession, caplog: pytest.LogCaptureFixture
) -> None:
    await session.submit("s", "hello", agent="other", turn_id="t")
    processor = session.processor([echo()])
    with caplog.at_level(logging.INFO, "turnwise"):
        assert (await processor.visit("s")).state == "unfit"
        assert (await processor.visit("s")).state == "unfit"
    ((level, text),) = lines(caplog)
    assert level == "WARNING"
    assert "left to workers of another version: UnknownAgent: " in text
