"""Messages for the queue workers, and what became of them."""

from __future__ import annotations

import asyncio
import random
from typing import Any, ClassVar

from chaos import script
from chaos.desk import Desk
from chaos.history import Home
from chaos.operations.operation import Operation
from chaos.operations.runs import PLANS
from chaos.operations.turns import TIMEOUT
from chaos.protocol import Order
from turnwise.background import Receipt
from turnwise.errors import BusyTimeout, DeadLettered, TurnCancelled

MOST_ATTEMPTS = 3
"""After so many a message is a dead letter."""


class Submit(Operation):
    """A message. That it is accepted is all that its sender is told.

    In some, a tool raises: a repeatable one in the first attempt, any other whenever it is run.
    """

    kind = "submit"
    weight = 3.0
    elsewhere: ClassVar[dict[Home, float]] = {"policies": 1.0, "approvals": 1.0}
    named = 1.0

    def draw(self, rng: random.Random, lease: float) -> dict[str, Any]:
        plan = script.DOOM if rng.random() < 0.04 else rng.choice(PLANS)
        letter = rng.choice("rn")
        stumbles = script.TOOLS[letter] if letter in plan and rng.random() < 0.15 else ""
        return {"plan": plan, "slow": rng.choice([0.0, 0.0, 0.02, 0.2]), "stumbles": stumbles}

    async def run(self, desk: Desk, order: Order) -> dict[str, Any]:
        await desk.session.submit(
            order.session,
            script.question(order.op, order.params["plan"]),
            agent="agent",
            turn_id=order.turn_id,
            metadata={name: order.params[name] for name in ("slow", "stumbles")},
        )
        return {"accepted": True}


class Await(Operation):
    """What became of a message, after its events where they are followed. Sent by its sender."""

    kind = "await"
    weight = 0.0
    is_turn = False

    async def run(self, desk: Desk, order: Order) -> dict[str, Any]:
        receipt = desk.session.receipt(order.session, order.turn_id or "")
        timeout = order.params.get("timeout", TIMEOUT)
        told = {}
        try:
            if order.params.get("follow"):
                async with asyncio.timeout(timeout):
                    told = {"streamed": await _followed(receipt)}
            result = await receipt.result(timeout)
        except TimeoutError as error:
            raise BusyTimeout("it has not ended", session_id=order.session) from error
        except DeadLettered:
            return {"end": "dead"}
        except TurnCancelled as error:
            return {"end": "cancelled", "kept": error.kept}
        return {"text": str(result.final_output), "added": 1 + len(result.new_items), **told}


async def _followed(receipt: Receipt) -> str:
    """The text that its events make, read to their end."""
    text = ""
    async for _, event in receipt.events():
        if event["type"] == "turn.reset":
            text = ""
        elif event["type"] == "raw_response_event":
            data = event["data"]
            text += data["delta"] if data["type"] == "response.output_text.delta" else ""
    return text
