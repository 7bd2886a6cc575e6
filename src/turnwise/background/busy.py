"""What a busy session means for a new message: queue it, refuse it, or cancel the running turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from functools import partial

from turnwise.codec.elements import MARKER, marker, parse_record
from turnwise.errors import HistoryChanged
from turnwise.turns import (
    BusyPolicy,
    Runtime,
    make_way,
    mint,
    session_busy,
    session_suspended,
    shielded,
)
from turnwise.types import (
    Absent,
    Busy,
    Duplicate,
    Grant,
    History,
    Info,
    OpenTurn,
    Parked,
    Queued,
    Stopped,
)

_LAST_ELEMENTS = 8
_HOLD_MS = 5000
"""The longest lease on a free session while a message is put into its queue."""
_LONGEST_HOLD, _HOLD_PAUSE = 0.5, 0.02
"""Seconds for which somebody else's lease may be such a one, and between two looks at it."""


@asynccontextmanager
async def make_room(
    runtime: Runtime, session_id: str, turn_id: str, busy: BusyPolicy, after: str | None = None
) -> AsyncIterator[None]:
    """The block that queues the message. `after`: the turn that the history has to end with.

    Before the block, with nothing queued, it raises SessionBusy ("reject"), or ApprovalPending or
    SessionStopped ("reject", "interrupt", "rollback"). A message that was submitted before is not
    refused; one that is no longer queued cancels no turn. HistoryChanged: not `after` that turn.
    """
    if busy in ("wait", "enqueue"):
        yield
    elif busy == "reject":
        free = _lease_on_free_session(runtime, session_id, turn_id)
        known = await _is_known(runtime, session_id, turn_id)
        async with nullcontext(False) if known else free as is_held:
            if after is not None and is_held:
                await _check_ends_with(runtime, session_id, after)
            yield
    else:
        running = await _turn_to_cancel(runtime, session_id, turn_id)
        yield
        if running is not None:
            await make_way(runtime, session_id, running.turn_id, busy, turn_id)


@asynccontextmanager
async def _lease_on_free_session(
    runtime: Runtime, session_id: str, turn_id: str
) -> AsyncIterator[bool]:
    """Hold the lease of the session, which must be free, by a turn that adds nothing.

    So of two messages with "reject", or of a message and a turn, only one finds the session free.
    The same message, sent twice at once, is not in its own way: False, if it has been queued.
    """
    own, token, answer = mint(), mint(), None
    lease = min(_HOLD_MS, runtime.lease_ms)
    begin = partial(
        runtime.store.begin, session_id, own, token, lease, worker=runtime.name, one_shot=True
    )
    deadline = runtime.now() + _LONGEST_HOLD
    try:
        while isinstance(answer := await begin(), Busy | Queued):
            if await _is_known(runtime, session_id, turn_id):
                yield False
                return
            if answer.remaining_ms > _HOLD_MS or runtime.now() > deadline:
                raise session_busy(session_id, answer)
            await asyncio.sleep(_HOLD_PAUSE)  # it may be held for this message
        if isinstance(answer, Parked | Stopped):
            raise session_suspended(session_id, answer)
        yield True
    finally:
        if answer is None or isinstance(answer, Grant):
            await shielded(partial(runtime.abort, session_id, own, token))


async def _is_known(runtime: Runtime, session_id: str, turn_id: str) -> bool:
    return not isinstance(await runtime.store.status(session_id, turn_id), Absent)


async def _check_ends_with(runtime: Runtime, session_id: str, turn_id: str) -> None:
    """Raise HistoryChanged unless this turn is the last one that added anything."""
    count = _LAST_ELEMENTS
    while True:
        history = await runtime.store.read(session_id, None, count)
        ends = None if isinstance(history, Absent) else _ends_with(history, turn_id)
        if ends:
            return
        if isinstance(history, Absent) or ends is False or not history.start:
            raise HistoryChanged(
                f"its history does not end with turn {turn_id!r}; nothing was queued",
                session_id=session_id,
            )
        count *= 8


def _ends_with(history: History, turn_id: str) -> bool | None:
    """None if what was read of the history does not tell."""
    elements = history.elements
    for place in range(len(elements) - 2, -1, -1):
        if elements[place] == marker(turn_id):
            return True
        if elements[place][:1] == MARKER and parse_record(elements[place + 1]).items:
            return False
    return None


async def _turn_to_cancel(runtime: Runtime, session_id: str, turn_id: str) -> OpenTurn | None:
    """The session's open turn, unless the message has been taken from the queue already."""
    status = await runtime.store.status(session_id, turn_id)
    if not isinstance(status, Absent | Queued | Duplicate):
        return None  # it runs, or is parked
    if isinstance(status, Duplicate) and status.record is not None:
        return None
    found = await runtime.store.info(session_id)
    turn = found.open_turn if isinstance(found, Info) else None
    if turn is not None and turn.state == "parked":
        raise session_suspended(session_id, Parked(turn.turn_id))
    if turn is not None and turn.state == "stopped":
        raise session_suspended(session_id, Stopped(turn.turn_id))
    return turn
