"""A worker that got no answer when it asked for a message, or was cancelled: nobody has run it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.integration.background_lab import QUICK
from tests.scripted import agent, says, script_of
from turnwise import MemorySession
from turnwise.background import Policy
from turnwise.errors import StoreUnavailable


async def cancelled() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


async def unavailable() -> None:
    raise StoreUnavailable("no answer")


@pytest.mark.parametrize("fails", [cancelled, unavailable])
@pytest.mark.parametrize("reached", [False, True])
async def test_it_does_not_count_as_an_attempt(
    fails: Any, reached: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the store has granted the turn before, or does so when it is asked again."""
    session = MemorySession(session_id="s", lease=5)
    helper = agent(says("done"))
    receipt = await session.submit("s", "hi", agent=helper.name)
    processor = session.processor(helper, Policy(max_attempts=1, backoff=QUICK.backoff))
    ask, asked = session.runtime.store.next, list[bool]()

    async def unanswered(*args: Any, **options: Any) -> Any:
        asked.append(reached)
        if len(asked) > 1:
            return await ask(*args, **options)
        if reached:
            await ask(*args, **options)
        return await fails()

    monkeypatch.setattr(session.runtime.store, "next", unanswered)
    failed = await asyncio.gather(asyncio.create_task(processor.visit("s")), return_exceptions=True)
    assert isinstance(failed[0], BaseException)
    await processor.visit("s")
    assert (await receipt.result(5)).final_output == "done"
    assert len(script_of(helper).asked) == 1
    assert await session.dead_letters() == []
    await session.aclose()
