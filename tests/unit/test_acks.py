"""When a worker looks at a session again that it could not serve, and for how long it remembers."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Sequence, Sized
from typing import Any

import pytest

from turnwise.background import Visit
from turnwise.stores.embedded.memory import MemoryStore
from turnwise.turns import Runtime, Settings
from turnwise.types import Claim, Grant, Parked
from turnwise.worker import acks
from turnwise.worker.acks import Acks

BUSY = Visit("busy", pause=math.inf)
LONGEST = [20, 80, 320, 1280, 5120, 20_480, 30_000, 30_000]
"""The pauses of a session that stays busy: each is at most so many ms, and at least 0.8 of it."""


def claim(session_id: str = "s") -> Claim:
    return Claim(session_id, "t", 0, session_id)


class _Ready:
    """Notes the delays, in ms, with which claims on the session "s" are given back."""

    def __init__(self) -> None:
        self.delays: list[int] = []

    async def requeue(self, worker: str, claims: Sequence[Claim], delay_ms: int) -> None:
        self.delays += [delay_ms for claim in claims if claim.session_id == "s"]

    async def recall(self, session_ids: Sequence[str]) -> None: ...

    async def ack(self, worker: str, claims: Sequence[Claim]) -> None: ...


@pytest.fixture
def ready() -> _Ready:
    return _Ready()


@pytest.fixture
def tested(ready: _Ready) -> Acks:
    store: Any = MemoryStore()
    store.ready = ready
    return Acks(Runtime(store, Settings(), "worker"))


@pytest.fixture(params=[0.8, 1.0], ids=["at least", "at most"])
def share(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> float:
    """Which share of its pause chance leaves."""
    share: float = request.param

    def uniform(least: float, most: float) -> float:
        return least if share < 1 else most

    monkeypatch.setattr(random, "uniform", uniform)
    return share


async def visits(tested: Acks, count: int, visit: Visit = BUSY) -> None:
    for _ in range(count):
        await tested.visited("s", [claim()], visit)


async def test_a_busy_session_is_looked_at_less_and_less_often(
    tested: Acks, ready: _Ready, share: float
) -> None:
    await visits(tested, len(LONGEST))
    assert ready.delays == [math.ceil(share * most) for most in LONGEST]


async def test_each_busy_session_has_its_own_pause(tested: Acks, ready: _Ready) -> None:
    for _ in range(5):
        await tested.visited("another", [claim("another")], BUSY)
    await visits(tested, 1)
    assert ready.delays[0] <= LONGEST[0]


async def test_a_session_that_is_served_meanwhile(
    tested: Acks, ready: _Ready, share: float
) -> None:
    await visits(tested, 5)
    await visits(tested, 1, Visit("more"))
    await visits(tested, 2)
    assert ready.delays[5:] == [0, *(math.ceil(share * most) for most in LONGEST[:2])]


async def test_a_busy_session_is_looked_at_when_its_lease_may_have_run_out(
    tested: Acks, ready: _Ready, share: float
) -> None:
    """Unless that was seen often: then its worker is alive, and renews it."""
    soon = Visit("busy", pause=0.1)
    await visits(tested, 7, soon)
    assert ready.delays[:2] == [math.ceil(share * most) for most in LONGEST[:2]]
    assert ready.delays[2:6] == [math.ceil(1000 * (0.1 + 0.02))] * 4
    assert ready.delays[6] == share * LONGEST[6]


@pytest.mark.parametrize(
    "visit",
    [
        BUSY,
        Visit("unfit"),
        Visit("paused"),
        Visit("parked", pause=60.0),
        Visit("idle", finished=["t"]),
    ],
    ids=lambda visit: visit.state,
)
async def test_a_worker_forgets_sessions(
    tested: Acks, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acks, "_REMEMBERED", 10)
    for number in range(50):
        session_id = f"s{number}"
        await tested.visited(session_id, [claim(session_id)], visit)
    kept = {name: len(each) for name, each in vars(tested).items() if isinstance(each, Sized)}
    assert sorted(kept.values()) == [0, 0, 0, 0, 10], kept


async def test_what_is_recalled_is_not_kept(tested: Acks) -> None:
    await visits(tested, 1, Visit("paused"))
    assert list(tested._left) == ["s"]
    await tested.recall()
    assert not tested._left


async def test_what_is_left_while_others_are_recalled_is_kept(
    tested: Acks, ready: _Ready, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def recall(session_ids: Sequence[str]) -> None:
        await tested.visited("late", [claim("late")], Visit("paused"))

    monkeypatch.setattr(ready, "recall", recall)
    await visits(tested, 1, Visit("paused"))
    await tested.recall()
    assert list(tested._left) == ["late"]


async def test_a_turn_that_was_parked_anew_expires_later(
    tested: Acks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first expiry was noted; somebody resumed it meanwhile, and it waits again."""
    asked: list[str] = []
    answers = [Parked("t", expires_in=1000.0), None]

    async def end_if_expired(_: Runtime, session_id: str, turn_id: str) -> Parked | None:
        asked.append(f"{session_id} {turn_id}")
        return answers[len(asked) - 1]

    monkeypatch.setattr(acks, "end_if_expired", end_if_expired)
    store = tested._store
    assert isinstance(await store.begin("s", "t", "token", 60_000, worker="w"), Grant)
    await store.park("s", "t", "token", b"{state}")
    await visits(tested, 1, Visit("parked", pause=0.0))
    await tested.end_expired()
    assert tested._expiries["s"] > asyncio.get_running_loop().time() + 900
    await tested.end_expired()
    assert asked == ["s t"]
    tested._expiries["s"] = 0.0
    await tested.end_expired()
    assert (asked, list(tested._expiries)) == (["s t", "s t"], [])


async def test_an_expiry_that_a_visit_finds_meanwhile_is_kept(
    tested: Acks, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def end_if_expired(*_: object) -> None:
        await visits(tested, 1, Visit("parked", pause=1000.0))

    monkeypatch.setattr(acks, "end_if_expired", end_if_expired)
    assert isinstance(await tested._store.begin("s", "t", "token", 60_000, worker="w"), Grant)
    await tested._store.park("s", "t", "token", b"{state}")
    await visits(tested, 1, Visit("parked", pause=0.0))
    await tested.end_expired()
    assert list(tested._expiries) == ["s"]
