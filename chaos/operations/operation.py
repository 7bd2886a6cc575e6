"""What a kind of operation is."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from chaos.desk import Desk
from chaos.history import Home
from chaos.protocol import Order


class Operation(ABC):
    """Planned in the parent (`draw`), carried out in a worker (`run`).

    `home` says on which sessions: those of turns, or those of plain changes, say. `weight` is its
    share there, `elsewhere` are its shares on others. `is_turn` counts it as a turn; `by_id` says
    that it may be sent again under its turn_id, which `named` of all get.
    """

    kind: ClassVar[str]
    home: ClassVar[Home] = "turns"
    weight: ClassVar[float] = 1.0
    elsewhere: ClassVar[dict[Home, float]] = {}
    is_turn: ClassVar[bool] = True
    by_id: ClassVar[bool] = True
    named: ClassVar[float] = 0.85

    def share(self, home: Home) -> float:
        """How much of what is done on sessions of this kind it is."""
        return self.weight if home == self.home else self.elsewhere.get(home, 0.0)

    def draw(self, rng: random.Random, lease: float) -> dict[str, Any]:
        """What this one is to do, as JSON."""
        return {}

    @abstractmethod
    async def run(self, desk: Desk, order: Order) -> dict[str, Any]:
        """Do it, and return what was seen, as JSON. What it raises says what became of it."""
