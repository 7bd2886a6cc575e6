"""A run raises a BaseException: the attempt has failed, and the session continues."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from typing import Any

import pytest
from agents import function_tool

from tests.integration.background_lab import QUICK, echo, output
from tests.scripted import Reply, agent, calls, says
from turnwise import MemorySession, SQLiteSession, repeatable
from turnwise.background import Policy
from turnwise.errors import DeadLettered, StoreUnavailable

SHORT = 1.0
"""A lease (s): an exit holds the session for one."""


class Odd(BaseException):
    """No Exception."""


class Raising:
    """Agents whose model, or whose tool, raises something; `count` is how often it did."""

    def __init__(self, error: BaseException) -> None:
        self.count = 0
        self._error = error

    def agent(self, place: str) -> Any:
        @repeatable
        @function_tool(failure_error_function=None)
        async def tool() -> str:
            return str(self._raise())

        replies: list[Reply] = [self._raise] if place == "model" else [calls("tool"), says("never")]
        return agent(*replies, tools=[tool])

    def _raise(self, *_: Any) -> Any:
        self.count += 1
        raise self._error


@pytest.mark.parametrize("place", ["model", "tool"])
@pytest.mark.parametrize("error", [Odd(), asyncio.CancelledError()])
async def test_it_is_a_failed_attempt(error: BaseException, place: str) -> None:
    session, raising = MemorySession(), Raising(error)
    agents = {"bad": raising.agent(place), "echo": echo()}
    bad = await session.submit("s", "hello", agent="bad")
    good = await session.submit("s", "hello", agent="echo")
    assert await session.drain("s", agents, QUICK) == 2
    with pytest.raises(DeadLettered):
        await bad.result(30)
    assert await output(good) == "re: hello"
    assert raising.count == QUICK.max_attempts


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("place", ["model", "tool"])
async def test_a_message_that_exits_its_workers_is_dead_lettered(
    tmp_path: Path, place: str
) -> None:
    """Each exit ends an event loop with all that runs in it, as the end of a process does."""
    raising = Raising(SystemExit(3))

    def a_worker_s_life() -> bool:
        """Whether it ended by itself."""

        async def work() -> None:
            async with SQLiteSession(tmp_path / "s.db", lease=SHORT) as session:
                await session.drain("s", {"bad": raising.agent(place)}, QUICK)

        try:
            asyncio.run(work())
        except SystemExit:
            return False
        return True

    async with SQLiteSession(tmp_path / "s.db") as session:
        receipt = await session.submit("s", "hello", agent="bad")
        lives = [await asyncio.to_thread(a_worker_s_life) for _ in range(QUICK.max_attempts + 1)]
        assert lives == [False] * QUICK.max_attempts + [True]
        with pytest.raises(DeadLettered):
            await receipt.result(30)
    assert raising.count == QUICK.max_attempts
    gc.collect()  # here, what the loops left that were ended so


async def test_the_errors_of_turns_that_others_end_are_remembered_for_some_time_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def out_of_order(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("down")

    monkeypatch.setattr("turnwise.background.failed_attempts._MAX_LAST_ERRORS", 2)
    session = MemorySession(lease=0.05)
    processor = session.processor(echo(), Policy(max_attempts=1))
    for name in ("a", "b", "c"):
        await session.submit(name, "hello", agent="echo", turn_id="t")
        with monkeypatch.context() as patched:
            patched.setattr(session.runtime.store, "commit", out_of_order)
            for _ in range(2):  # a message is not given up before it ran alone
                while (visit := await processor.visit(name)).state == "busy":
                    await asyncio.sleep(visit.pause)
                assert visit.state == "failed"
    assert [name for name, _ in processor._failed._last_errors] == ["b", "c"]
    assert await asyncio.gather(*map(processor.drain, "abc")) == [1, 1, 1]
    errors = {letter.session_id: letter.error for letter in await session.dead_letters()}
    assert {name: error.partition(":")[0] for name, error in errors.items()} == {
        "a": "WorkersDied",
        "b": "OutcomeUnknown",
        "c": "OutcomeUnknown",
    }
    assert processor._failed._last_errors == {}
