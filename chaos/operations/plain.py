"""The methods of the SDK's session: add, pop, clear and read, on sessions of their own."""

from __future__ import annotations

import random
from typing import Any, ClassVar

from chaos import script
from chaos.history import SessionKind
from chaos.operation_context import OperationContext
from chaos.operations.kind import OperationKind
from chaos.operations.turns import TIMEOUT
from chaos.protocol import Request


class _Plain(OperationKind):
    session_kind: ClassVar[SessionKind] = "plain"
    is_turn = False
    takes_turn_id = False
    turn_id_share = 0.0


class Add(_Plain):
    """Add one to three items at once."""

    name = "add"
    weight = 5.0

    def generate(self, rng: random.Random, lease: float) -> dict[str, Any]:
        return {"count": rng.choice([1, 1, 2, 3])}

    async def run(self, context: OperationContext, request: Request) -> dict[str, Any]:
        names = [f"{request.op}.{n}" for n in range(request.params["count"])]
        items = [script.user(f"op {name}") for name in names]
        await context.session.bind(request.session).add_items(items)
        return {}


class Pop(_Plain):
    """Pop the last item."""

    name = "pop"
    weight = 2.0

    async def run(self, context: OperationContext, request: Request) -> dict[str, Any]:
        item = await context.session.bind(request.session).pop_item()
        return {"item": None if item is None else script.op_of(item)}


class Clear(_Plain):
    """Remove all items."""

    name = "clear"
    weight = 0.5

    async def run(self, context: OperationContext, request: Request) -> dict[str, Any]:
        await context.session.bind(request.session).clear_session()
        return {}


class ReadAll(_Plain):
    """Read all items."""

    name = "read-all"
    weight = 4.0

    async def run(self, context: OperationContext, request: Request) -> dict[str, Any]:
        items = await context.session.bind(request.session).get_items()
        return {"items": [script.op_of(item) for item in items]}


class Rewrite(_Plain):
    """A turn that replaces all items by one, as a compaction does."""

    name = "rewrite"
    weight = 1.0
    is_turn = True

    async def run(self, context: OperationContext, request: Request) -> dict[str, Any]:
        async with context.session.turn(request.session, timeout=TIMEOUT) as turn:
            items = await turn.get_items()
            await turn.clear_session()
            await turn.add_items([script.user(f"op {request.op}.0")])
        return {"items": [script.op_of(item) for item in items]}
