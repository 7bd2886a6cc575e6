"""A session does what the SDK's own session does, on every store, beside other clients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import agents
import pytest
import pytest_asyncio
from agents.memory import Session as SDKSession
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.stores import KINDS, Sessions, sessions_of
from tests.items import Item, whole_groups, whole_histories, without_halves
from turnwise.session import Session

pytestmark = pytest.mark.asyncio(loop_scope="module")
thorough = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
limits = st.none() | st.integers(-1, 9)


sessions = sessions_of(KINDS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workers(sessions: Sessions) -> tuple[Session, Session]:
    return sessions.worker(), sessions.worker()


@dataclass(frozen=True)
class Add:
    items: list[Item]


@dataclass(frozen=True)
class Get:
    limit: int | None


@dataclass(frozen=True)
class Pop: ...


@dataclass(frozen=True)
class Clear: ...


@dataclass(frozen=True)
class Turn:
    steps: list[Step]
    commits: bool


Step = Add | Get | Pop | Clear
adds = st.builds(Add, whole_groups() | whole_histories)
steps: st.SearchStrategy[Step] = st.one_of(
    adds, adds, st.builds(Get, limits), st.just(Pop()), st.just(Clear())
)
turns = st.builds(Turn, st.lists(steps, max_size=5), st.booleans())
programs = st.lists(st.tuples(st.integers(0, 1), steps | steps | turns), max_size=12)


async def answer(session: SDKSession, step: Step) -> Any:
    match step:
        case Add(items):
            return await session.add_items(cast(Any, items))
        case Get(limit):
            return await session.get_items(limit)
        case Pop():
            return await session.pop_item()
        case Clear():
            return await session.clear_session()


async def raw(session: SDKSession) -> list[Item]:
    return cast("list[Item]", await session.get_items())


async def put(session: SDKSession, items: Sequence[Item]) -> None:
    await session.clear_session()
    await session.add_items(cast(Any, list(items)))


class RollBack(Exception):
    """Leaves the block."""


async def turn(session: Session, model: SDKSession, script: Turn) -> None:
    """In a turn the answers are the model's to the letter."""
    before = await raw(model)
    try:
        async with session.turn() as turn:
            for step in script.steps:
                assert await answer(turn, step) == await answer(model, step)
            if not script.commits:
                raise RollBack
    except RollBack:
        await put(model, before)


async def between(session: Session, model: SDKSession, step: Step) -> None:
    """Between turns no halves are answered; all else is the model's."""
    expected = await answer(model, step)
    if isinstance(step, Get):
        expected = without_halves(await raw(model), step.limit)
    assert await answer(session, step) == expected


@thorough
@given(program=programs)
async def test_answers_are_those_of_the_sdks_session(
    sessions: Sessions, workers: tuple[Session, Session], program: list[tuple[int, Step | Turn]]
) -> None:
    name = sessions.new_id()
    bound = [worker.bind(name) for worker in workers]
    model = agents.SQLiteSession("model")
    try:
        for number, step in program:
            if isinstance(step, Turn):
                await turn(bound[number], model, step)
            else:
                await between(bound[number], model, step)
        for session in bound:
            await between(session, model, Get(None))
            async with session.turn() as block:
                assert await block.get_items() == await raw(model)
    finally:
        model.close()
