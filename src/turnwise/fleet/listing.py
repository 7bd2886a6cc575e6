"""Listing sessions, a part at a time, by what their headers say."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import get_args

from turnwise.errors import UsageError
from turnwise.turns import Runtime, check_count, check_number
from turnwise.types import SessionPage, SessionState, SessionSummary

_MOST = 10_000
Wanted = Callable[[SessionSummary], bool]


async def list_sessions(
    runtime: Runtime,
    match: str,
    *,
    state: SessionState | None,
    worker: str | None,
    owner: str | None,
    min_age: float | None,
    min_bytes: int | None,
    cursor: str | None,
    count: int,
) -> SessionPage:
    """See `Session.sessions`."""
    check_count("count", count, most=_MOST)
    runtime.for_owner(owner)  # which raises if the caller may not ask for them
    wanted = _filter(state, worker, owner, min_age, min_bytes)
    page = await runtime.store.page(match, cursor, count)
    return replace(page, sessions=list(filter(wanted, page.sessions)))


def _filter(
    state: SessionState | None,
    worker: str | None,
    owner: str | None,
    min_age: float | None,
    min_bytes: int | None,
) -> Wanted:
    if state is not None and state not in get_args(SessionState):
        raise UsageError(f"state={state!r}: use one of {', '.join(get_args(SessionState))}")
    if min_age is not None:
        check_number("min_age", min_age)
    if min_bytes is not None:
        check_number("min_bytes", min_bytes)
    latest = None if min_age is None else time.time() - min_age

    def wanted(found: SessionSummary) -> bool:
        holder = found.open_turn.worker if found.open_turn else None
        updated = found.updated_at
        return (
            (state is None or found.state == state)
            and (worker is None or holder == worker)
            # By the header, and not by the owner's index: operators look at each session.
            and (owner is None or found.owner == owner)
            and (latest is None or (updated is not None and updated <= latest))
            and (min_bytes is None or found.bytes >= min_bytes)
        )

    return wanted
