"""A begin that arrives after its turn was given up."""

from __future__ import annotations

import asyncio

from chaos.history import Fault, Leftover
from chaos.nemesis.fault import Field, Strike
from chaos.operations import OPERATIONS
from chaos.protocol import Cancel
from chaos.sender import Request
from turnwise.session import Session
from turnwise.testing.proxy import Command, DelayRequest, FaultProxy, once

_KNOWN = 6
"""Fewer turns than a session knows tokens of that were given up."""


class LateBegin(Strike):
    """The request is held back, its caller cancelled; then it arrives: nobody must be let in."""

    kind = "begin after its abort"

    async def strike(self, field: Field, fault: Fault) -> None:
        proxy: FaultProxy = field.topology.proxy
        members = [one for one in field.crew.members[::2] if not (one.stopped or one.gone.is_set())]
        member = field.rng.choice(members or field.crew.members[::2])
        # Not a hot one: it would see too many turns meanwhile.
        cold = [name for name in field.sessions()[2:] if name.startswith("turns")]
        session = field.rng.choice(cold)
        fault.target, fault.note = member.name, session
        if not await _has_turns(field, session):
            fault.note += ", which had no turn yet"  # nor a place to remember tokens
            return
        op = f"late{len(field.history.calls)}"
        request = Request(OPERATIONS["brief"], op, session, f"t{op}", {})
        held = DelayRequest()
        proxy.faults = once(lambda command: _begins(command, request), held)
        sending = asyncio.ensure_future(field.send(request, member))
        try:
            async with asyncio.timeout(field.lease):
                await held.arrived.wait()
                number = next(call.call for call in reversed(field.history.calls) if call.op == op)
                member.send(Cancel(number))
                call = await asyncio.shield(sending)
            if call.error == "WorkerDied":  # it has given nothing up: its lease will end the turn
                fault.note += ", whose worker was killed meanwhile"
                return
            async with field.topology.open(field.lease) as store:
                await self._arrive(field, store, request, held)
        except TimeoutError:
            fault.note += ", which was busy"
        finally:
            proxy.faults = None
            held.release()
        await sending

    async def _arrive(
        self, field: Field, store: Session, request: Request, held: DelayRequest
    ) -> None:
        before = await store.info(request.session)
        held.release()
        for _ in range(20):
            await asyncio.sleep(0.01)
            after = await store.info(request.session)
            if before is None or after is None or after.turns - before.turns > _KNOWN:
                return
            if after.open_turn is not None and after.open_turn.turn_id == request.turn_id:
                what = f"turn {request.turn_id}, begun after it was given up"
                field.history.leftovers.append(Leftover(what, "session", request.session))
                return


async def _has_turns(field: Field, session: str) -> bool:
    async with field.topology.open(field.lease) as store:
        info = await store.info(session)
        return info is not None and info.turns > 0


def _begins(command: Command, request: Request) -> bool:
    return command.name == "EVALSHA" and (request.turn_id or "").encode() in command.args
