"""Submitting a message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnwise import hooks
from turnwise.background.busy import placed
from turnwise.background.enqueue import enqueue
from turnwise.background.message import Message, packed
from turnwise.background.receipt import Receipt
from turnwise.codec import MAX_RAW, EncodedTooLarge, EncodeError
from turnwise.durable.digests import input_digest
from turnwise.errors import InvalidItem, TurnIdReused, TurnTooLarge
from turnwise.results import record_differs
from turnwise.turns import BusyPolicy, Runtime, check_busy, check_turn_id, mint
from turnwise.types import Accepted, Duplicate

Input = str | list[Any]

MAX_MESSAGE = MAX_RAW - 64 * 1024
"""How many bytes of JSON a message may take: its dead letter, which holds more, can be read too."""


async def submit(
    runtime: Runtime,
    session_id: str,
    input: Input,
    agent: str,
    turn_id: str | None,
    metadata: Mapping[str, Any] | None = None,
    busy: BusyPolicy = "enqueue",
) -> Receipt:
    """Return when the message is durable. See `Session.submit`."""
    check_busy(session_id, busy)
    turn_id = mint() if turn_id is None else check_turn_id(session_id, turn_id)
    message = Message(agent, input, metadata or {}, hooks.carry(runtime.settings.hooks))
    content = checked(runtime, session_id, message)
    receipt = Receipt(session_id, turn_id, runtime)
    async with placed(runtime, session_id, turn_id, busy):
        answer = await enqueue(runtime, session_id, turn_id, content)
        _accepted(runtime, session_id, turn_id, message, answer, len(content))
    return receipt


def checked(runtime: Runtime, session_id: str, message: Message) -> bytes:
    """The message as it is put into the queue.

    Raises InvalidItem, and LimitError for what could not be added to the history either.
    """
    said = message.input
    runtime.raw(session_id, [{"role": "user", "content": said}] if isinstance(said, str) else said)
    try:
        size = len(runtime.codec.dump(message.as_dict()))
        if size > MAX_MESSAGE:
            raise EncodedTooLarge(size, MAX_MESSAGE)
        return packed(runtime.codec, message)
    except EncodedTooLarge as error:
        raise TurnTooLarge(
            f"input and metadata of a message take {error.size} bytes as JSON, over {MAX_MESSAGE}; "
            "nothing was submitted. Keep large content elsewhere and refer to it",
            session_id=session_id,
        ) from None
    except EncodeError as error:
        raise InvalidItem(
            f"input and metadata of a message are JSON: {error}", session_id=session_id
        ) from None


def _accepted(
    runtime: Runtime,
    session_id: str,
    turn_id: str,
    message: Message,
    answer: Accepted | Duplicate,
    size: int,
) -> None:
    if isinstance(answer, Duplicate):
        _check_same(answer, session_id, turn_id, message)
    else:
        runtime.emit(hooks.TurnSubmittedEvent(session_id, turn_id, answer.position, size))


def _check_same(answer: Duplicate, session_id: str, turn_id: str, message: Message) -> None:
    """Raise TurnIdReused where the turn of this id is known to be another one.

    Of a committed turn agent and input are known, of one that was given up nothing.
    """
    if answer.record is not None:
        began = message.agent, input_digest(message.input)
        differs = answer.record.kind == "turn" and record_differs(answer.record.payload, began)
    else:
        # The trace is a part of the message, and another one each time: who sends again in
        # another trace is believed.
        differs = not message.trace
    if differs:
        raise TurnIdReused(
            f"turn {turn_id!r} is on its way or finished with another agent, input or metadata. "
            "Choose another turn_id for another message",
            session_id=session_id,
        )
