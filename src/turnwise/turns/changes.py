"""Changes between turns: each is a small turn of its own, in one call on a free session."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import partial
from typing import Any, TypeVar

from turnwise.cache import Item
from turnwise.codec import DecodeError
from turnwise.errors import StoreUnavailable
from turnwise.turns import errors
from turnwise.turns.begin import begin_turn
from turnwise.turns.block import block
from turnwise.turns.ids import check_session_id, mint
from turnwise.turns.runtime import Runtime
from turnwise.turns.shielding import resend_if_cancelled
from turnwise.types import Absent, Done, Full, Stale

T = TypeVar("T")


async def add_items(runtime: Runtime, session_id: str, items: Iterable[Mapping[str, Any]]) -> None:
    """Add items at the end, all or none. Waits while a turn runs.

    Raises:
        InvalidItem, LimitError: none was added.
        ApprovalPending, SessionStopped, BusyTimeout: the session's turn did not end in time.
        OutcomeUnknown: the store did not acknowledge the change.
        StoreError: the store refused.
    """
    check_session_id(session_id)
    items = list(items)
    raw = runtime.raw(session_id, items)
    if not raw:
        return
    elements = list(map(runtime.codec.pack, raw))
    answer = await _changed(session_id, partial(runtime.store.append, session_id, mint(), elements))
    if isinstance(answer, Full):
        raise errors.session_too_large(session_id, answer.limit)
    if not isinstance(answer, Done):
        async with block(await begin_turn(runtime, session_id)) as turn:
            await turn.add(items)


async def pop_item(runtime: Runtime, session_id: str) -> Item | None:
    """Remove and return the last item; None if there is none. Waits while a turn runs.

    Raises UndecodableItem, and what `add_items` raises.
    """
    check_session_id(session_id)
    while True:
        snapshot = await runtime.reader.snapshot(session_id, 1)
        if snapshot is None or not len(snapshot):
            return None
        try:
            last = snapshot.copies(1)[0]
        except DecodeError as error:
            raise await runtime.reader.located(session_id, error) from None
        pop = partial(runtime.store.pop, session_id, mint(), snapshot.tip)
        answer = await _changed(session_id, pop)
        if isinstance(answer, Stale | Absent):
            continue
        if isinstance(answer, Done):
            return last
        async with block(await begin_turn(runtime, session_id)) as turn:
            return await turn.pop()


async def clear_items(runtime: Runtime, session_id: str) -> None:
    """Remove all items. Waits while a turn runs. Raises what `add_items` raises."""
    check_session_id(session_id)
    answer = await _changed(session_id, partial(runtime.store.clear, session_id, mint()))
    if not isinstance(answer, Absent | Done):
        async with block(await begin_turn(runtime, session_id)) as turn:
            await turn.clear()


async def _changed(session_id: str, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """The store's answer. If it is busy or parked, the caller begins a turn: that waits, or raises.

    Raises OutcomeUnknown.
    """
    try:
        return await resend_if_cancelled(call)
    except StoreUnavailable as error:
        raise errors.unknown_change(session_id, error) from error
