"""The approvals of all sessions that somebody has to decide."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from turnwise.approvals import find_parked
from turnwise.errors import NewerFormat, NotASession, UndecodableJournal
from turnwise.turns import Runtime, all_sessions, is_expired
from turnwise.types import PendingApproval


@dataclass(frozen=True, slots=True)
class WaitingApproval:
    """A tool call that asks to be approved.

    Attributes:
        session_id: Its session.
        since: Since when its turn is parked, in POSIX seconds.
        approval: The call; its `id` is what `decide` takes.
    """

    session_id: str
    since: float | None
    approval: PendingApproval


async def waiting_approvals(runtime: Runtime, match: str) -> AsyncIterator[WaitingApproval]:
    """See `Session.waiting_approvals`."""
    async for found in all_sessions(runtime.store, match):
        if found.state == "parked":
            for approval in await _pending(runtime, found.session_id):
                yield WaitingApproval(found.session_id, found.since, approval)


async def _pending(runtime: Runtime, session_id: str) -> list[PendingApproval]:
    """None of a turn that this version cannot read: `stuck` shows that it is parked."""
    try:
        parked = await find_parked(runtime, session_id)
    except (NewerFormat, NotASession, UndecodableJournal):
        return []
    return [] if parked is None or is_expired(parked.entry) else parked.pending
