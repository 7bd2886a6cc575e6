"""Operations of several steps: submit and await a message, decide and resume a parked turn."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from typing import Any

from chaos.history import Invocation
from chaos.invoker import Invoker, Operation
from chaos.operations import KINDS

_MAX_TRIES = 6
_FINAL_ERRORS = {"SessionGone", "NoPendingApproval"}
"""Errors after which another try is pointless."""


def is_accepted(invocation: Invocation) -> bool:
    """Whether a message was accepted."""
    return invocation.kind == "submit" and invocation.outcome == "ok"


def is_final(invocation: Invocation) -> bool:
    """Whether the response states how the operation ended."""
    return invocation.outcome == "ok" and ("text" in invocation.value or "end" in invocation.value)


def may_be_parked(invocation: Invocation) -> bool:
    """Whether its turn may be parked, or resumed by another worker by then."""
    if invocation.kind != "approval-run":
        return False
    unknown = invocation.outcome == "info" or invocation.error in ("LeaseLost", "ApprovalPending")
    return unknown or "parked" in invocation.value


class Scenarios:
    """`rng` decides which steps follow, and how."""

    def __init__(self, invoker: Invoker, rng: random.Random, lease: float, timeout: float) -> None:
        self._invoker = invoker
        self._rng = rng
        self._lease = lease
        self._timeout = timeout

    async def continue_after(self, operation: Operation, first: Iterable[Invocation]) -> None:
        """Take the next steps after the first one, if there are any."""
        if any(map(is_accepted, first)) and self._rng.random() < 0.7:
            await self.await_result(operation, 1, self._timeout)
        elif any("parked" in one.value for one in first) and self._rng.random() < 0.95:
            await asyncio.sleep(self._rng.choice([0.0, 0.01, 0.1]))
            await self.decide(operation)

    async def await_result(self, operation: Operation, tries: int, timeout: float) -> None:
        """Await the result of a message until a response states it."""
        follow = self._rng.random() < 0.4
        step = self._step("await", operation, {"follow": follow, "timeout": timeout})
        for _ in range(tries):
            invocation = await self._invoker.invoke_hedged(step, 2 * self._lease, 0.3)
            if is_final(invocation) or invocation.error in _FINAL_ERRORS:
                return

    async def decide(self, operation: Operation, tries: int = 2) -> bool:
        """Decide and resume, sometimes twice at once; whether the turn is known not to be parked.

        A response "parked" means that the turn waits for its next approval.
        """
        rejects = int(operation.op) % 7 == 0
        for _ in range(tries):
            partly = self._rng.random() < 0.3
            step = self._step("resume", operation, {"reject": rejects, "partly": partly})
            copies = [step, step] if self._rng.random() < 0.4 else [step]
            invocations = await asyncio.gather(*map(self._invoker.invoke, copies))
            if any("parked" in one.value for one in invocations):
                continue
            if any(is_final(one) or one.error in _FINAL_ERRORS for one in invocations):
                return True
        return False

    async def decide_or_cancel(self, operation: Operation) -> None:
        """Decide until the turn is no longer parked; cancel it if that does not help."""
        if not await self.decide(operation, _MAX_TRIES):
            params = {"turn_id": operation.turn_id, "op": operation.op}
            op = f"{operation.op}.cancel"
            await self._invoker.invoke(
                Operation(KINDS["cancel"], op, operation.session, None, params)
            )

    def _step(self, kind: str, operation: Operation, params: dict[str, Any]) -> Operation:
        """Another step of the same operation."""
        return Operation(KINDS[kind], operation.op, operation.session, operation.turn_id, params)
