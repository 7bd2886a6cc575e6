"""What a session costs a run, by length of the history."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import count
from pathlib import Path

from bench.history import Histories
from bench.samples import Call, Sample, measure
from bench.sides import OURS, PING, SDK, OurSide, Side, in_memory, on_redis, on_sqlite
from turnwise import RedisSession

_ids = count()


class Sessions:
    """Sessions with a history of about `length` items on each side: a new set before they have
    grown by more than a fiftieth.

    The last turn of each history has just been taken here, as in a conversation that goes on.
    """

    def __init__(self, sides: Mapping[str, Side], length: int) -> None:
        self._sides = sides
        self._length = length
        self._histories = Histories()
        self._serves = max(1, length // 100)
        self._turns_left = 0
        self.session_id = ""

    async def refresh(self) -> None:
        """See to it that the sessions are of the right length for another turn."""
        if self._turns_left == 0:
            await self._create()
            self._turns_left = self._serves
        self._turns_left -= 1

    async def _create(self) -> None:
        self.session_id = f"bench-{next(_ids)}"
        before = self._histories.items(max(0, self._length - 2))
        said, answered = self._histories.turn()
        for side in self._sides.values():
            if self._length:
                await side.fill(self.session_id, before)
                await side.turn(self.session_id, said, answered)

    def turns(self) -> dict[str, Call]:
        """One turn, the same on each side."""
        said, answered = self._histories.turn()
        return {
            name: partial(side.turn, self.session_id, said, answered)
            for name, side in self._sides.items()
        }

    def reads(self) -> dict[str, Call]:
        return {name: partial(side.read, self.session_id) for name, side in self._sides.items()}


async def measure_turns(
    sides: Mapping[str, Side], length: int, rounds: int, ping: Call | None = None
) -> dict[str, Sample]:
    """Milliseconds of a turn on each side, and of a PING if there is one."""
    sessions, samples = Sessions(sides, length), dict[str, Sample]()
    for number in range(rounds + 1):
        await sessions.refresh()
        calls = sessions.turns()
        if ping is not None:
            calls[PING] = ping
        # The first round loads scripts and opens connections.
        await measure(calls, number, samples if number else {}, ping or _nothing)
    return samples


async def measure_reads(url: str, length: int, rounds: int) -> dict[str, Sample]:
    """Milliseconds of a caller's own `get_items`: warm, and from a worker that never saw it."""
    async with on_redis(url) as (ours, theirs):
        sessions = Sessions({OURS: ours, SDK: theirs}, length)
        await sessions.refresh()
        samples = dict[str, Sample]()
        for number in range(rounds + 1):
            calls = sessions.reads()
            newcomer = OurSide(RedisSession(theirs.client))
            calls["turnwise cold"] = partial(newcomer.read, sessions.session_id)
            await measure(calls, number, samples if number else {}, theirs.client.ping)
        return samples


async def turns_on_redis(url: str, length: int, rounds: int) -> dict[str, Sample]:
    async with on_redis(url) as (ours, theirs):
        ping = theirs.client.ping
        sides: dict[str, Side] = {OURS: ours, SDK: theirs}
        samples = await measure_turns(sides, length, rounds, ping)
        copying: dict[str, Side] = {"turnwise copies": OurSide(ours.session, shared=False)}
        rest = await measure_turns(copying, length, max(8, rounds // 3), ping)
        return {**rest, **samples}


async def turns_embedded(folder: Path, length: int, rounds: int) -> dict[str, Sample]:
    async with on_sqlite(folder) as (ours, theirs), in_memory() as memory:
        sides: dict[str, Side] = {
            "turnwise SQLite": ours,
            "sdk SQLite": theirs,
            "turnwise memory": memory,
        }
        return await measure_turns(sides, length, rounds)


async def _nothing() -> None:
    """What precedes a call where there is no server."""
