"""Turns without agents, and reads of sessions of turns."""

from __future__ import annotations

import asyncio
import random
from typing import Any, ClassVar

from chaos import script
from chaos.desk import Desk, still_here
from chaos.history import Home
from chaos.operations.operation import Operation
from chaos.protocol import Order
from turnwise.errors import AlreadyCommitted

TIMEOUT = 8.0
"""How long an operation waits for a busy session, in seconds."""


class Brief(Operation):
    """A turn that reads, adds what it saw, and ends."""

    kind = "brief"
    weight: ClassVar[float] = 60.0
    elsewhere: ClassVar[dict[Home, float]] = {"policies": 3.0, "approvals": 2.0}

    async def run(self, desk: Desk, order: Order) -> dict[str, Any]:
        timeout = order.params.get("timeout", TIMEOUT)
        busy = order.params.get("busy", "wait")
        turning = desk.session.turn(
            order.session, turn_id=order.turn_id, timeout=timeout, shared=True, busy=busy
        )
        try:
            async with turning as turn:
                items = await turn.get_items()
                await turn.add_items([script.user(script.question(order.op))])
                await asyncio.sleep(order.params.get("hold", 0.0))
                text = script.answer(order.op, items, turn.attempt)
                await turn.add_items([script.assistant(text)])
                await asyncio.sleep(order.params.get("linger", 0.0))
                still_here()
        except AlreadyCommitted as error:
            return {"text": script.text_of(error.items[-1]), "added": len(error.items)}
        return {"text": text, "added": 2}


class Held(Brief):
    """A turn that takes its time, sometimes longer than a lease."""

    kind = "held"
    weight = 1.0
    elsewhere: ClassVar[dict[Home, float]] = {"policies": 3.0}

    def draw(self, rng: random.Random, lease: float) -> dict[str, Any]:
        seconds = 1.4 * lease if rng.random() < 0.05 else rng.choice([0.02, 0.1, 0.3])
        return {rng.choice(["hold", "linger"]): seconds}


class Read(Operation):
    """How much a session holds, and whose the last item is."""

    kind = "read"
    weight = 4.0
    elsewhere: ClassVar[dict[Home, float]] = {"policies": 1.0, "approvals": 1.0}
    is_turn = False
    by_id = False
    named = 0.0

    def draw(self, rng: random.Random, lease: float) -> dict[str, Any]:
        return {"limit": 4} if rng.random() < 0.3 else {}

    async def run(self, desk: Desk, order: Order) -> dict[str, Any]:
        items = await desk.session.bind(order.session).get_items(order.params.get("limit"))
        return {"items": len(items), "last": script.last_op(items)}
