"""What takes several steps: a message and its answer, an approval and who gives it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from typing import Any

from chaos.history import Call
from chaos.operations import OPERATIONS
from chaos.sender import Request, Sender

_MOST_TRIES = 6
_KNOWN_ENDS = {"SessionGone", "NoPendingApproval"}
"""After these it is no use to ask again."""


def is_accepted(call: Call) -> bool:
    return call.kind == "submit" and call.outcome == "ok"


def is_answer(call: Call) -> bool:
    """Whether it tells how its operation ended."""
    return call.outcome == "ok" and ("text" in call.value or "end" in call.value)


def may_wait(call: Call) -> bool:
    """Whether its turn may wait for an approval: parked, or in another's hands by then."""
    if call.kind != "ask":
        return False
    doubtful = call.outcome == "unknown" or call.error in ("LeaseLost", "ApprovalPending")
    return doubtful or "parked" in call.value


class Courses:
    """`rng` decides what is done of it, and how."""

    def __init__(self, sender: Sender, rng: random.Random, lease: float, timeout: float) -> None:
        self._sender = sender
        self._rng = rng
        self._lease = lease
        self._timeout = timeout

    async def go_on(self, request: Request, calls: Iterable[Call]) -> None:
        """What the sender of a first step does next, if it has anything to do."""
        if any(map(is_accepted, calls)) and self._rng.random() < 0.7:
            await self.awaited(request, 1, self._timeout)
        elif any("parked" in call.value for call in calls) and self._rng.random() < 0.95:
            await asyncio.sleep(self._rng.choice([0.0, 0.01, 0.1]))
            await self.decided(request)

    async def awaited(self, request: Request, tries: int, timeout: float) -> None:
        """Ask what became of a message until somebody knows."""
        follow = self._rng.random() < 0.4
        params = {"follow": follow, "timeout": timeout}
        again = self._step("await", request, params)
        for _ in range(tries):
            call = await self._sender.send_impatiently(again, 2 * self._lease, 0.3)
            if is_answer(call) or call.error in _KNOWN_ENDS:
                return

    async def decided(self, request: Request, tries: int = 2) -> bool:
        """Decide, two at the same time now and then; whether the turn is known to wait no more."""
        rejects = int(request.op) % 7 == 0
        for _ in range(tries):
            partly = self._rng.random() < 0.3
            step = self._step("resume", request, {"reject": rejects, "partly": partly})
            both = [step, step] if self._rng.random() < 0.4 else [step]
            calls = await asyncio.gather(*map(self._sender.send, both))
            if any("parked" in call.value for call in calls):  # it waits for the next one
                continue
            if any(is_answer(call) or call.error in _KNOWN_ENDS for call in calls):
                return True
        return False

    async def finished(self, request: Request) -> None:
        """Decide on what waits until nothing does; give it up if that does not help."""
        if not await self.decided(request, _MOST_TRIES):
            params = {"turn_id": request.turn_id, "op": request.op}
            name = f"{request.op}.given-up"
            await self._sender.send(
                Request(OPERATIONS["cancel"], name, request.session, None, params)
            )

    def _step(self, kind: str, request: Request, params: dict[str, Any]) -> Request:
        """Another step of the same operation."""
        return Request(OPERATIONS[kind], request.op, request.session, request.turn_id, params)
