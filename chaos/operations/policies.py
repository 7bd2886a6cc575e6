"""Turns that end the one that runs: what it has finished is kept, or nothing of it."""

from __future__ import annotations

import random
from typing import Any, ClassVar

from chaos.history import Home
from chaos.operations.runs import Run
from chaos.operations.turns import Brief


class PushyRun(Run):
    """A run that does not wait for the one before it."""

    kind = "pushy-run"
    home: ClassVar[Home] = "policies"
    weight = 2.0
    elsewhere: ClassVar[dict[Home, float]] = {}

    def draw(self, rng: random.Random, lease: float) -> dict[str, Any]:
        return super().draw(rng, lease) | {"busy": rng.choice(["interrupt", "rollback"])}


class PushyBrief(Brief):
    """A turn that does not wait for the one before it."""

    kind = "pushy-brief"
    home: ClassVar[Home] = "policies"
    weight = 2.0
    elsewhere: ClassVar[dict[Home, float]] = {}

    def draw(self, rng: random.Random, lease: float) -> dict[str, Any]:
        return {"busy": rng.choice(["interrupt", "interrupt", "rollback"])}
