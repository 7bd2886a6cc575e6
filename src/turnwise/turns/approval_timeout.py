"""A parked turn whose approvals came too late: whoever meets it first ends it as not approved."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from turnwise.call_pairs import open_calls, text_output
from turnwise.codec import Codec, DecodeError
from turnwise.errors import StoreError
from turnwise.hooks import TurnBegunEvent
from turnwise.journal_entries import ParkedEntry, decode_entries
from turnwise.turns import ends, errors
from turnwise.turns.block import block
from turnwise.turns.buffer import Savepoint
from turnwise.turns.ids import mint
from turnwise.turns.lease import CancelListener
from turnwise.turns.outcomes import StayParked
from turnwise.turns.runtime import Runtime
from turnwise.turns.shielding import resend_if_cancelled
from turnwise.turns.turn import Turn
from turnwise.types import Grant, Parked

_log = logging.getLogger("turnwise")

NOT_APPROVED = "This call was not approved in time, so it was not made."
"""The output, for later model calls, of a call that nobody decided about."""


async def end_if_expired(runtime: Runtime, session_id: str, turn_id: str) -> Parked | None:
    """End a parked turn whose approvals came too late; None if it is not parked any more.

    What it had finished is committed, with outputs that say that the rest was not approved.
    Raises StoreError.
    """
    status = await runtime.store.status(session_id, turn_id)
    if not isinstance(status, Parked):
        return None
    entry = _undecided_entry(runtime.codec, status.journal)
    if entry is None or not is_expired(entry):
        return replace(status, journal=[], expires_in=_expires_in(entry))
    token, sent = mint(), runtime.now()
    begin = partial(
        runtime.store.begin,
        session_id,
        turn_id,
        token,
        runtime.lease_ms,
        worker=runtime.name,
        resume=True,
    )
    grant = await resend_if_cancelled(begin)
    if isinstance(grant, Grant):
        runtime.emit(TurnBegunEvent.of(session_id, grant))
        turn = Turn(
            runtime,
            session_id,
            token,
            grant,
            snapshot=None,
            entries=[],
            sent=sent,
            cancel_listener=CancelListener(runtime.store, token),
            end_cancelled=ends.cancel,
            resumed=True,
        )
        return None if await _ended(turn) else replace(status, journal=[])
    return None


def _expires_in(entry: ParkedEntry | None) -> float:
    """Seconds until it expires."""
    expires_at = None if entry is None else entry.expires_at
    return math.inf if expires_at is None else max(0.0, expires_at - time.time())


def is_expired(entry: ParkedEntry) -> bool:
    """Whether a turn that was parked with this entry waits for its approvals in vain."""
    return entry.expires_at is not None and time.time() >= entry.expires_at


def _undecided_entry(codec: Codec, journal: Sequence[bytes]) -> ParkedEntry | None:
    """The entry that the turn is parked with. None if any of its approvals is decided.

    None also if it cannot be decoded: whoever resumes the turn gets that error, and all others
    that it is parked.
    """
    try:
        (last,) = decode_entries(codec, journal[-1:])
    except (DecodeError, ValueError):
        return None
    return last if isinstance(last, ParkedEntry) else None


async def _ended(turn: Turn) -> bool:
    """End it; False if that is not possible, and it stays parked."""
    try:
        async with block(turn, lambda *_: StayParked(0)):
            entry = _undecided_entry(turn.runtime.codec, turn.grant.journal)
            if entry is None or not is_expired(entry):  # somebody decided meanwhile
                await ends.end(turn, StayParked(0))
                return True
            turn.restore(Savepoint(entry.kept))
            await turn.add(_with_outputs(entry.items))
    except StoreError:
        raise
    except Exception as error:
        _log.warning(
            "turn %r of session %r was not approved in time and cannot be ended: %s",
            turn.turn_id,
            turn.session_id,
            errors.shown(error),
        )
        return False
    return True


def _with_outputs(items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
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
    return text_output(call, NOT_APPROVED)
