"""Removing one item of a session's history."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from turnwise.codec.elements import is_item
from turnwise.errors import HistoryChanged, StoreUnavailable
from turnwise.fleet.copies import check_done
from turnwise.turns import Runtime, mint, resend_if_cancelled, unknown_change
from turnwise.types import Absent, Stale

_ATTEMPTS = 5


async def remove_item(
    runtime: Runtime, session_id: str, place_in: Callable[[list[dict[str, Any]]], int]
) -> None:
    """Remove the item at the place that the function says; nothing without a session.

    It is asked again if the history has changed meanwhile.

    Raises:
        HistoryChanged: It changes all the time.
        SessionBusy, ApprovalPending, SessionStopped: A turn is open.
        OutcomeUnknown: It may or may not be removed.
    """
    for _ in range(_ATTEMPTS):
        history = await runtime.store.read(session_id)
        if isinstance(history, Absent):
            return
        elements = [element for element in history.elements if is_item(element)]
        place = place_in(runtime.codec.decode_many(elements))
        base, rest = history.tip, elements[place + 1 :]
        replace = partial(runtime.store.replace, session_id, mint(), base, place, rest)
        try:
            answer = await resend_if_cancelled(replace)
        except StoreUnavailable as error:
            raise unknown_change(session_id, error) from error
        runtime.reader.cache.drop(session_id)
        if not isinstance(answer, Stale | Absent):
            check_done(session_id, answer)
            return
    raise HistoryChanged("its history changes all the time", session_id=session_id)
