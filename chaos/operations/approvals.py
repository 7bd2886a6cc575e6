"""Runs that wait for an approval, and those who give it, in other processes."""

from __future__ import annotations

import random
from typing import Any, ClassVar

from chaos import script
from chaos.desk import Desk
from chaos.history import Home
from chaos.operations.operation import Operation
from chaos.operations.runs import Run
from chaos.operations.turns import TIMEOUT
from chaos.protocol import Order
from turnwise import Runner
from turnwise.errors import ApprovalPending, NoPendingApproval, UsageError


class Ask(Run):
    """A run with tools that need approval: it is parked."""

    kind = "ask"
    home: ClassVar[Home] = "approvals"
    weight = 4.0
    elsewhere: ClassVar[dict[Home, float]] = {}
    named = 1.0

    def draw(self, rng: random.Random, lease: float) -> dict[str, Any]:
        plan = rng.choice(["a", "a", "na", "aa", "r/a", "a/n", "a/a"])
        return {"plan": plan, "slow": rng.choice([0.0, 0.02, 0.2])}


class Resume(Operation):
    """Decide on what waits in a turn, all of it or `partly`, and go on with it.

    Sent by who asked; the same decision each time, from any worker, at the same time too.
    """

    kind = "resume"
    weight = 0.0
    is_turn = False

    async def run(self, desk: Desk, order: Order) -> dict[str, Any]:
        waiting = await desk.session.pending_approvals(order.session)
        ids = [one.id for one in waiting if one.turn_id == order.turn_id]
        if not ids and not await _is_open(desk, order):
            raise NoPendingApproval("it waits no more", session_id=order.session)
        ids = ids[: 1 if order.params.get("partly") else None]
        rejects = bool(order.params.get("reject"))
        try:
            result = await Runner.resume(
                desk.agent,
                session=desk.session,
                session_id=order.session,
                approve=[] if rejects else ids,
                reject=dict.fromkeys(ids, script.REJECTED) if rejects else {},
                timeout=TIMEOUT,
            )
        except UsageError as error:
            if ids:
                raise
            # It was taken up by another, who has come to the next call that needs an approval.
            raise ApprovalPending("it waits anew", session_id=order.session) from error
        if result.interruptions:
            return {"parked": len(result.interruptions)}
        text = str(result.final_output)
        told = script.parse_answer(text)
        if told is not None and told[0] != order.op:
            raise NoPendingApproval("another turn waited by then", session_id=order.session)
        return {"text": text}


async def _is_open(desk: Desk, order: Order) -> bool:
    """Whether its turn is open still, with everything decided."""
    info = await desk.session.info(order.session)
    return (
        info is not None and info.open_turn is not None and info.open_turn.turn_id == order.turn_id
    )
