"""Turns that are cancelled from another process."""

from __future__ import annotations

from typing import Any

from chaos.desk import Desk
from chaos.operations.operation import Operation
from chaos.protocol import Order


class CancelTurn(Operation):
    """End the turn that `params` name. Sent with a turn, never drawn by itself."""

    kind = "cancel"
    weight = 0.0
    is_turn = False
    by_id = False
    named = 0.0

    async def run(self, desk: Desk, order: Order) -> dict[str, Any]:
        done = await desk.session.cancel(order.session, order.params["turn_id"])
        return {"outcome": done.outcome, "items": done.items}
