"""The base class of all kinds of operations."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from chaos.history import SessionKind
from chaos.operation_context import OperationContext
from chaos.protocol import Request


class OperationKind(ABC):
    """The parent generates its parameters (`generate`), a worker executes it (`run`).

    `session_kind` is the kind of session that it runs on, `weight` its share of the operations
    there; `other_weights` are its shares on other kinds of sessions. `is_turn` counts it as a turn.
    `takes_turn_id` says that it may be retried under its turn_id; a share of `turn_id_share` gets
    one. `is_message`: a queue worker runs it; `is_cancel`: it ends another operation's turn.
    """

    name: ClassVar[str]
    session_kind: ClassVar[SessionKind] = "turns"
    weight: ClassVar[float] = 1.0
    other_weights: ClassVar[dict[SessionKind, float]] = {}
    is_turn: ClassVar[bool] = True
    takes_turn_id: ClassVar[bool] = True
    turn_id_share: ClassVar[float] = 0.85
    is_message: ClassVar[bool] = False
    is_cancel: ClassVar[bool] = False

    def weight_on(self, session_kind: SessionKind) -> float:
        """Its share of the operations on sessions of this kind."""
        if session_kind == self.session_kind:
            return self.weight
        return self.other_weights.get(session_kind, 0.0)

    def generate(self, rng: random.Random, lease: float) -> dict[str, Any]:
        """The parameters of one operation, as JSON."""
        return {}

    @abstractmethod
    async def run(self, context: OperationContext, request: Request) -> dict[str, Any]:
        """Execute it and return what it saw, as JSON. What it raises decides its outcome."""
