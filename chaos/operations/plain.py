"""The SDK's session as it is: add, pop, clear and read, on sessions of their own."""

from __future__ import annotations

import random
from typing import Any, ClassVar

from chaos import script
from chaos.desk import Desk
from chaos.history import Home
from chaos.operations.operation import Operation
from chaos.operations.turns import TIMEOUT
from chaos.protocol import Order


class _Plain(Operation):
    home: ClassVar[Home] = "plain"
    is_turn = False
    by_id = False
    named = 0.0


class Add(_Plain):
    """Add one to three items at once."""

    kind = "add"
    weight = 5.0

    def draw(self, rng: random.Random, lease: float) -> dict[str, Any]:
        return {"count": rng.choice([1, 1, 2, 3])}

    async def run(self, desk: Desk, order: Order) -> dict[str, Any]:
        names = [f"{order.op}.{n}" for n in range(order.params["count"])]
        items = [script.user(f"op {name}") for name in names]
        await desk.session.bind(order.session).add_items(items)
        return {}


class Pop(_Plain):
    """Take the last item away."""

    kind = "pop"
    weight = 2.0

    async def run(self, desk: Desk, order: Order) -> dict[str, Any]:
        item = await desk.session.bind(order.session).pop_item()
        return {"item": None if item is None else script.op_of(item)}


class Clear(_Plain):
    """Take all items away."""

    kind = "clear"
    weight = 0.5

    async def run(self, desk: Desk, order: Order) -> dict[str, Any]:
        await desk.session.bind(order.session).clear_session()
        return {}


class ReadAll(_Plain):
    """Read all items."""

    kind = "read-all"
    weight = 4.0

    async def run(self, desk: Desk, order: Order) -> dict[str, Any]:
        items = await desk.session.bind(order.session).get_items()
        return {"items": [script.op_of(item) for item in items]}


class Rewrite(_Plain):
    """A turn that puts one item in the place of all, as a compaction does."""

    kind = "rewrite"
    weight = 1.0
    is_turn = True

    async def run(self, desk: Desk, order: Order) -> dict[str, Any]:
        async with desk.session.turn(order.session, timeout=TIMEOUT) as turn:
            items = await turn.get_items()
            await turn.clear_session()
            await turn.add_items([script.user(f"op {order.op}.0")])
        return {"items": [script.op_of(item) for item in items]}
