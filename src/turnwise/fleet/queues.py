"""What waits in a session's queue."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from turnwise.background.message import Message, decode_message
from turnwise.errors import UnreadableMessage
from turnwise.limits import READ_LIMIT
from turnwise.turns import Runtime, check_count
from turnwise.types import QueueEntry


@dataclass(frozen=True, slots=True)
class QueuedEntry:
    """A message, or a caller that waits for its turn.

    Attributes:
        turn_id: Its turn.
        kind: "message", or "caller".
        waiting_for: Seconds since it came.
        attempts: How many attempts failed, died, or run now.
        worker: The caller's process.
        agent: The agent that the message names; "" if the message cannot be read.
        input: The message's input.
        metadata: The message's metadata.
    """

    turn_id: str
    kind: Literal["message", "caller"]
    waiting_for: float
    attempts: int
    worker: str
    agent: str
    input: Any = field(repr=False)
    metadata: Mapping[str, Any] = field(repr=False)


async def queue_of(runtime: Runtime, session_id: str, count: int) -> list[QueuedEntry]:
    """See `Session.queue`."""
    check_count("count", count, most=READ_LIMIT)
    return [_decoded(runtime, entry) for entry in await runtime.store.queue(session_id, count)]


def _decoded(runtime: Runtime, entry: QueueEntry) -> QueuedEntry:
    message = Message("", "")
    if entry.kind == "message":
        with suppress(UnreadableMessage):  # its agent is "": a worker makes a dead letter of it
            message = decode_message(runtime.codec, entry.content)
    return QueuedEntry(
        entry.turn_id,
        entry.kind,
        entry.waiting_ms / 1000,
        entry.attempts + message.earlier_attempts,
        entry.worker,
        message.agent,
        message.input,
        message.metadata,
    )
