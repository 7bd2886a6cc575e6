"""Turns without agents, and reads of sessions of turns."""

from __future__ import annotations

import asyncio
import random
from typing import Any, ClassVar

from chaos import script
from chaos.history import SessionKind
from chaos.operation_context import OperationContext, mark_active
from chaos.operations.kind import OperationKind
from chaos.protocol import Request
from turnwise.errors import AlreadyCommitted

TIMEOUT = 8.0
"""Seconds that an operation waits for a busy session."""


class ShortTurn(OperationKind):
    """A turn that reads the history, adds what it saw, and commits."""

    name = "short-turn"
    weight: ClassVar[float] = 60.0
    other_weights: ClassVar[dict[SessionKind, float]] = {"policies": 3.0, "approvals": 2.0}

    async def run(self, context: OperationContext, request: Request) -> dict[str, Any]:
        timeout = request.params.get("timeout", TIMEOUT)
        busy = request.params.get("busy", "wait")
        opening = context.session.turn(
            request.session, turn_id=request.turn_id, timeout=timeout, shared=True, busy=busy
        )
        try:
            async with opening as turn:
                items = await turn.get_items()
                await turn.add_items([script.user(script.question(request.op))])
                await asyncio.sleep(request.params.get("pause_before_answer", 0.0))
                text = script.answer(request.op, items, turn.attempt)
                await turn.add_items([script.assistant(text)])
                await asyncio.sleep(request.params.get("pause_after_answer", 0.0))
                mark_active()
        except AlreadyCommitted as error:
            return {"text": script.text_of(error.items[-1]), "added": len(error.items)}
        return {"text": text, "added": 2}


class LongTurn(ShortTurn):
    """A turn that takes a while, sometimes longer than a lease."""

    name = "long-turn"
    weight = 1.0
    other_weights: ClassVar[dict[SessionKind, float]] = {"policies": 3.0}

    def generate(self, rng: random.Random, lease: float) -> dict[str, Any]:
        seconds = 1.4 * lease if rng.random() < 0.05 else rng.choice([0.02, 0.1, 0.3])
        return {rng.choice(["pause_before_answer", "pause_after_answer"]): seconds}


class Read(OperationKind):
    """The number of items in a session, and the operation of the last one."""

    name = "read"
    weight = 4.0
    other_weights: ClassVar[dict[SessionKind, float]] = {"policies": 1.0, "approvals": 1.0}
    is_turn = False
    takes_turn_id = False
    turn_id_share = 0.0

    def generate(self, rng: random.Random, lease: float) -> dict[str, Any]:
        return {"limit": 4} if rng.random() < 0.3 else {}

    async def run(self, context: OperationContext, request: Request) -> dict[str, Any]:
        items = await context.session.bind(request.session).get_items(request.params.get("limit"))
        return {"items": len(items), "last": script.last_op(items)}
