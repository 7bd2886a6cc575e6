"""The session cost of one turn in a run, by length of the history."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import count
from pathlib import Path

from bench.contenders import (
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
from bench.samples import Call, Sample, measure
from turnwise import RedisSession

_ids = count()


class Sessions:
    """One session per contender, each with a history of about `length` items.

    A new set replaces them before they have grown by more than 2 %. The last turn of each history
    ran in this process, as in a conversation that goes on.
    """

    def __init__(self, contenders: Mapping[str, Contender], length: int) -> None:
        self._contenders = contenders
        self._length = length
        self._histories = HistoryGenerator()
        self._turns_per_set = max(1, length // 100)
        self._turns_left = 0
        self.session_id = ""

    async def refresh(self) -> None:
        """Call before each turn: keeps the sessions at the right length."""
        if self._turns_left == 0:
            await self._create()
            self._turns_left = self._turns_per_set
        self._turns_left -= 1

    async def _create(self) -> None:
        self.session_id = f"bench-{next(_ids)}"
        history = self._histories.items(max(0, self._length - 2))
        user_items, agent_items = self._histories.turn()
        for contender in self._contenders.values():
            if self._length:
                await contender.fill(self.session_id, history)
                await contender.turn(self.session_id, user_items, agent_items)

    def turns(self) -> dict[str, Call]:
        """One turn, the same for each contender."""
        user_items, agent_items = self._histories.turn()
        return {
            name: partial(contender.turn, self.session_id, user_items, agent_items)
            for name, contender in self._contenders.items()
        }

    def reads(self) -> dict[str, Call]:
        return {
            name: partial(contender.read, self.session_id)
            for name, contender in self._contenders.items()
        }


async def measure_turns(
    contenders: Mapping[str, Contender], length: int, rounds: int, ping: Call | None = None
) -> dict[str, Sample]:
    """Milliseconds of a turn of each contender, and of a PING if there is one."""
    sessions, samples = Sessions(contenders, length), dict[str, Sample]()
    for number in range(rounds + 1):
        await sessions.refresh()
        calls = sessions.turns()
        if ping is not None:
            calls[PING] = ping
        # The first round loads scripts and opens connections.
        await measure(calls, number, samples if number else {}, ping or _no_ping)
    return samples


async def measure_reads(url: str, length: int, rounds: int) -> dict[str, Sample]:
    """Milliseconds of a caller's `get_items`: with a warm cache, and with an empty one."""
    async with on_redis(url) as (turnwise, sdk):
        sessions = Sessions({TURNWISE: turnwise, SDK: sdk}, length)
        await sessions.refresh()
        samples = dict[str, Sample]()
        for number in range(rounds + 1):
            calls = sessions.reads()
            cold = TurnwiseContender(RedisSession(sdk.client))
            calls["turnwise cold"] = partial(cold.read, sessions.session_id)
            await measure(calls, number, samples if number else {}, sdk.client.ping)
        return samples


async def turns_on_redis(url: str, length: int, rounds: int) -> dict[str, Sample]:
    async with on_redis(url) as (turnwise, sdk):
        ping = sdk.client.ping
        contenders: dict[str, Contender] = {TURNWISE: turnwise, SDK: sdk}
        samples = await measure_turns(contenders, length, rounds, ping)
        copying: dict[str, Contender] = {
            "turnwise copies": TurnwiseContender(turnwise.session, shared=False)
        }
        copies = await measure_turns(copying, length, max(8, rounds // 3), ping)
        return {**copies, **samples}


async def turns_embedded(folder: Path, length: int, rounds: int) -> dict[str, Sample]:
    async with on_sqlite(folder) as (turnwise, sdk), in_memory() as memory:
        contenders: dict[str, Contender] = {
            "turnwise SQLite": turnwise,
            "sdk SQLite": sdk,
            "turnwise memory": memory,
        }
        return await measure_turns(contenders, length, rounds)


async def _no_ping() -> None:
    """In place of a PING, where there is no server."""
