"""Dead letters: messages that were given up, to be looked at, retried or dropped."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

from turnwise.approvals import ParkedTurn, find_parked
from turnwise.background import message as messages
from turnwise.background.enqueue import enqueue
from turnwise.background.message import Message, Unreadable
from turnwise.codec import Codec, DecodeError, EncodeError
from turnwise.errors import (
    NewerFormat,
    NoPendingApproval,
    NotASession,
    UndecodableJournal,
    UsageError,
)
from turnwise.journal_entries import read_parked
from turnwise.turns import Runtime, mint, resend_if_cancelled, shielded
from turnwise.types import DeadLetterEntry, Duplicate, Grant

_PAGE = 100
STOPPED = "stopped:"
"""What the id of a letter at which a session was stopped begins with; the session's id follows."""


@dataclass(frozen=True)
class DeadLetter:
    """A message that was given up.

    `error` is the last one ("RuntimeError: ..."), `attempts` how many there were, `at` when it was
    given up (seconds since the epoch). `state` is "dead"; "waiting" when it was submitted again,
    or its worker died in giving it up; "finished" when a retry is done; "unknown" when its session
    is gone; "stopped" when its session was stopped at it (see `stopped`). `input` and `metadata`
    are what was submitted.
    """

    id: str
    session_id: str
    turn_id: str
    at: float
    agent: str
    attempts: int
    error: str
    state: Literal["dead", "queued", "finished", "unknown", "stopped"]
    input: Any = field(repr=False)
    metadata: Mapping[str, Any] = field(repr=False)
    content: bytes = field(repr=False, compare=False)


def written(runtime: Runtime, content: bytes, attempts: int, told_as: int, error: str) -> bytes:
    """A letter for a message, after so many attempts that failed, the last one with this error.

    `told_as` is the number of the last one's events, which is above `attempts` where workers died
    or handed it over.
    """
    told: dict[str, Any] = {"v": 1, "attempts": attempts, "told": told_as}
    told["error"] = error
    try:
        return runtime.codec.encode(told | {"message": runtime.codec.decode(content)})
    except (DecodeError, EncodeError):  # or what cannot be put into anything else: too deep, say
        return runtime.codec.encode(told | {"raw": content.hex()})


def _message(codec: Codec, told: Mapping[str, Any]) -> Message:
    """The message in a letter. Raises Unreadable."""
    if "raw" in told:
        return messages.unpacked(codec, bytes.fromhex(told["raw"]))
    return messages.of_dict(told.get("message", {}))


def described(error: BaseException) -> str:
    """An error as a letter tells it: its kind and its first 1,000 characters."""
    text = str(error)[:1000]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def read(runtime: Runtime, letter: DeadLetterEntry) -> DeadLetter:
    """What a stored letter says; as much of it as can be read."""
    try:
        told = runtime.codec.decode(letter.content)
    except DecodeError:
        told = {"error": "its message cannot be read"}
    try:
        message = _message(runtime.codec, told)
    except Unreadable:
        message = Message("", "")
    return DeadLetter(
        letter.id,
        letter.session_id,
        letter.turn_id,
        letter.at_ms / 1000,
        message.agent,
        message.earlier + int(told.get("attempts", 0)),
        str(told.get("error", "")),
        letter.state,
        message.input,
        message.metadata,
        letter.content,
    )


async def found(runtime: Runtime, dead_letter_id: str) -> DeadLetter | None:
    """The letter of this id, if it is still there."""
    if dead_letter_id.startswith(STOPPED):
        return await stopped(runtime, dead_letter_id.removeprefix(STOPPED))
    after: str | None = None
    while page := await runtime.store.dead_letters(_PAGE, after):
        for letter in page:
            if letter.id == dead_letter_id:
                return read(runtime, letter)
        after = page[-1].id
    return None


async def listed(runtime: Runtime, count: int, after: str | None) -> list[DeadLetter]:
    return [read(runtime, letter) for letter in await runtime.store.dead_letters(count, after)]


