"""Runs of an agent: each is a turn."""

from __future__ import annotations

import random
from typing import Any, ClassVar

import agents

from chaos import script
from chaos.desk import Desk
from chaos.history import Home
from chaos.operations.operation import Operation
from chaos.operations.turns import TIMEOUT
from chaos.protocol import Order
from turnwise import Runner
from turnwise.errors import AlreadyCommitted

PLANS = "", "", "r", "n", "rn", "r/n", "nr/n", "rrn", "n/r/n"


class Run(Operation):
    """A run with up to three tool calls, some of them at once."""

    kind = "run"
    weight: ClassVar[float] = 5.0
    elsewhere: ClassVar[dict[Home, float]] = {"policies": 3.0}

    def draw(self, rng: random.Random, lease: float) -> dict[str, Any]:
        plan = rng.choice(PLANS)
        slow = rng.choice([0.0, 0.0, 0.02, 0.2, 0.2, 1.0]) if plan else 0.0
        return {"plan": plan, "slow": slow}

    def input(self, order: Order) -> str:
        return script.question(order.op, order.params["plan"])

    async def run(self, desk: Desk, order: Order) -> dict[str, Any]:
        result = await Runner.run(
            desk.agent,
            self.input(order),
            session=desk.session,
            session_id=order.session,
            turn_id=order.turn_id,
            timeout=TIMEOUT,
            busy=order.params.get("busy", "wait"),
        )
        if result.interruptions:
            return {"parked": len(result.interruptions)}
        return {"text": str(result.final_output), "added": 1 + len(result.new_items)}


class Streamed(Run):
    """The same, streamed: the text of the stream has to be the answer."""

    kind = "streamed"
    weight = 2.5
    elsewhere: ClassVar[dict[Home, float]] = {"policies": 1.0}

    async def run(self, desk: Desk, order: Order) -> dict[str, Any]:
        result = Runner.run_streamed(
            desk.agent,
            self.input(order),
            session=desk.session,
            session_id=order.session,
            turn_id=order.turn_id,
            timeout=TIMEOUT,
        )
        text = ""
        async for event in result.stream_events():
            if event.type != "raw_response_event":
                continue
            if event.data.type == "response.output_text.delta":
                text += event.data.delta
        final = str(result.final_output)
        return {"text": final, "added": 1 + len(result.new_items), "streamed": text}


class PlainRun(Run):
    """The SDK's own Runner, with a turn as its session."""

    kind = "plain-run"
    weight = 1.0
    elsewhere: ClassVar[dict[Home, float]] = {}

    async def run(self, desk: Desk, order: Order) -> dict[str, Any]:
        turning = desk.session.turn(order.session, turn_id=order.turn_id, timeout=TIMEOUT)
        try:
            async with turning as turn:
                result = await agents.Runner.run(desk.agent, self.input(order), session=turn)
        except AlreadyCommitted as error:
            return {"text": script.text_of(error.items[-1]), "added": len(error.items)}
        return {"text": str(result.final_output), "added": 1 + len(result.new_items)}
