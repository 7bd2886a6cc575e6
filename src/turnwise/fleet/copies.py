"""Copying a session up to a turn, and taking one back to a turn: one atomic commit each."""

from __future__ import annotations

from functools import partial

from turnwise.codec.elements import is_item, marker, parse_record
from turnwise.errors import HistoryChanged, SessionExists, StoreUnavailable, UsageError
from turnwise.turns import (
    Runtime,
    check_session_id,
    check_turn_id,
    mint,
    resend_if_cancelled,
    session_busy,
    session_suspended,
    session_taken,
    session_too_large,
    unknown_change,
)
from turnwise.types import Absent, Busy, Done, Full, History, Parked, Stale, Stopped, Taken


async def copy_session(runtime: Runtime, session_id: str, new_id: str, at: str | None) -> int:
    """See `Session.copy`."""
    check_session_id(new_id)
    history = await _read(runtime, session_id)
    end = len(history.elements) if at is None else _end_of(session_id, history, at)
    elements = history.elements[:end]
    if not elements:
        raise UsageError("it has no history that could be copied", session_id=session_id)
    # The copy is the owner's too, whoever makes it.
    store = runtime.for_owner(history.owner).store
    restore = partial(store.restore, new_id, None, elements)
    try:
        answer = await resend_if_cancelled(restore)
    except StoreUnavailable as error:
        raise unknown_change(new_id, error) from error
    if isinstance(answer, Stale):
        raise SessionExists(
            "it has a history of its own, which a copy would replace; nothing was written. Choose "
            "another id, or delete it first",
            session_id=new_id,
        )
    check_done(new_id, answer)
    return sum(map(is_item, elements))


async def rewind(runtime: Runtime, session_id: str, to: str | None) -> int:
    """See `Session.rewind`."""
    history = await _read(runtime, session_id)
    end = 0 if to is None else _end_of(session_id, history, to)
    keep = sum(map(is_item, history.elements[:end]))
    if keep == history.items:
        return 0
    replace = partial(runtime.store.replace, session_id, mint(), history.tip, keep, [])
    try:
        answer = await resend_if_cancelled(replace)
    except StoreUnavailable as error:
        raise unknown_change(session_id, error) from error
    runtime.reader.cache.drop(session_id)
    if isinstance(answer, Stale | Absent):
        raise HistoryChanged(
            "its history changed meanwhile, so it was not taken back. Look at it, and try again",
            session_id=session_id,
        )
    check_done(session_id, answer)
    return history.items - keep


async def _read(runtime: Runtime, session_id: str) -> History:
    history = await runtime.store.read(session_id)
    if isinstance(history, Absent):
        raise UsageError("there is no such session", session_id=session_id)
    return history


def _end_of(session_id: str, history: History, turn_id: str) -> int:
    """How many elements the history had when the turn had ended. Raises UsageError."""
    check_turn_id(session_id, turn_id)
    elements, wanted = history.elements, marker(turn_id)
    for place in range(len(elements) - 2, -1, -1):
        if elements[place] == wanted:
            has_items = place > 0 and is_item(elements[place - 1])
            if parse_record(elements[place + 1]).items and not has_items:
                break
            return place + 2
    raise UsageError(
        f"its history has no turn {turn_id!r}, or not any more; session.history() has the turns",
        session_id=session_id,
    )


def check_done(
    session_id: str, answer: Done | Busy | Parked | Stopped | Full | Stale | Taken
) -> None:
    """Raise the error for a change that was not made."""
    if isinstance(answer, Busy):
        raise session_busy(session_id, answer)
    if isinstance(answer, Parked | Stopped):
        raise session_suspended(session_id, answer)
    if isinstance(answer, Full):
        raise session_too_large(session_id, answer.limit)
    if isinstance(answer, Taken):
        raise session_taken(session_id)
    assert isinstance(answer, Done), answer
