"""Dead letters: messages that were given up, to be looked at, retried or dropped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from turnwise.background import message as messages
from turnwise.background.enqueue import enqueue
from turnwise.background.message import Message, Unreadable
from turnwise.codec import DecodeError
from turnwise.errors import UsageError
from turnwise.turns import Worker
from turnwise.types import Letter

_PAGE = 100


@dataclass(frozen=True)
class DeadLetter:
    """A message that was given up.

    `error` is the last one ("RuntimeError: ..."), `attempts` how many there were, `at` when it was
    given up (seconds since the epoch). `state` is "dead"; "waiting" when it was submitted again,
    or its worker died in giving it up; "finished" when a retry is done; "unknown" when its session
    is gone. `input` and `metadata` are what was submitted.
    """

    id: str
    session_id: str
    turn_id: str
    at: float
    agent: str
    attempts: int
    error: str
    state: Literal["dead", "waiting", "finished", "unknown"]
    input: Any = field(repr=False)
    metadata: Mapping[str, Any] = field(repr=False)
    content: bytes = field(repr=False, compare=False)


def written(worker: Worker, content: bytes, attempts: int, error: BaseException) -> bytes:
    """A letter for a message, after so many attempts."""
    told: dict[str, Any] = {"v": 1, "attempts": attempts, "error": described(error)}
    try:
        told["message"] = worker.codec.decode(content)
    except DecodeError:
        told["raw"] = content.hex()
    return worker.codec.encode(told)


def described(error: BaseException) -> str:
    """An error as a letter tells it: its kind and its first 1,000 characters."""
    text = str(error)[:1000]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def read(worker: Worker, letter: Letter) -> DeadLetter:
    """What a stored letter says; as much of it as can be read."""
    try:
        told = worker.codec.decode(letter.content)
        message = messages.of_dict(told.get("message", {}))
    except (DecodeError, Unreadable):
        told, message = {"error": "its message cannot be read"}, Message("", "")
    return DeadLetter(
        letter.id,
        letter.session_id,
        letter.turn_id,
        letter.at / 1000,
        message.agent,
        message.earlier + int(told.get("attempts", 0)),
        str(told.get("error", "")),
        letter.state,
        message.input,
        message.metadata,
        letter.content,
    )


async def found(worker: Worker, letter_id: str) -> DeadLetter | None:
    """The letter of this id, if it is still there."""
    after: str | None = None
    while page := await worker.store.letters(_PAGE, after):
        for letter in page:
            if letter.id == letter_id:
                return read(worker, letter)
        after = page[-1].id
    return None


async def listed(worker: Worker, count: int, after: str | None) -> list[DeadLetter]:
    return [read(worker, letter) for letter in await worker.store.letters(count, after)]


async def retry(worker: Worker, letter: DeadLetter | str) -> None:
    """See `Session.retry`."""
    letter = await _known(worker, letter)
    told = worker.codec.decode(letter.content)
    message = messages.of_dict(told.get("message", {})).again(int(told.get("attempts", 0)))
    content = messages.packed(worker.codec, message)
    if letter.state in ("dead", "unknown"):
        await enqueue(worker, letter.session_id, letter.turn_id, content, letter.id)
    await worker.store.unbury(letter.id)


async def drop(worker: Worker, letter: DeadLetter | str) -> None:
    """See `Session.drop`."""
    await worker.store.unbury(letter if isinstance(letter, str) else letter.id)


async def _known(worker: Worker, letter: DeadLetter | str) -> DeadLetter:
    if isinstance(letter, DeadLetter):
        return letter
    known = await found(worker, letter)
    if known is None:
        raise UsageError(f"there is no dead letter {letter!r}; list them first")
    return known
