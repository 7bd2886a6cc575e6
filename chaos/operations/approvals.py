"""Runs that need an approval, and the decisions, which come from other processes."""

from __future__ import annotations

import random
from typing import Any, ClassVar

from chaos import script
from chaos.history import SessionKind
from chaos.operation_context import OperationContext
from chaos.operations.kind import OperationKind
from chaos.operations.runs import Run
from chaos.operations.turns import TIMEOUT
from chaos.protocol import Request
from turnwise import Runner
from turnwise.errors import ApprovalPending, NoPendingApproval, UsageError


class ApprovalRun(Run):
    """A run with tools that need an approval: it parks."""

    name = "approval-run"
    session_kind: ClassVar[SessionKind] = "approvals"
    weight = 4.0
    other_weights: ClassVar[dict[SessionKind, float]] = {}
    turn_id_share = 1.0

    def generate(self, rng: random.Random, lease: float) -> dict[str, Any]:
        plan = rng.choice(["a", "a", "na", "aa", "r/a", "a/n", "a/a"])
        return {"plan": plan, "slow": rng.choice([0.0, 0.02, 0.2])}


class Resume(OperationKind):
    """Decide the pending approvals of a parked turn (the first one if `partly`) and resume it.

    The decision is the same each time, from any worker, concurrent ones included.
    """

    name = "resume"
    weight = 0.0
    is_turn = False

    async def run(self, context: OperationContext, request: Request) -> dict[str, Any]:
        pending = await context.session.pending_approvals(request.session)
        ids = [one.id for one in pending if one.turn_id == request.turn_id]
        if not ids and not await _is_open(context, request):
            raise NoPendingApproval("the turn is no longer parked", session_id=request.session)
        ids = ids[: 1 if request.params.get("partly") else None]
        rejects = bool(request.params.get("reject"))
        try:
            result = await Runner.resume(
                context.agent,
                session=context.session,
                session_id=request.session,
                approve=[] if rejects else ids,
                reject=dict.fromkeys(ids, script.REJECTED) if rejects else {},
                timeout=TIMEOUT,
            )
        except UsageError as error:
            if ids:
                raise
            # Another worker resumed it, and it parked at the next call that needs an approval.
            raise ApprovalPending("the turn parked again", session_id=request.session) from error
        if result.interruptions:
            return {"parked": len(result.interruptions)}
        text = str(result.final_output)
        parsed = script.parse_answer(text)
        if parsed is not None and parsed[0] != request.op:
            raise NoPendingApproval("another turn is parked by now", session_id=request.session)
        return {"text": text}


async def _is_open(context: OperationContext, request: Request) -> bool:
    """Whether its turn is still open, with all approvals decided."""
    info = await context.session.info(request.session)
    return (
        info is not None
        and info.open_turn is not None
        and info.open_turn.turn_id == request.turn_id
    )
