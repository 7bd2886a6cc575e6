"""A begin that the network delivers after its caller aborted it."""

from __future__ import annotations

import asyncio

from chaos.history import Fault, Leftover, now
from chaos.invoker import Operation
from chaos.nemesis.kind import FaultContext, FaultKind
from chaos.operations import KINDS
from chaos.protocol import CancelTask
from turnwise.session import Session
from turnwise.testing.proxy import Command, DelayRequest, FaultProxy, once

_MAX_INVOCATIONS_BETWEEN = 6
"""A session remembers the tokens of some ended attempts: of more than these invocations begin."""


class LateBegin(FaultKind):
    """Delays a begin until its caller is cancelled; when it arrives, no turn may open."""

    name = "begin delivered after its abort"

    async def inject(self, context: FaultContext, fault: Fault) -> None:
        proxy: FaultProxy = context.topology.proxy
        proxied = context.pool.workers[::2]
        running = [one for one in proxied if not (one.paused or one.exited.is_set())]
        worker = context.rng.choice(running or proxied)
        # Not a hot session: too many of its turns would come between.
        cold = [name for name in context.live_sessions()[2:] if name.startswith("turns")]
        session = context.rng.choice(cold)
        fault.target, fault.note = worker.name, session
        if not await _has_turns(context, session):
            fault.note += ", which had no turn yet"  # it does not exist: it remembers no token
            return
        begun, op = now(), f"late{len(context.history.invocations)}"
        operation = Operation(KINDS["short-turn"], op, session, f"t{op}", {})
        delayed = DelayRequest()
        proxy.faults = once(lambda command: _is_begin(command, operation), delayed)
        invoking = asyncio.ensure_future(context.invoke(operation, worker))
        try:
            async with asyncio.timeout(context.lease):
                await delayed.arrived.wait()
                number = next(
                    one.id for one in reversed(context.history.invocations) if one.op == op
                )
                worker.send(CancelTask(number))
                invocation = await asyncio.shield(invoking)
            if invocation.error != "CancelledError":  # it aborted nothing: its lease ends the turn
                fault.note += f", whose invocation ended with {invocation.error or 'an answer'}"
                return
            async with context.topology.connect(context.lease) as store:
                opened = await self._deliver(store, operation, delayed)
            if opened and _invocations_since(begun, context, session) <= _MAX_INVOCATIONS_BETWEEN:
                what = f"turn {operation.turn_id}, begun after its abort"
                context.history.leftovers.append(Leftover(what, "session", session))
        except TimeoutError:
            fault.note += ", which was busy"
        finally:
            proxy.faults = None
            delayed.release()
        await invoking

    async def _deliver(self, store: Session, operation: Operation, delayed: DelayRequest) -> bool:
        """Whether the begin opens a turn when it arrives."""
        delayed.release()
        for _ in range(20):
            await asyncio.sleep(0.01)
            info = await store.info(operation.session)
            turn = info.open_turn if info is not None else None
            if turn is not None and turn.turn_id == operation.turn_id:
                return True
        return False


def _invocations_since(begun: float, context: FaultContext, session: str) -> int:
    """How many invocations may have ended an attempt in the session since then."""
    return sum(
        one.session == session and (one.completed is None or one.completed >= begun)
        for one in context.history.invocations
    )


async def _has_turns(context: FaultContext, session: str) -> bool:
    async with context.topology.connect(context.lease) as store:
        info = await store.info(session)
        return info is not None and info.turns > 0


def _is_begin(command: Command, operation: Operation) -> bool:
    return command.name == "EVALSHA" and (operation.turn_id or "").encode() in command.args
