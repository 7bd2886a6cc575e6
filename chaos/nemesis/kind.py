"""The base class of all kinds of faults."""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from chaos.history import Fault, History, Invocation, Takeover
from chaos.invoker import Operation
from chaos.worker_pool import WorkerPool, WorkerProcess


@dataclass
class FaultContext:
    """What faults act on.

    `live_sessions` returns the ids of the sessions in use; `invoke` invokes an operation of the
    fault's own on a worker; `takeover_events` are set at the next takeover of a turn.
    """

    topology: Any
    pool: WorkerPool
    rng: random.Random
    lease: float
    live_sessions: Callable[[], list[str]]
    invoke: Callable[[Operation, WorkerProcess], Awaitable[Invocation]]
    history: History
    takeover_events: list[asyncio.Event] = field(default_factory=list)

    def on_takeover(self, _: Takeover) -> None:
        events, self.takeover_events = self.takeover_events, []
        for event in events:
            event.set()

    async def sleep(self, least: float, most: float) -> None:
        await asyncio.sleep(self.rng.uniform(least, most))


class FaultKind(ABC):
    """One kind of fault. `lossy`: it may lose acknowledged writes on its topology."""

    name: ClassVar[str]
    lossy: ClassVar[bool] = False
    weight: ClassVar[float] = 1.0

    @abstractmethod
    async def inject(self, context: FaultContext, fault: Fault) -> None:
        """Inject it and heal it. `fault` is its record: target, note and count are set here."""
