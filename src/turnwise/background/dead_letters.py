"""Dead letters: messages that failed for good, kept until somebody retries or deletes them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

from turnwise.background.message import Message, decode_message, stored_form
from turnwise.background.submit import enqueue
from turnwise.codec import Codec, DecodeError, EncodeError
from turnwise.errors import (
    InvalidSessionId,
    NewerFormat,
    NotASession,
    UnreadableMessage,
    UsageError,
)
from turnwise.turns import (
    Runtime,
    Turn,
    all_sessions,
    check_count,
    check_session_id,
    mint,
    resend_if_cancelled,
)
from turnwise.types import DeadLetterEntry, Done, Duplicate, Info, Stopped

_PAGE, _MOST = 100, 10_000
_MAX_ERROR = 1000
_STOPPED = "stopped:"
"""Begins the id of a dead letter at which a session is stopped; the session's id follows."""


@dataclass(frozen=True)
class DeadLetter:
    """A message that failed for good.

    Attributes:
        id: Its id.
        session_id: The message's session.
        turn_id: The message's turn.
        failed_at: When it became a dead letter, in POSIX seconds.
        agent: The name of the agent that should have answered.
        attempts: How many attempts failed.
        error: The last error, "RuntimeError: ...".
        state: "dead". "queued" if it was submitted again, or if its worker died between writing the
            dead letter and ending the turn. "finished" if a retry is done. "unknown" if its session
            is gone. "stopped" if its session is stopped at it: see `Session.stopped_sessions`.
        input: The message's input.
        metadata: The message's metadata.
        owner: Whom its session belonged to; None if it had no owner. A retry makes the session anew
            for the same owner, if it was deleted.
    """

    id: str
    session_id: str
    turn_id: str
    failed_at: float
    agent: str
    attempts: int
    error: str
    state: Literal["dead", "queued", "finished", "unknown", "stopped"]
    input: Any = field(repr=False)
    metadata: Mapping[str, Any] = field(repr=False)
    content: bytes = field(repr=False, compare=False)
    owner: str | None = None


def encode_dead_letter(turn: Turn, attempts: int, attempt_offset: int, error: str) -> bytes:
    """A dead letter's content: the turn's message, its owner, failed attempts and the last error.

    `attempt_offset` is the last attempt's number in the event log. It is above `attempts` if
    workers died or released the turn.
    """
    stored: dict[str, Any] = {"v": 1, "attempts": attempts, "attempt_offset": attempt_offset}
    stored["error"] = error
    stored |= {} if turn.grant.owner is None else {"owner": turn.grant.owner}
    runtime, message = turn.runtime, turn.message or b""
    try:
        return runtime.codec.encode(stored | {"message": runtime.codec.decode(message)})
    except (DecodeError, EncodeError):  # damaged, or nested too deeply to be put into anything
        return runtime.codec.encode(stored | {"raw": message.hex()})


def _stored_message(codec: Codec, stored: Mapping[str, Any]) -> Message:
    """The message in a dead letter's content. Raises UnreadableMessage."""
    if "raw" in stored:
        return decode_message(codec, bytes.fromhex(stored["raw"]))
    return Message.from_dict(stored.get("message", {}))


def error_text(error: BaseException) -> str:
    """An error as a dead letter shows it: its type and the first 1,000 characters."""
    text = str(error)[:_MAX_ERROR]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


async def find_dead_letter(runtime: Runtime, dead_letter_id: str) -> DeadLetter | None:
    """The dead letter of this id, if it is still there."""
    if dead_letter_id.startswith(_STOPPED):
        try:
            session_id = check_session_id(dead_letter_id.removeprefix(_STOPPED))
        except InvalidSessionId:
            return None
        return await _stopped_at(runtime, session_id)
    after: str | None = None
    while page := await runtime.store.dead_letters(_PAGE, after):
        for entry in page:
            if entry.id == dead_letter_id:
                return _decoded(runtime, entry)
        after = page[-1].id
    return None


async def require_dead_letter(runtime: Runtime, letter: DeadLetter | str) -> DeadLetter:
    """A dead letter, or that of this id. Raises UsageError if there is none."""
    given: object = letter  # also from callers without a type checker
    if isinstance(given, DeadLetter):
        return given
    found = await find_dead_letter(runtime, given) if isinstance(given, str) else None
    if found is None:
        raise UsageError(f"there is no dead letter {letter!r}; list them first")
    return found


