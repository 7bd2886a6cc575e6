"""The session cost of one turn in a run, and of reading the history, by length of the history."""

from __future__ import annotations

from functools import partial
from itertools import count
from pathlib import Path

from redis.asyncio import Redis

from bench.contenders import (
    COLD,
    COPIES,
    PING,
    SDK,
    TURNWISE,
    Contender,
    TurnwiseContender,
    in_memory,
    on_redis,
    on_sqlite,
)
from bench.history import HistoryGenerator
from bench.samples import Call, Prepare, Sample, measure_in_phases
from turnwise import RedisSession

_ids = count()


class Conversation:
    """A session with a history of about `length` items.

    Another one replaces it before it has grown by more than 2 %. The last turn of its history ran
    in this process, as in a conversation that goes on.
    """

    def __init__(self, contender: Contender, length: int) -> None:
        self._contender = contender
        self._length = length
        self._histories = HistoryGenerator()
        self._turns_left = 0
        self.session_id = ""

    async def turn(self) -> Call:
        """The next turn."""
        if self._turns_left == 0:
            await self.create()
            self._turns_left = max(1, self._length // 100)
        self._turns_left -= 1
        return partial(self._contender.turn, self.session_id, *self._histories.turn())

    async def create(self) -> None:
        self.session_id = f"bench-{next(_ids)}"
        if self._length:
            history = self._histories.items(max(0, self._length - 2))
            await self._contender.fill(self.session_id, history)
            await self._contender.turn(self.session_id, *self._histories.turn())

    async def read(self) -> Call:
        return partial(self._contender.read, self.session_id)


def pings(client: Redis) -> Prepare:
    """The side that every other one is compared with: one round trip."""

    async def prepare() -> Call:
        return client.ping

    return prepare


async def turns_on_redis(url: str, length: int, rounds: int) -> dict[str, Sample]:
    """Milliseconds of a turn of each contender, and of a PING."""
    async with on_redis(url) as (turnwise, sdk):
        copying = TurnwiseContender(turnwise.session, shared=False)
        contenders: dict[str, Contender] = {TURNWISE: turnwise, SDK: sdk, COPIES: copying}
        sides = {name: Conversation(each, length).turn for name, each in contenders.items()}
        return await measure_in_phases({**sides, PING: pings(sdk.client)}, rounds)


async def measure_reads(url: str, length: int, rounds: int) -> dict[str, Sample]:
    """Milliseconds of a caller's `get_items`: with a warm cache, and with an empty one."""
    async with on_redis(url) as (turnwise, sdk):
        stored = {
            name: Conversation(contender, length)
            for name, contender in ((TURNWISE, turnwise), (SDK, sdk))
        }
        for conversation in stored.values():
            await conversation.create()

        forgetful = TurnwiseContender(RedisSession(sdk.client, cache_bytes=0))

        async def cold() -> Call:
            return partial(forgetful.read, stored[TURNWISE].session_id)

        sides = {name: conversation.read for name, conversation in stored.items()}
        return await measure_in_phases({**sides, COLD: cold}, rounds)


async def turns_embedded(folder: Path, length: int, rounds: int) -> dict[str, Sample]:
    """The same turns on SQLite, and in memory."""
    async with on_sqlite(folder) as (turnwise, sdk), in_memory() as memory:
        contenders: dict[str, Contender] = {
            "turnwise SQLite": turnwise,
            "sdk SQLite": sdk,
            "turnwise memory": memory,
        }
        return await measure_in_phases(
            {name: Conversation(each, length).turn for name, each in contenders.items()}, rounds
        )
