"""Background workers as processes, on real stores: killed, ended, and followed from outside."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.background_fleet import Fleet
from tests.integration.background_lab import output, texts
from tests.integration.programs import STARTED, ready
from turnwise import connect
from turnwise.errors import DeadLettered

ANNOUNCE = """
import asyncio, sys
from turnwise import connect

async def main():
    async with connect(sys.argv[1]) as session:
        await session.runtime.store.ready.announce("s", "t")
        print("announced", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_another_worker_takes_over_after_a_kill(fleet: Fleet) -> None:
    async with connect(fleet.url) as session:
        receipt = await session.submit("s", "go", agent="a", turn_id="t")
        first = fleet.worker(hold="three")
        await fleet.reached("three", first)
        await first.kill()
        second = fleet.worker()
        assert await output(receipt) == "done"
        await second.terminate(STARTED)
        assert texts((await session.bind("s").get_items())[:1]) == ["go"]
    assert {what: count for what, count in fleet.noted().items() if count > 1} == {}


async def test_no_message_is_lost_or_run_twice_when_a_worker_is_killed(fleet: Fleet) -> None:
    async with connect(fleet.url) as session:
        receipts = [await session.submit(f"s{n % 8}", f"m{n}", agent="echo") for n in range(48)]
        first, second = fleet.worker("--concurrency", "3"), fleet.worker("--concurrency", "3")
        await fleet.reached("said", first)
        await first.kill()
        await asyncio.gather(*map(output, receipts))
        await second.terminate(STARTED)
        for n in range(8):
            mine = [f"m{m}" for m in range(n, 48, 8)]
            history = texts(await session.bind(f"s{n}").get_items())
            assert history == [text for m in mine for text in (m, f"re: {m}")]


async def test_sigterm_releases_turns_that_outlast_the_grace(fleet: Fleet) -> None:
    async with connect(fleet.url) as session:
        receipt = await session.submit("s", "go", agent="a")
        first = fleet.worker("--grace", "0.1", hold="three", lease="600")
        await fleet.reached("three", first)
        await first.terminate(STARTED)
        assert "worker has ended" in first.log()
        second = fleet.worker(lease="600")  # it need not wait for the lease
        assert await output(receipt) == "done"
        await second.terminate(STARTED)
    assert fleet.noted()["model-m-1"] == 1


async def test_a_message_that_kills_its_workers_is_dead_lettered(fleet: Fleet) -> None:
    async with connect(fleet.url) as session:
        receipt = await session.submit("s", "go", agent="a")
        behind = await session.submit("s", "next", agent="echo")
        for step in ("three", "model-m-2"):
            worker = fleet.worker("--max-attempts", "1", hold=step)
            await fleet.reached(step, worker)
            await worker.kill()
        second = fleet.worker("--max-attempts", "1")
        with pytest.raises(DeadLettered, match="died or lost"):
            await receipt.result(30)
        assert await output(behind) == "re: next"
        await second.terminate(STARTED)


async def test_a_sender_that_dies_between_announcing_and_submitting_leaves_nothing(
    fleet: Fleet,
) -> None:
    sender = fleet.script(ANNOUNCE)

    async def announced() -> bool:
        return "announced" in sender.log()

    await ready(sender, announced, "announced")
    await sender.kill()
    worker = fleet.worker()
    async with connect(fleet.url) as session:
        assert await output(await session.submit("s", "other", agent="echo")) == "re: other"
        assert (await session.status("s", "t")).state == "unknown"
        assert await output(await session.submit("s", "one", agent="echo", turn_id="t"))
        assert texts(await session.bind("s").get_items())[::2] == ["other", "one"]
    await worker.terminate(STARTED)
