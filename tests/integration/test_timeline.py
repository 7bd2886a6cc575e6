"""What one turn did: its timeline, from its journal or from the history."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from agents import Agent, function_tool

from tests.integration.approval_lab import Clerk, asks
from tests.integration.durable_lab import Lab, Ledger, Mortal, Sage
from tests.integration.durable_lab import calls as ask_for
from tests.integration.durable_lab import says as answers
from tests.integration.durable_scenarios import SCENARIOS, two_steps
from tests.integration.fault_lab import message
from tests.integration.stores import Sessions, new_sessions_of
from tests.integration.test_cli import invoked, lines
from tests.integration.test_token_usage import costly, times
from tests.scripted import broken, calls, says, weather
from turnwise import Runner, Timeline, connect
from turnwise.background import Policy
from turnwise.types import TokenUsage

sessions = new_sessions_of(["memory", "sqlite", "valkey"])


async def shown(session: Any, turn_id: str = "t", session_id: str = "s") -> Timeline:
    found = await session.timeline(session_id, turn_id)
    assert found is not None
    return found  # type: ignore[no-any-return]  # the sessions of several kinds


def outline(found: Timeline) -> list[tuple[str, str, str]]:
    return [(step.kind, step.name, step.state) for step in found.steps]


async def test_an_open_turn_shows_what_its_journal_has(sessions: Sessions) -> None:
    goes_on, runs = asyncio.Event(), asyncio.Event()

    @function_tool
    async def slow() -> str:
        runs.set()
        await goes_on.wait()
        return "slept"

    worker, operator = sessions.worker(), sessions.worker()
    helper = costly(calls("weather"), calls("slow", "call_2"), says("done"), tools=[weather, slow])
    run = Runner.run(helper, "go", session=worker, session_id="s", turn_id="t")
    running = asyncio.create_task(run)
    await runs.wait()
    found = await shown(operator)
    assert (found.state, found.attempt, found.ended_at) == ("running", 1, None)
    assert found.worker == worker.runtime.name
    assert outline(found) == [
        ("model", "agent", "ended"),
        ("tool", "weather", "ended"),
        ("model", "agent", "ended"),
        ("tool", "slow", "running"),
    ]
    assert found.usage == times(2)
    times_of = [(step.started_at or 0.0, step.ended_at or 9e9) for step in found.steps]
    assert all(start <= end for start, end in times_of)
    assert [start for start, _ in times_of] == sorted(start for start, _ in times_of)
    assert [item["type"] for item in found.items] == [
        "function_call",
        "function_call_output",
        "function_call",
    ]
    goes_on.set()
    await running
    found = await shown(operator)
    assert (found.state, found.usage) == ("committed", times(3))
    assert found.worker == worker.runtime.name
    assert found.ended_at is not None
    assert [(step.kind, step.name) for step in found.steps] == [
        ("model", ""),
        ("tool", "weather"),
        ("model", ""),
        ("tool", "slow"),
        ("model", ""),
    ]
    assert [step.usage for step in found.steps if step.kind == "model"] == [times(1)] * 3
    assert await operator.timeline("s", "other") is None
    assert await operator.timeline("nobody", "t") is None


async def test_a_dead_worker_leaves_unknown_tools_and_the_next_attempt_follows() -> None:
    lab, ledger = Lab(), Ledger()
    store = Mortal(lab.store, 3, acknowledged=True)  # a response, the start and the end of `one`
    with pytest.raises(Exception, match=r"dead|acknowledge"):
        await SCENARIOS["two-steps"].run(lab, ledger, _run_turn, store)
    lab.expire()
    operator = lab.session()
    found = await shown(operator)
    assert (found.state, found.lease_remaining is not None) == ("orphaned", True)
    assert outline(found)[:2] == [("model", "a", "ended"), ("tool", "one", "ended")]

    class Stays(Sage):
        async def get_response(self, *args: Any, **options: Any) -> Any:
            seen.append(await shown(operator))
            return await super().get_response(*args, **options)

    seen: list[Timeline] = []
    agent = two_steps(ledger)
    agent.model = Stays(ledger, "m", ask_for("one"), ask_for("two"), answers("done"))
    await Runner.run(agent, "go", session=operator, turn_id="t")
    assert (seen[-1].attempt, seen[-1].died) == (2, 1)
    attempts = [step.attempt for step in seen[-1].steps]
    assert attempts == sorted(attempts)
    assert attempts[0] == 1
    assert (await shown(operator)).attempt == 2


async def _run_turn(session: Any, agent: Agent[Any], input: Any, options: Any) -> Any:
    return await Runner.run(agent, input, session=session, turn_id="t", **options), [], ""


async def test_a_tool_whose_worker_died_in_it_is_unknown() -> None:
    lab, ledger = Lab(), Ledger()
    store = Mortal(lab.store, 2, acknowledged=True)  # a response, and the start of `one`
    with pytest.raises(Exception, match=r"dead|acknowledge"):
        await SCENARIOS["two-steps"].run(lab, ledger, _run_turn, store)
    lab.expire()
    assert outline(await shown(lab.session()))[1] == ("tool", "one", "unknown")


async def test_agents_in_tools_are_one_level_down() -> None:
    lab, ledger = Lab(), Ledger()
    store = Mortal(lab.store, 6, acknowledged=True)
    with pytest.raises(Exception, match=r"dead|acknowledge"):
        await SCENARIOS["agent-tools"].run(lab, ledger, _run_turn, store)
    assert {step.depth for step in (await shown(lab.session())).steps} >= {0, 1}


async def test_an_error_of_a_tool_is_shown(sessions: Sessions) -> None:
    session = sessions.worker(repeatable_tools=["broken"])
    helper = costly(calls("broken"), tools=[broken])
    with pytest.raises(Exception, match="broke"):
        await Runner.run(helper, "go", session=session, session_id="s", turn_id="t")
    step = next(step for step in (await shown(session)).steps if step.kind == "tool")
    assert (step.state, step.error) == ("failed", "OSError: the tool broke")


async def test_a_parked_turn_shows_what_it_waits_for(sessions: Sessions) -> None:
    session, clerk = sessions.worker(), Clerk()
    helper = clerk.agent(asks("look"), asks("pay", "send"))
    await Runner.run(helper, "go", session=session, session_id="s", turn_id="t")
    found = await shown(session)
    assert (found.state, found.lease_remaining) == ("parked", None)
    assert outline(found) == [
        ("model", "", "ended"),
        ("tool", "look", "ended"),
        ("model", "", "ended"),
        ("tool", "pay", "unknown"),
        ("tool", "send", "unknown"),
        ("parked", "pay, send", "ended"),
    ]
    pay, _ = await session.pending_approvals("s")
    await session.decide("s", reject={pay.id: None})
    assert outline(await shown(session))[-1] == ("decided", "0 approved, 1 rejected", "ended")


async def test_messages_that_wait_stop_or_die(sessions: Sessions) -> None:
    session = sessions.worker()
    helper = costly(OSError("no model"))
    for turn_id in ("t", "behind"):
        await session.submit("s", "hello", agent=helper, turn_id=turn_id)
    found = await shown(session)
    assert (found.state, found.background) == ("queued", True)
    assert found.items == [{"role": "user", "content": "hello"}]
    await session.drain("s", helper, Policy(max_attempts=1, on_dead="stop"))
    found = await shown(session)
    assert (found.state, found.error) == ("stopped", "OSError: no model")
    await session.delete_dead_letter("stopped:s")
    await session.drain("s", helper, Policy(max_attempts=1))
    found = await shown(session, "behind")
    assert (found.state, found.error, found.attempt) == ("dead", "OSError: no model", 1)


async def test_a_turn_older_than_the_retention_is_found() -> None:
    lab = Lab()
    session = lab.session()
    async with session.turn("s", turn_id="t") as turn:
        await turn.add_items([message("first")])
    for _ in range(3):
        lab.now += 3 * 24 * 3600 * 1000
        await session.add_items([message("later")])
    found = await shown(session)
    assert (found.state, found.items) == ("committed", [message("first")])


async def test_a_cancelled_turn_says_why(sessions: Sessions) -> None:
    session = sessions.worker()
    await session.submit("s", "hello", agent="x", turn_id="t")
    await session.cancel("s", "t", reason="wrong customer")
    found = await shown(session)
    assert (found.state, found.error) == ("cancelled", "wrong customer")


async def test_a_journal_of_another_version_is_a_clear_word() -> None:
    lab, ledger = Lab(), Ledger()
    store = Mortal(lab.store, 2, acknowledged=True)
    with pytest.raises(Exception, match=r"dead|acknowledge"):
        await SCENARIOS["two-steps"].run(lab, ledger, _run_turn, store)
    state = lab.store.memory.sessions["s"]
    state.extend_journal([b'{"entry":"of_the_future"}'])
    found = await shown(lab.session())
    assert found.steps == []
    assert found.error is not None
    assert "cannot be decoded here" in found.error


async def test_the_commands(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    async with connect(url, worker="w1") as session:
        helper = costly(calls("weather"), says("Sunny."), tools=[weather])
        await Runner.run(helper, "And today?", session=session, session_id="s", turn_id="t\n1")
        told = await lines(url, "turns", "show", "s", "t\n1")
        assert told[0].startswith(r"== turn t\n1: committed 20")
        assert told[0].endswith("out (10 reasoning)]")
        assert told[1:] == [
            "  user: And today?",
            "  call call_1: weather({})",
            "  output of call_1: sunny",
            "  assistant: Sunny.",
        ]
        steps = await lines(url, "turns", "timeline", "s", "t\n1")
        assert "sunny" not in "".join(steps).lower()
        assert any("weather" in line and "ended" in line for line in steps)
        (row,) = map(json.loads, await lines(url, "turns", "timeline", "s", "t\n1", "-o", "jsonl"))
        assert TokenUsage(**row["usage"]) == times(2)
        assert (row["items"], len(row["steps"])) == ([], 3)
        (row,) = map(json.loads, await lines(url, "turns", "show", "s", "t\n1", "-o", "jsonl"))
        assert len(row["items"]) == 4
    result = await invoked(url, "turns", "timeline", "s", "no")
    assert result.exit_code == 1
    assert "has no turn 'no', or not any more" in result.output
