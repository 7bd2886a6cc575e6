"""Messages for the queue workers, and their results."""

from __future__ import annotations

import asyncio
import random
from typing import Any, ClassVar

from chaos import script
from chaos.history import SessionKind
from chaos.operation_context import OperationContext
from chaos.operations.kind import OperationKind
from chaos.operations.runs import PLANS
from chaos.operations.turns import TIMEOUT
from chaos.protocol import Request
from turnwise.background import Receipt
from turnwise.errors import BusyTimeout, DeadLettered, TurnCancelled

MAX_ATTEMPTS = 3
"""A message becomes a dead letter after so many failed attempts."""


class Submit(OperationKind):
    """Submit a message. Its sender learns only that it is accepted.

    In some, a tool raises: a repeatable one in the first attempt, any other in each attempt.
    """

    name = "submit"
    weight = 3.0
    other_weights: ClassVar[dict[SessionKind, float]] = {"policies": 1.0, "approvals": 1.0}
    turn_id_share = 1.0
    is_message = True

    def generate(self, rng: random.Random, lease: float) -> dict[str, Any]:
        plan = script.ALWAYS_FAILS if rng.random() < 0.04 else rng.choice(PLANS)
        letter = rng.choice("rn")
        failing_tool = script.TOOLS[letter] if letter in plan and rng.random() < 0.15 else ""
        return {
            "plan": plan,
            "slow": rng.choice([0.0, 0.0, 0.02, 0.2]),
            "failing_tool": failing_tool,
        }

    async def run(self, context: OperationContext, request: Request) -> dict[str, Any]:
        await context.session.submit(
            request.session,
            script.question(request.op, request.params["plan"]),
            agent="agent",
            turn_id=request.turn_id,
            metadata={name: request.params[name] for name in ("slow", "failing_tool")},
        )
        return {"accepted": True}


class Await(OperationKind):
    """Await the result of a message, after its events if `follow` says so."""

    name = "await"
    weight = 0.0
    is_turn = False

    async def run(self, context: OperationContext, request: Request) -> dict[str, Any]:
        receipt = context.session.receipt(request.session, request.turn_id or "")
        timeout = request.params.get("timeout", TIMEOUT)
        streamed = {}
        try:
            if request.params.get("follow"):
                async with asyncio.timeout(timeout):
                    streamed = {"streamed": await _streamed_text(receipt)}
            result = await receipt.result(timeout)
        except TimeoutError as error:
            raise BusyTimeout("it has not ended", session_id=request.session) from error
        except DeadLettered:
            return {"end": "dead"}
        except TurnCancelled as error:
            return {"end": "cancelled", "kept": error.kept}
        return {"text": str(result.final_output), "added": 1 + len(result.new_items), **streamed}


async def _streamed_text(receipt: Receipt) -> str:
    """The text of its events, read to the end of the stream."""
    text = ""
    async for _, event in receipt.events():
        if event["type"] == "turn.reset":
            text = ""
        elif event["type"] == "raw_response_event":
            data = event["data"]
            text += data["delta"] if data["type"] == "response.output_text.delta" else ""
    return text
