"""The page of one turn: where it stands, and its steps drawn to scale; releasing it."""

from __future__ import annotations

import asyncio
import re

import pytest
from agents import function_tool

from tests.dashboard.visitor import Visitor
from tests.integration.approval_lab import agent
from tests.integration.test_token_usage import costly
from tests.scripted import calls, says, weather
from turnwise import Runner
from turnwise.dashboard.drawing import WIDTH, draw
from turnwise.fleet import Step
from turnwise.session import Session


async def test_an_open_turn_and_the_same_when_it_ended(visitor: Visitor, session: Session) -> None:
    goes_on, runs = asyncio.Event(), asyncio.Event()

    @function_tool
    async def slow() -> str:
        runs.set()
        await goes_on.wait()
        return "slept"

    helper = costly(calls("weather"), calls("slow", "call_2"), says("done"), tools=[weather, slow])
    run = Runner.run(helper, "go", session=session, session_id="s", turn_id="t")
    running = asyncio.create_task(run)
    await runs.wait()
    page = await visitor.get((await visitor.get("/session", id="s")).links["t"])
    assert page.html.count("<rect ") == 4
    for text in (
        "running of session s",
        "model",
        "weather",
        "slow",
        "call_2",
        session.runtime.name,
    ):
        assert text in page.text
    goes_on.set()
    await running
    page = await visitor.get("/turn", id="s", turn="t")
    assert "committed of session s" in page.text
    assert "<rect " not in page.html  # of a turn that ended only the order is known
    for text in ("tokens in", "slept", "done", "go"):
        assert text in page.text
    one = await visitor.get("/session", id="s")
    assert "Tokens" in one.text
    assert "tokens in" in one.text


async def test_turns_that_are_not_there(visitor: Visitor, session: Session) -> None:
    page = await visitor.get("/turn", id="s", turn="t")
    assert (page.status, "There is no such session" in page.text) == (404, True)
    helper = agent(says("hi"), tools=[])
    await Runner.run(helper, "hi", session=session, session_id="s", turn_id="t")
    page = await visitor.get("/turn", id="s", turn="other")
    assert (page.status, "has no turn other , or not any more" in page.text) == (404, True)
    assert (await visitor.get("/turn", id="s")).status == 400
    assert (await visitor.get("/turn", id="s", turn="x" * 600)).status == 400


async def test_a_turn_is_released_after_a_question(visitor: Visitor, session: Session) -> None:
    await session.submit("s", "hi", agent="nobody", turn_id="t")
    await session.runtime.store.next("s", "token", 600_000, worker="hung")
    page = await visitor.get("/session", id="s")
    asked = await visitor.send(page.form("release"), "release")
    assert "Release this turn?" in asked.text
    told = await visitor.send(asked.form("release"), "release", reason="it hangs")
    assert "The turn is released" in told.text
    (record,) = await session.audit(action="release")
    assert (record.reason, record.outcome) == ("it hangs", "released")
    await session.cancel("s")
    again = await visitor.send(asked.form("release"), "release")
    assert "There is no such open turn any more; nothing was changed." in again.text


@pytest.mark.parametrize(
    ("steps", "now", "expected"),
    [
        ([], 0, None),
        ([Step("model", "a")], 0, None),
        (
            [Step("model", "a", started_at=100, ended_at=101), Step("tool", "t", started_at=101)],
            110,
            [(0, 1000), (997, 3)],
        ),
        (
            [
                Step("model", "a", started_at=100, ended_at=101),
                Step("tool", "t", "running", started_at=101),
            ],
            110,
            [(0, 100), (100, 900)],
        ),
        ([Step("model", "a", ended_at=100)], 5, [(0, 3)]),
        # Another worker's clock is behind.
        (
            [
                Step("model", "a", started_at=100, ended_at=101),
                Step("tool", "t", started_at=99, ended_at=90),
            ],
            0,
            [(500, 500), (0, 3)],
        ),
    ],
)
def test_steps_are_drawn_to_scale(
    steps: list[Step], now: float, expected: list[tuple[float, float]] | None
) -> None:
    drawing = draw(steps, now)
    if expected is None:
        assert drawing is None
        return
    assert drawing is not None
    assert [(round(bar.x), round(bar.width)) for bar in drawing.bars] == expected
    assert all(0 <= bar.x <= WIDTH - bar.width for bar in drawing.bars)
    assert re.fullmatch(r"0 ms", drawing.ticks[0][1])
