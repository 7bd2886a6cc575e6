"""What a fault is."""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from chaos.crew import Crew, Member
from chaos.history import Call, Fault, History
from chaos.protocol import Begun
from chaos.sender import Request


@dataclass
class Field:
    """Where faults strike.

    `sessions` names those in use; `send` sends an operation of a strike's own to a worker;
    `takeovers` are events that wait for the next takeover of a turn.
    """

    topology: Any
    crew: Crew
    rng: random.Random
    lease: float
    sessions: Callable[[], list[str]]
    send: Callable[[Request, Member], Awaitable[Call]]
    history: History
    takeovers: list[asyncio.Event] = field(default_factory=list)

    def hear(self, begun: Begun) -> None:
        waiting, self.takeovers = self.takeovers, []
        for event in waiting:
            event.set()

    async def sleep(self, least: float, most: float) -> None:
        await asyncio.sleep(self.rng.uniform(least, most))


class Strike(ABC):
    """One kind of fault. `lossy`: it may lose acknowledged writes on this topology."""

    kind: ClassVar[str]
    lossy: ClassVar[bool] = False
    weight: ClassVar[float] = 1.0

    @abstractmethod
    async def strike(self, field: Field, fault: Fault) -> None:
        """Do it, and undo what has to be undone; `fault` takes target, note and count."""
