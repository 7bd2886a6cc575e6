"""What waiting callers cost the server: counted in script calls, not in time."""

from __future__ import annotations

import asyncio

from tests.integration.fault_lab import LONG, message, plain_client, until_queued
from turnwise import RedisSession
from turnwise.testing.servers import ValkeyServer

WAITING = 100


async def test_queued_callers_are_woken_and_do_not_poll() -> None:
    """Each costs its begin and its commit. If all asked again after each, it would be 5,000."""
    async with ValkeyServer() as server, plain_client(server.url) as client:

        async def commands() -> int:
            stats = await client.info("commandstats")
            ours = ("cmdstat_eval", "cmdstat_evalsha", "cmdstat_fcall")
            return sum(stats[name]["calls"] for name in ours if name in stats)

        async with RedisSession.from_url(server.url) as session:

            async def turn(number: int) -> None:
                async with session.turn("s", timeout=None) as turn:
                    await turn.add_items([message(str(number))])

            async with session.turn("s") as first:
                await first.add_items([message("first")])
                tasks = [asyncio.create_task(turn(number)) for number in range(WAITING)]
                await until_queued(session, "s", WAITING)
                before = await commands()
            await asyncio.wait_for(asyncio.gather(*tasks), LONG)
            calls = await commands() - before
            assert len(await session.bind("s").get_items()) == WAITING + 1
    assert calls <= 4 * WAITING
