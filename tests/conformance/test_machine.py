"""Memory, SQLite and Valkey under the state machine of clients that die."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.conformance.labs import EmbeddedLab, MemoryLab, SQLiteLab
from tests.conformance.machine import LEASE, StoreMachine, World
from tests.conformance.stepped import SteppedRedisLab, with_stepped_clock
from turnwise.stores.redis import standalone_client
from turnwise.testing.conformance.lab import item
from turnwise.testing.conformance.model import Call, Model
from turnwise.testing.servers import ValkeyServer
from turnwise.types import Base, Done, Grant

EXAMPLES = int(os.environ.get("TURNWISE_EXAMPLES", "0"))
"""How many lives of a session to try, other ones each time; 0: a few, always the same."""
FEW, STEPS = 50, 40

profile = settings(
    max_examples=EXAMPLES or FEW,
    stateful_step_count=STEPS,
    derandomize=not EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
pytestmark = pytest.mark.timeout(3600 if EXAMPLES else 900)


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """Of the machine, which is no coroutine: one event loop for all examples."""
    with asyncio.Runner() as runner:
        yield runner


def tried(runner: asyncio.Runner, lab: Callable[[], EmbeddedLab | SteppedRedisLab]) -> None:
    async def world() -> World:
        made = lab()
        if isinstance(made, SteppedRedisLab):
            await made.begin()
        return World(made, runner.run, made.aclose)

    class Machine(StoreMachine):
        def __init__(self) -> None:
            super().__init__(runner.run(world()))

    run_state_machine_as_test(Machine, settings=profile)


def test_memory(runner: asyncio.Runner) -> None:
    tried(runner, MemoryLab)


def test_sqlite(runner: asyncio.Runner, tmp_path: Path) -> None:
    numbers = count()
    tried(runner, lambda: SQLiteLab(tmp_path / f"{next(numbers)}.db"))


def test_valkey(
    runner: asyncio.Runner, valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_stepped_clock(monkeypatch)
    tried(runner, lambda: SteppedRedisLab(lambda: standalone_client(valkey.url)))


async def test_a_ghost_that_commits_for_its_successor_is_seen() -> None:
    """The rarest of the machine's finds, made on purpose: its model refuses the ghost's *done*."""
    lab = MemoryLab()
    model, store = Model(), lab.store()
    for token in ("ghost", "heir"):
        begin: dict[str, Any] = {"turn_id": "t", "token": token}
        answer = await store.begin("s", **begin, lease_ms=LEASE, worker="w")
        model.accept(("begin", {**begin, "mortal": True}), answer)
        if token == "ghost":
            entry: dict[str, Any] = {**begin, "index": 0, "entries": [item("entry")]}
            model.accept(("journal", entry), await store.journal("s", **entry))
            lab.step(LEASE + 1)
    assert isinstance(answer, Grant)
    change = {"turn_id": "t", "token": "ghost", "base": answer.tip, "commit_id": "c", "items": []}
    model.tip = answer.tip
    call: Call = "commit", {**change, "keep": None, "kind": "turn"}
    with pytest.raises(AssertionError):
        model.accept(call, Done(Base(2, "c")))
    model.accept(call, await store.commit("s", "t", "ghost", answer.tip, "c", []))
    await lab.aclose()
