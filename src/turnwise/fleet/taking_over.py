"""Histories from elsewhere become sessions: whole, in one commit each, and never over another one.

A history is told by its commit ids: what a session has of it already is not written again, so that
an import can be repeated, and goes on where it was interrupted.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, Protocol

from turnwise.codec.elements import RECORD
from turnwise.errors import LimitError, NewerFormat, NotASession, StoreUnavailable, TurnError
from turnwise.fleet.audit import Deed
from turnwise.fleet.copies import check_done
from turnwise.turns import Runtime, resend_if_cancelled, unknown_change
from turnwise.types import NO_USAGE, Base, History, Stale, TokenUsage

ImportOutcome = Literal["imported", "continued", "unchanged", "exists", "expired", "refused"]


@dataclass(frozen=True, slots=True)
class ImportedSession:
    """What became of one session of an import.

    Attributes:
        session_id: Its id.
        outcome: "imported". "continued": an earlier import is in it, and what has come since was
            added. "unchanged": all of it is there already. "exists": the session has another
            history, and was left as it is. "expired": its time is over. "refused": see `error`.
        turns, items: How many were written, or in a dry run would be.
        notes: What is remarkable in the source: calls without outputs, say.
        error: Why it was refused.
    """

    session_id: str
    outcome: ImportOutcome
    turns: int = 0
    items: int = 0
    notes: tuple[str, ...] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Turns:
    """Whole turns in their stored form, and what comes with them."""

    elements: Sequence[bytes] = field(repr=False)
    turns: int
    items: int
    usage: TokenUsage = NO_USAGE


class Source(Protocol):
    """A history that is to become a session.

    Attributes:
        session_id: the session.
        created_ms: when it was created; 0 for now.
        expires_at: when it expires, in POSIX seconds; None for never.
        notes: see ImportedSession.
        last_commit_id: its last one; a session that has it has all of it.
    """

    session_id: str
    last_commit_id: str
    created_ms: int
    expires_at: float | None
    notes: tuple[str, ...]

    def behind(self, tip: Base | None) -> Turns | None:
        """What follows this history, which may be all; None if that is no beginning of this one.

        `tip` is None for a session without a commit.
        """


async def recorded_import(
    audit: AbstractAsyncContextManager[Deed], outcomes: AsyncIterator[ImportedSession]
) -> AsyncIterator[ImportedSession]:
    """The outcomes of an import, which its record counts. One record: there may be a million.

    Of an import that is left before its end, the outcome stays unknown.
    """
    counts: Counter[str] = Counter()
    async with audit as deed:
        async for each in outcomes:
            counts[each.outcome] += 1
            yield each
        told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
        deed.outcome = told or "nothing"


async def take_over(runtime: Runtime, source: Source, *, dry_run: bool) -> ImportedSession:
    """Make a source a session, or let it be. Raises StoreError if the store fails."""
    told = partial(ImportedSession, source.session_id, notes=source.notes)
    left = None if source.expires_at is None else source.expires_at - time.time()
    if left is not None and left <= 0:
        return told("expired")
    try:
        tip = await _tip(runtime, source.session_id)
        new = source.behind(tip)
        if new is None:
            return told("unchanged" if await _went_on(runtime, source) else "exists")
        if not new.turns:
            return told("unchanged")
        if not dry_run and not await _restore(runtime, source, tip, new):
            return told("exists")
    except (LimitError, NewerFormat, NotASession, TurnError) as error:
        return told("refused", error=str(error))
    if left is not None and not dry_run:
        await runtime.store.expire(source.session_id, max(1, int(left * 1000)))
    return told("imported" if tip is None else "continued", new.turns, new.items)


async def _tip(runtime: Runtime, session_id: str) -> Base | None:
    history = await runtime.store.read(session_id, None, 1)
    return history.tip if isinstance(history, History) and history.tip.position else None


async def _went_on(runtime: Runtime, source: Source) -> bool:
    """Whether the session has all of the source, and turns of its own behind it."""
    history = await runtime.store.read(source.session_id)
    record = RECORD + source.last_commit_id.encode() + b" "
    elements = history.elements if isinstance(history, History) else []
    return any(element.startswith(record) for element in elements)


async def _restore(runtime: Runtime, source: Source, tip: Base | None, new: Turns) -> bool:
    """False if the session has another history by now."""
    restore = partial(
        runtime.store.restore,
        source.session_id,
        tip,
        new.elements,
        created_ms=source.created_ms,
        usage=new.usage,
    )
    try:
        answer = await resend_if_cancelled(restore)
    except StoreUnavailable as error:
        raise unknown_change(source.session_id, error) from error
    if isinstance(answer, Stale):
        return False
    check_done(source.session_id, answer)
    return True
