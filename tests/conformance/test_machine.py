"""Memory, SQLite and Valkey under the state machine of clients that die."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.conformance.labs import EmbeddedLab, MemoryLab, SQLiteLab
from tests.conformance.machine import StoreMachine, World
from tests.conformance.stepped import SteppedRedisLab, with_stepped_clock
from turnwise.stores.redis import standalone_client
from turnwise.testing.servers import ValkeyServer

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
pytestmark = pytest.mark.timeout(3600 if EXAMPLES else 120)


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
