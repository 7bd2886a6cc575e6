"""Where a turn stands, in words: for the errors of those who wait for it."""

from __future__ import annotations

from datetime import UTC, datetime

from turnwise.errors import StoreError
from turnwise.turns.runtime import Runtime
from turnwise.types import Parked, Queued, Running, Stopped

_ATTENTIVE_MS = 10_000
"""A worker that has room for a turn asks for messages at least once a second; where it writes that
down, every 5 seconds."""


async def standing(runtime: Runtime, session_id: str, turn_id: str) -> str:
    """Where the turn stands now. Never raises for the store."""
    try:
        status = await runtime.store.status(session_id, turn_id)
        if isinstance(status, Queued):
            looked = await _last_look(runtime, session_id)
            since = f"for {status.waiting_ms / 1000:.0f} s"
            return f"turn {turn_id!r} is queued {since}, behind {status.position} others; {looked}"
    except StoreError as error:
        return f"the store does not say where turn {turn_id!r} stands ({type(error).__name__})"
    if isinstance(status, Running):
        return await _running(runtime, session_id, status)
    if isinstance(status, Parked):
        return f"turn {turn_id!r} is parked until its approvals are decided"
    if isinstance(status, Stopped):
        return f"its session is stopped at turn {turn_id!r}, whose message failed for good"
    return f"turn {turn_id!r} is not open any more"


async def _running(runtime: Runtime, session_id: str, status: Running) -> str:
    turn = f"turn {status.turn_id!r}"
    if status.retry_in_ms > 0:
        return (
            f"attempt {status.attempt} of {turn} failed; the next one begins in "
            f"{status.retry_in_ms / 1000:.1f} s"
        )
    if status.remaining_ms > 0:
        return (
            f"{turn} runs on worker {status.worker!r} (attempt {status.attempt}); its lease "
            f"expires in {status.remaining_ms / 1000:.1f} s unless renewed"
        )
    left = f"worker {status.worker!r} died or gave {turn} back, and nobody has continued it"
    return f"{left}; {await _last_look(runtime, session_id)}" if status.background else left


async def _last_look(runtime: Runtime, session_id: str) -> str:
    ago_ms = await runtime.store.ready.last_claim(session_id)
    if ago_ms is None:
        return "no worker is known to look for messages in this store, under this prefix"
    if ago_ms > _ATTENTIVE_MS:
        at = datetime.now(UTC).timestamp() - ago_ms / 1000
        since = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return f"no worker has looked for messages since {since}: none runs, or all are busy"
    return "workers look for messages: they are busy, or none of them knows its agent"
