"""Runs of an agent: each is a turn."""

from __future__ import annotations

import random
from typing import Any, ClassVar

import agents

from chaos import script
from chaos.history import SessionKind
from chaos.operation_context import OperationContext
from chaos.operations.kind import OperationKind
from chaos.operations.turns import TIMEOUT
from chaos.protocol import Request
from turnwise import Runner
from turnwise.errors import AlreadyCommitted

PLANS = "", "", "r", "n", "rn", "r/n", "nr/n", "rrn", "n/r/n"


class Run(OperationKind):
    """A run with up to three tool calls, some of them in parallel."""

    name = "run"
    weight: ClassVar[float] = 5.0
    other_weights: ClassVar[dict[SessionKind, float]] = {"policies": 3.0}

    def generate(self, rng: random.Random, lease: float) -> dict[str, Any]:
        plan = rng.choice(PLANS)
        slow = rng.choice([0.0, 0.0, 0.02, 0.2, 0.2, 1.0]) if plan else 0.0
        overloaded = 0.5 if plan and rng.random() < 0.2 else 0.0
        return {"plan": plan, "slow": slow, "overloaded": overloaded}

    def input(self, request: Request) -> str:
        return script.question(request.op, request.params["plan"])

    async def run(self, context: OperationContext, request: Request) -> dict[str, Any]:
        result = await Runner.run(
            context.agent,
            self.input(request),
            session=context.session,
            session_id=request.session,
            turn_id=request.turn_id,
            timeout=TIMEOUT,
            busy=request.params.get("busy", "wait"),
        )
        if result.interruptions:
            return {"parked": len(result.interruptions)}
        return {"text": str(result.final_output), "added": 1 + len(result.new_items)}


class StreamedRun(Run):
    """A streamed run: the text of the stream must equal the answer."""

    name = "streamed-run"
    weight = 2.5
    other_weights: ClassVar[dict[SessionKind, float]] = {"policies": 1.0}

    async def run(self, context: OperationContext, request: Request) -> dict[str, Any]:
        result = Runner.run_streamed(
            context.agent,
            self.input(request),
            session=context.session,
            session_id=request.session,
            turn_id=request.turn_id,
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


class SDKRun(Run):
    """The SDK's own Runner, with a turn as its session."""

    name = "sdk-run"
    weight = 1.0
    other_weights: ClassVar[dict[SessionKind, float]] = {}

    async def run(self, context: OperationContext, request: Request) -> dict[str, Any]:
        opening = context.session.turn(request.session, turn_id=request.turn_id, timeout=TIMEOUT)
        try:
            async with opening as turn:
                result = await agents.Runner.run(context.agent, self.input(request), session=turn)
        except AlreadyCommitted as error:
            return {"text": script.text_of(error.items[-1]), "added": len(error.items)}
        return {"text": str(result.final_output), "added": 1 + len(result.new_items)}
