"""Cancels a turn from another process."""

from __future__ import annotations

from typing import Any

from chaos.operation_context import OperationContext
from chaos.operations.kind import OperationKind
from chaos.protocol import Request


class CancelTurn(OperationKind):
    """Cancel the turn that `params` name. Invoked along with a turn, never generated alone."""

    name = "cancel"
    weight = 0.0
    is_turn = False
    is_cancel = True
    takes_turn_id = False
    turn_id_share = 0.0

    async def run(self, context: OperationContext, request: Request) -> dict[str, Any]:
        cancelled = await context.session.cancel(request.session, request.params["turn_id"])
        return {"outcome": cancelled.outcome, "items": cancelled.items}
