"""A worker with a cached history reads the same as a worker without."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, cast

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.stores import KINDS, Sessions, sessions_of
from tests.items import Item, loose_items, whole_histories
from turnwise.session import Session
from turnwise.turns.ids import mint
from turnwise.types import Done, History

pytestmark = pytest.mark.asyncio(loop_scope="module")
thorough = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])


sessions = sessions_of(KINDS)


@dataclass(frozen=True)
class Workers:
    knowing: Session
    small: Session
    foreign: Session
    new: Session


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workers(sessions: Sessions) -> Workers:
    """Two with a cache, one of them for little; another who changes things; one without a cache."""
    return Workers(
        sessions.worker(),
        sessions.worker(cache_bytes=2000),
        sessions.worker(),
        sessions.worker(cache_bytes=0),
    )


class Change:
    """Something that another worker does to a session."""

    async def make(self, session: Session) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class Add(Change):
    items: list[Item]

    async def make(self, session: Session) -> None:
        await session.add_items(cast(Any, self.items))


class Pop(Change):
    async def make(self, session: Session) -> None:
        await session.pop_item()


class Clear(Change):
    async def make(self, session: Session) -> None:
        await session.clear_session()


@dataclass(frozen=True)
class Recreate(Change):
    items: list[Item]

    async def make(self, session: Session) -> None:
        await session.delete()
        await session.add_items(cast(Any, self.items))


class Expire(Change):
    async def make(self, session: Session) -> None:
        if await session.expire(seconds=0.001):
            async with asyncio.timeout(10):
                while await session.info() is not None:
                    await asyncio.sleep(0)


@dataclass(frozen=True)
class Replace(Change):
    """What compaction does between turns."""

    keep: int
    items: list[Item]

    async def make(self, session: Session) -> None:
        store, codec = session.runtime.store, session.runtime.codec
        history = await store.read(session.session_id)
        if isinstance(history, History):
            answer = await store.replace(
                session.session_id,
                mint(),
                history.tip,
                min(self.keep, history.items),
                [codec.encode(item) for item in self.items],
            )
            assert isinstance(answer, Done)


@dataclass(frozen=True)
class Turn(Change):
    """A turn that takes something away and adds something."""

    pops: int
    items: list[Item]

    async def make(self, session: Session) -> None:
        async with session.turn() as turn:
            for _ in range(self.pops):
                await turn.pop_item()
            await turn.add_items(cast(Any, self.items))


histories = st.lists(loose_items, max_size=6) | whole_histories
changes: st.SearchStrategy[Change] = st.one_of(
    st.builds(Add, histories),
    st.builds(Turn, st.integers(0, 3), histories),
    st.just(Pop()),
    st.just(Clear()),
    st.builds(Recreate, histories),
    st.just(Expire()),
    st.builds(Replace, st.integers(0, 4), histories),
)
looks = st.lists(st.none() | st.integers(0, 8), max_size=2)


@thorough
@given(script=st.lists(st.tuples(changes, looks), max_size=10))
async def test_a_cache_is_never_seen(
    sessions: Sessions, workers: Workers, script: list[tuple[Change, list[int | None]]]
) -> None:
    name = sessions.new_id()
    new = workers.new.bind(name)
    for change, limits in script:
        await change.make(workers.foreign.bind(name))
        for limit in limits:
            expected = await new.get_items(limit)
            assert await workers.knowing.bind(name).get_items(limit) == expected
            assert await workers.small.bind(name).get_items(limit) == expected
    expected = await _raw(new)
    for worker in (workers.knowing, workers.small, workers.foreign):
        assert await _raw(worker.bind(name)) == expected


async def _raw(session: Session) -> Any:
    async with session.turn() as turn:
        return await turn.get_items()


async def test_a_history_longer_than_one_answer_is_read_whole_and_in_part(
    sessions: Sessions, workers: Workers
) -> None:
    name = sessions.new_id()
    session = workers.foreign.bind(name)
    items: list[Any] = [{"role": "user", "content": str(number)} for number in range(1500)]
    for first in range(0, 1500, 300):
        await session.add_items(items[first : first + 300])
    for worker in (workers.knowing, workers.new):
        bound = worker.bind(name)
        assert await bound.get_items(7) == items[-7:]
        assert await bound.get_items() == items
        assert await _raw(bound) == items
        assert await bound.get_items(1000) == items[-1000:]
        for limit in (2**31 - 1, 2**40, 2**62):
            assert await bound.get_items(limit) == items
    async with workers.knowing.turn(name) as turn:
        assert await turn.pop_item() == items[-1]
        assert await turn.get_items(3) == items[-4:-1]
    assert await workers.new.bind(name).get_items() == items[:-1]


async def test_tasks_of_one_turn_see_one_moment_each(sessions: Sessions, workers: Workers) -> None:
    """Also while the turn still reads a history that was too long for its begin."""
    session = workers.foreign.bind(sessions.new_id())
    items: list[Any] = [{"role": "user", "content": str(number)} for number in range(600)]
    await session.add_items(items)
    async with workers.new.turn(session.session_id) as turn:
        popped = await asyncio.gather(*(turn.pop_item() for _ in range(4)))
        assert sorted(str(item) for item in popped) == sorted(map(str, items[-4:]))
        assert await turn.get_items() == items[:-4]
    async with workers.new.turn(session.session_id) as turn:
        new: Any = {"role": "user", "content": "new"}
        seen, tail, _ = await asyncio.gather(
            turn.get_items(), turn.get_items(2), turn.add_items([new])
        )
        assert seen in (items[:-4], [*items[:-4], new])
        assert tail in (items[-6:-4], [items[-5], new])
