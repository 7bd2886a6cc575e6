"""A turn that waited for its approvals for too long: whoever meets it ends it as not approved."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from turnwise.hooks import TurnBegun, TurnCommitted, TurnLost
from turnwise.pairs import open_calls, output_saying
from turnwise.turns.equipment import Equipment
from turnwise.turns.ids import mint
from turnwise.turns.shield import settled
from turnwise.types import Done, Grant, Waiting

NOT_APPROVED = "This call was not approved in time, so it was not made."
"""What the model is told later of a call that nobody decided about."""


async def expired(worker: Equipment, session_id: str, turn_id: str) -> bool:
    """End the turn that waits, if it has waited too long; whether it does not wait any more.

    What it had finished becomes history, with outputs that say that the rest was not approved.
    """
    status = await worker.store.status(session_id, turn_id)
    if not isinstance(status, Waiting):
        return True
    if _overdue(worker.codec.decode_many(status.journal)) is None:
        return False
    token, began = mint(), worker.now()
    lease = math.ceil(worker.settings.lease * 1000)
    answer = await settled(
        lambda: worker.store.begin(
            session_id, turn_id, token, lease, worker=worker.name, resume=True
        )
    )
    if isinstance(answer, Grant):
        worker.tell(TurnBegun.of(session_id, answer))
        await settled(partial(_end, worker, session_id, token, answer, mint(), began))
    return True


def is_over(entry: Mapping[str, Any]) -> bool:
    """Whether what waits by this entry of a journal has waited too long."""
    until = entry.get("until")
    return until is not None and time.time() >= until


def _overdue(entries: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The entry with which the turn waits in vain. None if it has time, or anything is decided."""
    last = entries[-1] if entries else {}
    return last if last.get("k") == "park" and is_over(last) else None


async def _end(
    worker: Equipment, session_id: str, token: str, grant: Grant, commit_id: str, began: float
) -> None:
    names = (session_id, grant.turn_id)
    try:
        committed = await _committed(worker, session_id, token, grant, commit_id)
    except Exception as error:
        worker.tell(TurnLost(*names, type(error).__name__, worker.now() - began))
        raise
    seconds = worker.now() - began
    if isinstance(committed, str):
        worker.tell(TurnLost(*names, committed, seconds))
    else:
        worker.tell(TurnCommitted(*names, len(committed), sum(map(len, committed)), seconds))


async def _committed(
    worker: Equipment, session_id: str, token: str, grant: Grant, commit_id: str
) -> list[bytes] | str:
    """What became history, or the name of what kept it from that."""
    names = (session_id, grant.turn_id)
    entry = _overdue(worker.codec.decode_many(grant.journal))
    if entry is None:  # somebody was quicker
        await worker.store.release(*names, token)
        return "SessionWaiting"
    texts = worker.writer.texts(session_id, _unapproved(entry["items"]))
    packed = [worker.codec.pack(text) for text in texts]
    keep = entry["kept"] if entry["kept"] < grant.items else None
    worker.reader.cache.drop(session_id)
    answer = await worker.store.commit(*names, token, grant.tip, commit_id, packed, keep=keep)
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