async def list_dead_letters(runtime: Runtime, count: int, after: str | None) -> list[DeadLetter]:
    """See `Session.dead_letters`."""
    check_count("count", count, most=_MOST)
    return [_decoded(runtime, entry) for entry in await runtime.store.dead_letters(count, after)]


async def stopped_sessions(runtime: Runtime) -> AsyncIterator[DeadLetter]:
    """See `Session.stopped_sessions`."""
    seen = set[str]()  # a scan may list a session twice
    async for found in all_sessions(runtime.store):
        if found.state == "stopped" and found.session_id not in seen:
            seen.add(found.session_id)
            with suppress(NotASession, NewerFormat):
                letter = await _stopped_at(runtime, found.session_id)
                if letter is not None:
                    yield letter


async def retry_dead_letter(runtime: Runtime, letter: DeadLetter) -> None:
    """See `Session.retry_dead_letter`."""
    if letter.state == "stopped":
        letter = await _end_stop(runtime, letter)
    stored = runtime.codec.decode(letter.content)
    message = _stored_message(runtime.codec, stored).retried(
        int(stored.get("attempts", 0)), int(stored.get("attempt_offset", 0))
    )
    content = runtime.codec.encode(stored_form(message))
    if letter.state in ("dead", "unknown"):
        of_owner = runtime.for_owner(stored.get("owner"))
        await enqueue(of_owner, letter.session_id, letter.turn_id, content, letter.id)
        # The turn was finished when the message was announced, so a worker may have acknowledged
        # that announcement already.
        await runtime.store.ready.announce(letter.session_id, None)
    await runtime.store.delete_dead_letter(letter.id)


async def delete_dead_letter(runtime: Runtime, letter: DeadLetter) -> None:
    """See `Session.delete_dead_letter`."""
    if letter.state == "stopped":
        letter = await _end_stop(runtime, letter)
    await runtime.store.delete_dead_letter(letter.id)


def _decoded(runtime: Runtime, entry: DeadLetterEntry) -> DeadLetter:
    """A stored dead letter; of a damaged one, as much as can be decoded."""
    try:
        stored = runtime.codec.decode(entry.content)
    except DecodeError:
        stored = {"error": "its message cannot be decoded"}
    try:
        message = _stored_message(runtime.codec, stored)
    except UnreadableMessage:
        message = Message("", "")
    return DeadLetter(
        entry.id,
        entry.session_id,
        entry.turn_id,
        entry.at_ms / 1000,
        message.agent,
        message.earlier_attempts + int(stored.get("attempts", 0)),
        str(stored.get("error", "")),
        entry.state,
        message.input,
        message.metadata,
        entry.content,
        stored.get("owner"),
    )


async def _stopped_at(runtime: Runtime, session_id: str) -> DeadLetter | None:
    """The dead letter at which this session is stopped; None if it is not stopped."""
    info = await runtime.store.info(session_id)
    turn = info.open_turn if isinstance(info, Info) else None
    if turn is None or turn.state != "stopped":
        return None
    status = await runtime.store.status(session_id, turn.turn_id)
    if not isinstance(status, Stopped):
        return None
    entry = DeadLetterEntry(
        _STOPPED + session_id, session_id, turn.turn_id, status.at_ms, status.letter, "dead"
    )
    return replace(_decoded(runtime, entry), state="stopped")


async def _end_stop(runtime: Runtime, letter: DeadLetter) -> DeadLetter:
    """Let a stopped session continue: its message becomes an ordinary dead letter.

    Raises UsageError if the session is not stopped at this dead letter now: it was retried since,
    say, and is parked for an approval, or was stopped anew.
    """
    turn, store = (letter.session_id, letter.turn_id), runtime.store
    call = partial(store.dead_letter, *turn, mint(), letter.content)
    answer = await resend_if_cancelled(call)
    runtime.reader.cache.drop(letter.session_id)
    status = await store.status(*turn)
    record = status.record if isinstance(status, Duplicate) else None
    if not isinstance(answer, Done) or record is None or record.kind != "dead":
        raise _not_stopped(letter)
    await runtime.wake_workers(letter.session_id)
    return replace(letter, id=record.payload.decode(), state="dead")


def _not_stopped(letter: DeadLetter) -> UsageError:
    return UsageError(
        f"session {letter.session_id!r} is no longer stopped at this dead letter. List the stopped "
        "sessions again"
    )
