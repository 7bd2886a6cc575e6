"""Attempts that a tool error ended: what the next attempt repeats, and what it must not."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from agents import FunctionTool, UserError, function_tool

from tests.integration.background_lab import QUICK, output
from tests.integration.stores import Sessions, new_sessions_of
from tests.scripted import agent, calls, says, script_of
from turnwise import Runner, idempotency_key, repeatable
from turnwise.errors import DeadLettered

sessions = new_sessions_of(["memory", "sqlite", "valkey"])


class Ledger:
    """What tools did."""

    def __init__(self) -> None:
        self.ran = Counter[str]()
        self.keys = list[str]()

    def tool(self, name: str, failures: int = 0) -> FunctionTool:
        """A tool that raises so many times, and works then."""

        async def act() -> str:
            self.ran[name] += 1
            self.keys.append(idempotency_key())
            if self.ran[name] <= failures:
                raise ConnectionError(f"{name} reset")
            return "done"

        return function_tool(act, name_override=name, failure_error_function=None)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


async def test_a_repeatable_tool_whose_error_ended_an_attempt_runs_again_in_the_next(
    sessions: Sessions, ledger: Ledger
) -> None:
    session = sessions.worker()
    search = repeatable(ledger.tool("search", failures=2))
    clerk = agent(calls("pay", "c1"), calls("search", "c2"), says("yes"))
    clerk.tools = [ledger.tool("pay"), search]
    receipt = await session.submit("s", "hello", agent="agent")
    assert await session.drain("s", clerk, QUICK) == 1
    assert await output(receipt) == "yes"
    assert ledger.ran == {"pay": 1, "search": 3}
    assert len(set(ledger.keys)) == 2
    assert len(script_of(clerk).asked) == 3


async def test_its_attempts_are_bounded_like_all_others(sessions: Sessions, ledger: Ledger) -> None:
    session = sessions.worker(repeatable_tools=("search",))
    clerk = agent(calls("search"), says("yes"), tools=[ledger.tool("search", failures=99)])
    await session.submit("s", "hello", agent="agent")
    await session.drain("s", clerk, QUICK)
    (letter,) = await session.dead_letters()
    assert (ledger.ran["search"], letter.attempts) == (3, 3)


@pytest.mark.parametrize("beside", [False, True])
async def test_the_error_of_a_tool_that_may_not_repeat_gives_the_message_up(
    sessions: Sessions, ledger: Ledger, beside: bool
) -> None:
    """Also where another tool of the same response, which may, has raised an error first."""
    session = sessions.worker()
    clerk = agent(calls("pay", "c1"), says("yes"), tools=[ledger.tool("pay", failures=1)])
    if beside:
        clerk = agent([*calls("search", "c0"), *calls("pay", "c1")], says("yes"))
        search = repeatable(ledger.tool("search", failures=1))
        clerk.tools = [search, ledger.tool("pay", failures=1)]
    receipt = await session.submit("s", "hello", agent="agent")
    await session.drain("s", clerk, QUICK)
    with pytest.raises(DeadLettered, match="pay reset"):
        await receipt.result(30)
    assert ledger.ran["pay"] == 1
    assert len(script_of(clerk).asked) == 1
    (letter,) = await session.dead_letters()
    assert letter.attempts <= 1 + beside
    await session.retry_dead_letter(letter)
    clerk.model = agent(calls("pay", "c1"), says("yes")).model
    await session.drain("s", clerk, QUICK)
    assert await output(receipt) == "yes"
    assert ledger.ran["pay"] == 2


async def test_an_error_that_the_model_has_answered_is_replayed(
    sessions: Sessions, ledger: Ledger
) -> None:
    session = sessions.worker()

    @repeatable
    @function_tool(timeout=0.1)
    async def search() -> str:
        ledger.ran["search"] += 1
        await asyncio.Event().wait()
        return "never"

    clerk = agent(
        calls("search", "c1"), calls("pay", "c2"), RuntimeError("overloaded"), says("yes")
    )
    clerk.tools = [search, ledger.tool("pay")]
    receipt = await session.submit("s", "hello", agent="agent")
    await session.drain("s", clerk, QUICK)
    assert await output(receipt) == "yes"
    assert ledger.ran == {"search": 1, "pay": 1}


async def test_an_error_that_a_run_around_took_for_an_answer_is_replayed(
    sessions: Sessions, ledger: Ledger
) -> None:
    session = sessions.worker()
    inner = agent(calls("pay"), tools=[ledger.tool("pay", failures=1)])

    def as_text(context: Any, error: Exception) -> str:
        return f"failed: {error}"

    ask = inner.as_tool("ask", "", failure_error_function=as_text)
    asks = calls("ask", "c1", '{"input": "x"}')
    clerk = agent(asks, RuntimeError("overloaded"), says("yes"), tools=[ask])
    receipt = await session.submit("s", "hello", agent="agent")
    await session.drain("s", clerk, QUICK)
    assert await output(receipt) == "yes"
    assert ledger.ran == {"pay": 1}


async def test_after_a_death_an_error_is_replayed(
    sessions: Sessions, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A direct turn whose sender went away just when the tool's end was in the store."""
    session, is_written = sessions.worker(), asyncio.Event()
    clerk = agent(calls("search"), says("yes"))
    clerk.tools = [repeatable(ledger.tool("search", failures=1))]
    journal = session.runtime.store.journal

    async def written(*args: Any) -> Any:
        answer = await journal(*args)
        if ledger.ran["search"]:
            is_written.set()
            await asyncio.Event().wait()
        return answer

    async def run() -> Any:
        return await Runner.run(clerk, "hello", session=session, session_id="s", turn_id="t")

    with monkeypatch.context() as slow:
        slow.setattr(session.runtime.store, "journal", written)
        task = asyncio.create_task(run())
        await is_written.wait()
        slow.undo()
        task.cancel()
        await asyncio.wait({task})
    with pytest.raises(UserError, match="search reset"):
        await run()
    assert ledger.ran == {"search": 1}
