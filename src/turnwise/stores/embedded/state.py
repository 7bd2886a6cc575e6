"""What the embedded stores keep of a session: a header, a queue, a history and a journal."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from turnwise.stores.header import FORMAT, Header


class EmbeddedHeader(Header, kw_only=True):
    """A header that also holds the session's expiry, which Redis keeps beside it.

    Attributes:
        expires: when the session expires.
    """

    expires: int | None = None


def new_header(incarnation: str, now: int, owner: str | None) -> EmbeddedHeader:
    """The header of a session that is about to be created."""
    return EmbeddedHeader(
        format=FORMAT,
        incarnation=incarnation,
        commit_id=incarnation,
        created=now,
        updated=now,
        search_rolled=now,
        owner=owner,
    )


class Entry(msgspec.Struct, omit_defaults=True):
    """One entry of the queue: a message, a cancelled message, or a caller's ticket.

    Attributes:
        turn_id, kind: of any entry.
        message: what was submitted.
        attempts: how often the message was taken.
        released, failed: how many of these attempts were released, and how many failed.
        submitted: when the message was submitted.
        commit_id, reason: what the record of a cancelled message will carry.
        token, worker: the ticket's caller.
        deadline: until when the caller waits.
        wait_ms: for how long it wanted to wait.
    """

    turn_id: str
    kind: Literal["message", "cancelled", "ticket"]
    message: bytes = b""
    attempts: int = 0
    released: int = 0
    failed: int = 0
    submitted: int = 0
    commit_id: str = ""
    reason: str = ""
    token: str = ""
    worker: str = ""
    deadline: int = 0
    wait_ms: int = 0

    @property
    def deaths(self) -> int:
        """How many of the attempts at the message ended with the death of their workers."""
        return self.attempts - self.released - self.failed


class State(Protocol):
    """One session inside one transaction. Positions count history elements from 0."""

    header: EmbeddedHeader | None

    @property
    def queue(self) -> list[Entry]:
        """Oldest first."""
        ...

    def history(self, first: int, last: int) -> list[bytes]:
        """The elements from position `first` up to, and without, `last`."""
        ...

    def extend(self, elements: list[bytes]) -> None:
        """Append to the history."""
        ...

    def truncate(self, length: int) -> None:
        """Cut the history to its first elements."""
        ...

    def find(self, marker: bytes, first: int) -> int | None:
        """The last position of `marker`, from `first` on."""
        ...

    def journal(self) -> list[bytes]: ...

    def extend_journal(self, entries: list[bytes]) -> None: ...

    def clear_journal(self) -> None: ...


class PlainState:
    """One session as plain lists."""

    def __init__(self) -> None:
        self.header: EmbeddedHeader | None = None
        self.queue: list[Entry] = []
        self._history: list[bytes] = []
        self._journal: list[bytes] = []

    def history(self, first: int, last: int) -> list[bytes]:
        return self._history[first:last]

    def extend(self, elements: list[bytes]) -> None:
        self._history += elements

    def truncate(self, length: int) -> None:
        del self._history[length:]

    def find(self, marker: bytes, first: int) -> int | None:
        positions = range(len(self._history) - 1, first - 1, -1)
        return next((p for p in positions if self._history[p] == marker), None)

    def journal(self) -> list[bytes]:
        return list(self._journal)

    def extend_journal(self, entries: list[bytes]) -> None:
        self._journal += entries

    def clear_journal(self) -> None:
        self._journal.clear()

    def is_expired(self, now: int) -> bool:
        expires = self.header.expires if self.header else None
        return expires is not None and expires <= now

    def is_ready(self, now: int) -> bool:
        """Whether a message waits, and no open turn blocks it."""
        turn = self.header.turn if self.header else None
        is_free = turn is None or (turn.is_for_workers and turn.next_attempt_at <= now)
        return is_free and self.has_message()

    def has_message(self) -> bool:
        return any(entry.kind == "message" for entry in self.queue)
