"""Into the queue: announced first, so that a worker looks for it whatever happens to us."""

from __future__ import annotations

from functools import partial

from turnwise.errors import OutcomeUnknown, StoreUnavailable, TurnIdReused
from turnwise.turns import Runtime, queue_full, resend_if_cancelled
from turnwise.types import Accepted, Busy, Duplicate, Full, Late


async def enqueue(
    runtime: Runtime, session_id: str, turn_id: str, content: bytes, again: str | None = None
) -> Accepted | Duplicate:
    """Announce and submit, until it is in time. Raises QueueFull, TurnIdReused, OutcomeUnknown."""
    store = runtime.store
    while True:
        try:
            intent = await store.ready.announce(session_id, turn_id)
            send = partial(store.submit, session_id, turn_id, content, intent, retry_of=again)
            answer = await resend_if_cancelled(send)
        except StoreUnavailable as error:
            raise OutcomeUnknown(
                f"the store stopped run_attempt before it acknowledged message {turn_id!r}, which "
                "may be in the queue or not. Submit it again with the same turn_id",
                session_id=session_id,
            ) from error
        if isinstance(answer, Full):
            raise queue_full(session_id, answer.limit)
        if isinstance(answer, Busy):
            raise TurnIdReused(
                f"turn {turn_id!r} is open as a direct turn (of worker {answer.worker!r}), so no "
                "message of this id was queued. Choose another turn_id for the message",
                session_id=session_id,
            )
        if not isinstance(answer, Late):
            return answer
