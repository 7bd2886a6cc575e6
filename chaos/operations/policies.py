"""Turns that preempt the running one, and keep its finished work (interrupt) or not (rollback)."""

from __future__ import annotations

import random
from typing import Any, ClassVar

from chaos.history import SessionKind
from chaos.operations.runs import Run
from chaos.operations.turns import ShortTurn


class PreemptingRun(Run):
    """A run that preempts the running turn."""

    name = "preempting-run"
    session_kind: ClassVar[SessionKind] = "policies"
    weight = 2.0
    other_weights: ClassVar[dict[SessionKind, float]] = {}

    def generate(self, rng: random.Random, lease: float) -> dict[str, Any]:
        return super().generate(rng, lease) | {"busy": rng.choice(["interrupt", "rollback"])}


class PreemptingTurn(ShortTurn):
    """A short turn that preempts the running turn."""

    name = "preempting-turn"
    session_kind: ClassVar[SessionKind] = "policies"
    weight = 2.0
    other_weights: ClassVar[dict[SessionKind, float]] = {}

    def generate(self, rng: random.Random, lease: float) -> dict[str, Any]:
        return {"busy": rng.choice(["interrupt", "interrupt", "rollback"])}
