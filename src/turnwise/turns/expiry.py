"""A turn that waited for its approvals for too long: whoever meets it ends it as not approved."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from turnwise.call_pairs import open_calls, output_saying
from turnwise.codec import Codec, DecodeError
from turnwise.errors import StoreError
from turnwise.hooks import TurnBegunEvent, TurnCommittedEvent, TurnLostEvent
from turnwise.journal_entries import ParkedEntry, decode_entries
from turnwise.turns import errors
from turnwise.turns.ids import mint
from turnwise.turns.runtime import Runtime
from turnwise.turns.shielding import resend_if_cancelled
from turnwise.types import Done, Grant, Parked

_log = logging.getLogger("turnwise")

NOT_APPROVED = "This call was not approved in time, so it was not made."
"""What the model is told later of a call that nobody decided about."""


async def expired(runtime: Runtime, session_id: str, turn_id: str) -> bool:
    """End the turn that waits, if it has waited too long; whether it does not wait any more.

    What it had finished becomes history, with outputs that say that the rest was not approved.
    """
    status = await runtime.store.status(session_id, turn_id)
    if not isinstance(status, Parked):
        return True
    if _overdue(runtime.codec, status.journal) is None:
        return False
    token, began = mint(), runtime.now()
    lease = math.ceil(runtime.settings.lease * 1000)
    answer = await resend_if_cancelled(
        lambda: runtime.store.begin(
            session_id, turn_id, token, lease, worker=runtime.name, resume=True
        )
    )
    if isinstance(answer, Grant):
        runtime.emit(TurnBegunEvent.of(session_id, answer))
        end = partial(_end, runtime, session_id, token, answer, mint(), began)
        return await resend_if_cancelled(end)
    return True


def is_over(entry: ParkedEntry) -> bool:
    """Whether what waits by this entry of a journal has waited too long."""
    return entry.expires_at is not None and time.time() >= entry.expires_at


def _overdue(codec: Codec, journal: Sequence[bytes]) -> ParkedEntry | None:
    """The entry with which the turn waits in vain. None if it has time, or anything is decided.

    Or if it cannot be decoded: who resumes the turn is told of it, everybody else that it waits.
    """
    try:
        (last,) = decode_entries(codec, journal[-1:])
    except (DecodeError, ValueError):
        return None
    return last if isinstance(last, ParkedEntry) and is_over(last) else None


async def _end(
    runtime: Runtime, session_id: str, token: str, grant: Grant, commit_id: str, began: float
) -> bool:
    """False if the turn cannot be ended so, whatever the reason: it waits again."""
    names = (session_id, grant.turn_id)
    try:
        committed = await _committed(runtime, session_id, token, grant, commit_id)
    except Exception as error:
        runtime.emit(TurnLostEvent(*names, type(error).__name__, runtime.now() - began))
        if isinstance(error, StoreError):
            raise
        told = *names, errors.shown(error)
        _log.warning("session %r: turn %r waited too long, and cannot be ended: %s", *told)
        await runtime.release(*names, token, counted=False)
        return False
    seconds = runtime.now() - began
    if isinstance(committed, str):
        runtime.emit(TurnLostEvent(*names, committed, seconds))
    else:
        runtime.emit(TurnCommittedEvent(*names, len(committed), sum(map(len, committed)), seconds))
    return True


async def _committed(
    runtime: Runtime, session_id: str, token: str, grant: Grant, commit_id: str
) -> list[bytes] | str:
    """What became history, or the name of what kept it from that."""
    names = (session_id, grant.turn_id)
    entry = _overdue(runtime.codec, grant.journal)
    if entry is None:  # somebody was quicker
        await runtime.store.release(*names, token)
        return "ApprovalPending"
    texts = runtime.writer.texts(session_id, _unapproved(entry.items))
    packed = [runtime.codec.pack(text) for text in texts]
    keep = entry.kept if entry.kept < grant.items else None
    runtime.reader.cache.drop(session_id)
    answer = await runtime.store.commit(*names, token, grant.tip, commit_id, packed, keep=keep)
    return packed if isinstance(answer, Done) else type(answer).__name__


def _unapproved(items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The items, each call among them with an output."""
    outputs = (_output(call) for call in open_calls(items))
    return [*items, *(output for output in outputs if output is not None)]


def _output(call: Any) -> dict[str, Any] | None:
    if call.get("type") == "mcp_approval_request":
        return {
            "type": "mcp_approval_response",
            "approval_request_id": call.get("id"),
            "approve": False,
            "reason": NOT_APPROVED,
        }
    return output_saying(call, NOT_APPROVED)
