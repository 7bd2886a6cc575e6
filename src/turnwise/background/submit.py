"""Submitting a message: announce it, then put it into its session's queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from turnwise import hooks
from turnwise.background.busy import make_room
from turnwise.background.client_tools import checked_tools
from turnwise.background.message import Message, stored_form
from turnwise.codec import MAX_RAW, EncodedTooLarge, EncodeError
from turnwise.durable.digests import input_digest
from turnwise.errors import (
    InvalidItem,
    OutcomeUnknown,
    StoreUnavailable,
    TurnIdReused,
    TurnTooLarge,
    UsageError,
)
from turnwise.results import record_differs
from turnwise.turns import (
    BusyPolicy,
    Runtime,
    check_busy,
    check_turn_id,
    mint,
    queue_full,
    resend_if_cancelled,
    session_taken,
)
from turnwise.types import Accepted, Busy, Duplicate, Full, Late, Taken

Input = str | list[Any]

MAX_MESSAGE_BYTES = MAX_RAW - 64 * 1024
"""The largest message as JSON. Its dead letter, which holds more, can still be decoded."""


async def submit(
    runtime: Runtime,
    session_id: str,
    input: object,
    agent: str,
    turn_id: str | None,
    metadata: Mapping[str, Any] | None = None,
    busy: BusyPolicy = "enqueue",
    *,
    after: str | None = None,
    tools: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Return the turn_id when the message is durable. See `Session.submit`."""
    check_busy(session_id, busy)
    if after is not None and busy != "reject":
        raise UsageError('after= needs busy="reject"', session_id=session_id)
    if not isinstance(input, str | list):
        raise UsageError(
            "a message cannot carry the state of a run: Runner.resume continues a parked turn",
            session_id=session_id,
        )
    if not isinstance(metadata, Mapping | None):
        raise UsageError(f"metadata={metadata!r}: use a dict of JSON", session_id=session_id)
    turn_id = mint() if turn_id is None else check_turn_id(session_id, turn_id)
    tools = checked_tools(session_id, tools)
    trace = hooks.inject(runtime.settings.hooks)
    message = Message(agent, input, metadata or {}, trace, tools=tools)
    content = encoded_message(runtime, session_id, message)
    async with make_room(runtime, session_id, turn_id, busy, after):
        answer = await enqueue(runtime, session_id, turn_id, content)
        if isinstance(answer, Duplicate):
            _check_same(answer, session_id, turn_id, message)
        else:
            runtime.emit(
                hooks.TurnSubmittedEvent(session_id, turn_id, answer.position, len(content))
            )
    return turn_id


def encoded_message(runtime: Runtime, session_id: str, message: Message) -> bytes:
    """The message as stored.

    Raises InvalidItem, and LimitError for input that could not be added to the history either.
    """
    items = message.input
    if isinstance(items, str):
        items = [{"role": "user", "content": items}]
    runtime.raw(session_id, items)
    try:
        raw = runtime.codec.dump(stored_form(message))
        if len(raw) > MAX_MESSAGE_BYTES:
            raise EncodedTooLarge(len(raw), MAX_MESSAGE_BYTES)
        return runtime.codec.pack(raw)
    except EncodedTooLarge as error:
        raise TurnTooLarge(
            f"input and metadata of a message take {error.size} bytes as JSON, over the limit of "
            f"{MAX_MESSAGE_BYTES}; nothing was queued. Store large content elsewhere, and refer to "
            "it",
            session_id=session_id,
        ) from None
    except EncodeError as error:
        raise InvalidItem(
            f"input and metadata of a message must be JSON: {error}", session_id=session_id
        ) from None


async def enqueue(
    runtime: Runtime,
    session_id: str,
    turn_id: str,
    content: bytes,
    retry_of: str | None = None,
) -> Accepted | Duplicate:
    """Announce the message, then queue it; again if the announcement had grown too old.

    The announcement comes first, so that a worker looks for the message even if this process dies.
    `retry_of` is the id of the dead letter that is retried. Raises QueueFull, TurnIdReused,
    SessionTaken, OutcomeUnknown.
    """
    store = runtime.store
    while True:
        try:
            intent = await store.ready.announce(session_id, turn_id)
            send = partial(store.submit, session_id, turn_id, content, intent, retry_of=retry_of)
            answer = await resend_if_cancelled(send)
        except StoreUnavailable as error:
            raise OutcomeUnknown(
                f"the store did not acknowledge the message of turn {turn_id!r}, which may or may "
                f"not be queued: {error.message}. Submit it again with the same turn_id",
                session_id=session_id,
            ) from error
        if isinstance(answer, Full):
            raise queue_full(session_id, answer.limit)
        if isinstance(answer, Taken):
            raise session_taken(session_id)
        if isinstance(answer, Busy):
            raise TurnIdReused(
                f"turn {turn_id!r} is open as a direct turn (of worker {answer.worker!r}), so no "
                "message of this id was queued. Use another turn_id for the message",
                session_id=session_id,
            )
        if not isinstance(answer, Late):
            return answer


def _check_same(answer: Duplicate, session_id: str, turn_id: str, message: Message) -> None:
    """Raise TurnIdReused if the turn of this id is known to be of another message.

    The record of a committed turn holds agent and input; that of a cancelled or dead one neither.
    """
    if answer.record is not None:
        began = message.agent, input_digest(message.input)
        differs = answer.record.kind == "turn" and record_differs(answer.record.payload, began)
    else:
        # The trace is part of the stored message and differs each time, so contents that differ
        # prove nothing if there is one.
        differs = not message.trace
    if differs:
        raise TurnIdReused(
            f"turn {turn_id!r} is queued, running or finished with another agent, input or "
            "metadata. Use another turn_id for another message",
            session_id=session_id,
        )
