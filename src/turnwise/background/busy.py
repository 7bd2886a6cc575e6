"""What a busy session means to a message: it waits behind the rest, is refused, or ends a turn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

from turnwise.turns import (
    BusyPolicy,
    Runtime,
    approval_pending,
    make_way,
    mint,
    session_busy,
    shielded,
)
from turnwise.types import Absent, Busy, Duplicate, Grant, Info, OpenTurn, Parked, Queued

_BRIEF_MS = 5000
"""For how long a free session is held at most while a message is put into its queue."""


@asynccontextmanager
async def placed(
    runtime: Runtime, session_id: str, turn_id: str, busy: BusyPolicy
) -> AsyncIterator[None]:
    """The block in which the message gets its place.

    Raises before it, with nothing queued, SessionBusy ("reject"), or ApprovalPending (that too, and
    "interrupt" and "rollback"). A message that was sent before is not refused, and one that is not
    waiting any more ends no turn.
    """
    if busy in ("wait", "enqueue"):
        yield
    elif busy == "reject":
        known = not isinstance(await runtime.store.status(session_id, turn_id), Absent)
        async with nullcontext() if known else _held_free(runtime, session_id):
            yield
    else:
        in_the_way = await _in_the_way(runtime, session_id, turn_id)
        yield
        if in_the_way is not None:
            await make_way(runtime, session_id, in_the_way.turn_id, busy, turn_id)


@asynccontextmanager
async def _held_free(runtime: Runtime, session_id: str) -> AsyncIterator[None]:
    """Hold the session, which must be free, as a turn does that adds nothing.

    So two messages that are not to wait never find the same session free, nor do a message and a
    turn.
    """
    turn_id, token, answer = mint(), mint(), None
    try:
        answer = await runtime.store.begin(
            session_id, turn_id, token, _hold(runtime), worker=runtime.name, one_shot=True
        )
        if isinstance(answer, Parked):
            raise approval_pending(session_id, answer)
        if isinstance(answer, Busy | Queued):
            raise session_busy(session_id, answer)
        yield
    finally:
        if answer is None or isinstance(answer, Grant):
            await shielded(runtime.abort(session_id, turn_id, token))


def _hold(runtime: Runtime) -> int:
    return min(_BRIEF_MS, runtime.settings.lease_ms)


async def _in_the_way(runtime: Runtime, session_id: str, turn_id: str) -> OpenTurn | None:
    """The turn to be ended: the one that runs now, unless it is the message's own."""
    status = await runtime.store.status(session_id, turn_id)
    if not isinstance(status, Absent | Queued | Duplicate):
        return None  # it runs, or waits for an approval
    if isinstance(status, Duplicate) and status.record is not None:
        return None
    found = await runtime.store.info(session_id)
    turn = found.open_turn if isinstance(found, Info) else None
    if turn is not None and turn.state == "parked":
        raise approval_pending(session_id, Parked(turn.turn_id))
    return turn
