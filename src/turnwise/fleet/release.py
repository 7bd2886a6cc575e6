"""Taking a turn from its worker, for the next attempt."""

from __future__ import annotations

from functools import partial
from typing import Literal

from turnwise.turns import Runtime, mint, resend_if_cancelled
from turnwise.types import Info

ReleaseOutcome = Literal["released", "ended", "absent", "parked", "stopped"]


async def release_turn(
    runtime: Runtime, session_id: str, turn_id: str | None
) -> tuple[str, ReleaseOutcome]:
    """The turn's id, and what became of it. See `Session.release`."""
    info = await runtime.store.info(session_id)
    turn = info.open_turn if isinstance(info, Info) else None
    if turn is None or turn_id not in (None, turn.turn_id):
        return turn_id or "", "absent"
    if turn.state != "running":
        return turn.turn_id, turn.state
    # It names the attempt that was seen, so that it spares the next one.
    call = partial(runtime.store.release, attempt=turn.attempt)
    released = await resend_if_cancelled(partial(call, session_id, turn.turn_id, mint()))
    if not released:
        return turn.turn_id, "ended"
    await runtime.wake_workers(session_id)  # a hung worker may still keep their announcement
    return turn.turn_id, "released"
