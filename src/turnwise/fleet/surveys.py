"""All sessions, seen at once: sums, and the largest ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict, get_args

from turnwise.errors import UsageError
from turnwise.fleet.listing import list_sessions
from turnwise.turns import Runtime, check_count
from turnwise.types import NO_USAGE, SessionState, SessionSummary, TokenUsage

Measure = Literal["bytes", "items", "queued", "tokens"]
_LOOK_AT = 500
_MOST = 10_000


class Filters(TypedDict, total=False):
    """Which sessions; see `Session.sessions`."""

    state: SessionState | None
    worker: str | None
    owner: str | None
    min_age: float | None
    min_bytes: int | None


@dataclass
class SessionStats:
    """Sums over sessions.

    Attributes:
        sessions: How many there are.
        states: How many are in each state; see `SessionSummary`.
        items, bytes, queued: Of all of them.
        usage: What their turns consumed.
        oldest, newest: When the history changed last of the one that is idle longest, and of the
            one that changed last, in POSIX seconds; None without sessions.
    """

    sessions: int = 0
    states: dict[SessionState, int] = field(default_factory=dict)
    items: int = 0
    bytes: int = 0
    queued: int = 0
    usage: TokenUsage = NO_USAGE
    oldest: float | None = None
    newest: float | None = None


async def survey(
    runtime: Runtime, match: str, filters: dict[str, Any]
) -> AsyncIterator[SessionSummary]:
    """The sessions that filters find, page after page."""
    every: dict[str, Any] = dict.fromkeys(Filters.__annotations__)
    cursor: str | None = None
    while True:
        page = await list_sessions(
            runtime, match, **{**every, **filters}, cursor=cursor, count=_LOOK_AT
        )
        for found in page.sessions:
            yield found
        if (cursor := page.cursor) is None:
            return


async def stats(runtime: Runtime, match: str, filters: dict[str, Any]) -> SessionStats:
    """See `Session.stats`."""
    total, states = SessionStats(), Counter[SessionState]()
    async for found in survey(runtime, match, filters):
        total.sessions += 1
        states[found.state] += 1
        total.items += found.items
        total.bytes += found.bytes
        total.queued += found.queued
        total.usage += found.usage
        if (at := found.updated_at) is not None:
            total.oldest = at if total.oldest is None else min(at, total.oldest)
            total.newest = at if total.newest is None else max(at, total.newest)
    total.states = dict(states)
    return total


async def biggest(
    runtime: Runtime, match: str, count: int, by: Measure, filters: dict[str, Any]
) -> list[SessionSummary]:
    """See `Session.biggest`."""
    check_count("count", count, most=_MOST)
    if by not in get_args(Measure):
        raise UsageError(f"by={by!r}: use one of {', '.join(get_args(Measure))}")
    kept: dict[str, SessionSummary] = {}

    def largest() -> list[SessionSummary]:
        return sorted(kept.values(), key=lambda found: -_size(found, by))[:count]

    async for found in survey(runtime, match, filters):
        kept[found.session_id] = found  # one may come twice
        if len(kept) >= 2 * count + _LOOK_AT:
            kept = {each.session_id: each for each in largest()}
    return largest()


def _size(found: SessionSummary, by: Measure) -> int:
    if by == "tokens":
        return found.usage.input_tokens + found.usage.output_tokens
    size: int = getattr(found, by)
    return size