async def stopped(runtime: Runtime, session_id: str) -> DeadLetter | None:
    """The letter at which this session was stopped; None if it was not."""
    parked = await find_parked(runtime, session_id)
    content = None if parked is None else parked.entry.dead_letter
    if parked is None or content is None:
        return None
    at = parked.entry.stopped_at or 0
    raw = DeadLetterEntry(
        STOPPED + session_id, session_id, parked.turn_id, at, bytes.fromhex(content), "dead"
    )
    return replace(read(runtime, raw), state="stopped")


async def all_stopped(runtime: Runtime) -> AsyncIterator[DeadLetter]:
    """Those of all sessions, which are looked through."""
    async for session_id in runtime.store.scan("*"):
        with suppress(NotASession, NewerFormat, NoPendingApproval, UndecodableJournal):
            letter = await stopped(runtime, session_id)
            if letter is not None:
                yield letter


async def retry(runtime: Runtime, letter: DeadLetter | str) -> None:
    """See `Session.retry`."""
    letter = await _known(runtime, letter)
    if letter.state == "stopped":
        letter = await _buried(runtime, letter)
    told = runtime.codec.decode(letter.content)
    message = _message(runtime.codec, told)
    message = message.again(int(told.get("attempts", 0)), int(told.get("told", 0)))
    content = messages.packed(runtime.codec, message)
    if letter.state in ("dead", "unknown"):
        await enqueue(runtime, letter.session_id, letter.turn_id, content, letter.id)
        # As its turn was finished, a worker may have acknowledged the first announcement already.
        await runtime.store.ready.announce(letter.session_id, None)
    await runtime.store.delete_dead_letter(letter.id)


async def drop(runtime: Runtime, letter: DeadLetter | str) -> None:
    """See `Session.drop`."""
    if isinstance(letter, str) and letter.startswith(STOPPED):
        letter = await _known(runtime, letter)
    if isinstance(letter, DeadLetter) and letter.state == "stopped":
        letter = await _buried(runtime, letter)
    await runtime.store.delete_dead_letter(letter if isinstance(letter, str) else letter.id)


async def _buried(runtime: Runtime, letter: DeadLetter) -> DeadLetter:
    """The session goes on, and the message at which it was stopped is a dead letter like others.

    Raises UsageError if it does not wait by this letter now: it was retried since, say, and waits
    for an approval, or was stopped anew.
    """
    if await stopped(runtime, letter.session_id) != letter:
        raise _not_stopped(letter)
    token, lease = mint(), runtime.settings.lease_ms
    names, store = (letter.session_id, letter.turn_id), runtime.store
    begin = partial(store.begin, *names, token, lease, worker=runtime.name, resume=True)
    grant = await resend_if_cancelled(begin)
    if not isinstance(grant, Grant):
        raise _not_stopped(letter)
    try:
        entries = read_parked(runtime.codec, *names, grant.journal)
        if _at(ParkedTurn.in_journal(*names, entries)) != _of(letter):
            raise _not_stopped(letter)
    except BaseException:
        await shielded(store.release(*names, token))  # it waits again for what it waited for
        raise
    await resend_if_cancelled(partial(store.dead_letter, *names, token, letter.content))
    status = await store.status(*names)
    runtime.reader.cache.drop(letter.session_id)
    if not isinstance(status, Duplicate) or status.record is None:
        raise _not_stopped(letter)
    return replace(letter, id=status.record.payload.decode(), state="dead")


def _at(parked: ParkedTurn) -> tuple[object, object]:
    """The letter by which a turn waits, and since when."""
    return parked.entry.dead_letter, parked.entry.stopped_at


def _of(letter: DeadLetter) -> tuple[object, object]:
    return letter.content.hex(), round(letter.at * 1000)


def _not_stopped(letter: DeadLetter) -> UsageError:
    return UsageError(
        f"session {letter.session_id!r} is not stopped at this letter any more; list again"
    )


async def _known(runtime: Runtime, letter: DeadLetter | str) -> DeadLetter:
    if isinstance(letter, DeadLetter):
        return letter
    known = await found(runtime, letter)
    if known is None:
        raise UsageError(f"there is no dead letter {letter!r}; list them first")
    return known
