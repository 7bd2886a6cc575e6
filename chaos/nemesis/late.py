"""A begin that the network delivers after its caller aborted it."""

from __future__ import annotations

import asyncio

from chaos.history import Fault, Leftover
from chaos.invoker import Operation
from chaos.nemesis.kind import FaultContext, FaultKind
from chaos.operations import KINDS
from chaos.protocol import CancelTask
from chaos.worker_pool import WorkerProcess
from turnwise.testing.proxy import Command, DelayRequest, FaultProxy, once


class LateBegin(FaultKind):
    """Delays a begin until its caller is cancelled; when it arrives, no turn may open.

    It has a session of its own: one remembers the tokens of a few ended attempts only. And the
    session has had a turn before: one that does not exist remembers none.
    """

    name = "begin delivered after its abort"

    async def inject(self, context: FaultContext, fault: Fault) -> None:
        proxied = context.pool.workers[::2]
        running = [one for one in proxied if not (one.paused or one.exited.is_set())]
        worker = context.rng.choice(running or proxied)
        number = len(context.history.invocations)
        fault.target, fault.note = worker.name, f"turns-late{number}"
        first = await context.invoke(_turn(fault.note, f"first{number}"), worker)
        if first.outcome == "ok":
            await _begin_late(context, fault, worker, _turn(fault.note, f"late{number}"))


def _turn(session: str, op: str) -> Operation:
    return Operation(KINDS["short-turn"], op, session, f"t{op}", {})


async def _begin_late(
    context: FaultContext, fault: Fault, worker: WorkerProcess, operation: Operation
) -> None:
    proxy: FaultProxy = context.topology.proxy
    delayed = DelayRequest()
    proxy.faults = once(lambda command: _is_begin(command, operation), delayed)
    invoking = asyncio.ensure_future(context.invoke(operation, worker))
    try:
        async with asyncio.timeout(context.lease):
            await delayed.arrived.wait()
            invocation = next(
                one for one in reversed(context.history.invocations) if one.op == operation.op
            )
            worker.send(CancelTask(invocation.id))
            await asyncio.shield(invoking)
        if invocation.error != "CancelledError":  # it aborted nothing: its lease ends the turn
            fault.note += f", whose invocation ended with {invocation.error or 'an answer'}"
        elif await _opens_a_turn(context, operation, delayed):
            what = f"turn {operation.turn_id}, begun after its abort"
            context.history.leftovers.append(Leftover(what, "session", operation.session))
    except TimeoutError:
        fault.note += ", which was slow"
    finally:
        proxy.faults = None
        delayed.release()
    await invoking


async def _opens_a_turn(context: FaultContext, operation: Operation, delayed: DelayRequest) -> bool:
    """Deliver the begin."""
    async with context.topology.connect(context.lease) as store:
        if await store.info(operation.session) is None:  # a failover lost it
            return False
        delayed.release()
        for _ in range(20):
            await asyncio.sleep(0.01)
            info = await store.info(operation.session)
            if info is not None and info.open_turn is not None:
                return True
    return False


def _is_begin(command: Command, operation: Operation) -> bool:
    return command.name == "EVALSHA" and (operation.turn_id or "").encode() in command.args
