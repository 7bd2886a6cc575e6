"""The header as element 0 of a session's list."""

from __future__ import annotations

import msgspec

from turnwise.errors import NewerFormat, NotASession
from turnwise.printable import printable
from turnwise.stores import header
from turnwise.stores.header import SDK_SESSIONS, unreadable
from turnwise.stores.redis.keys import Keys
from turnwise.types import SessionSummary


class ListHeader(header.Header, kw_only=True):
    """A header that also counts the queue, which is between it and the history.

    Attributes:
        prefix: the key prefix under which it was created.
        queued: how many entries the queue has.
        queue_changes: how often one was added or removed.
    """

    prefix: str = ""
    queued: int
    queue_changes: int

    @property
    def start(self) -> int:
        """The list index at which the history begins."""
        return 1 + 2 * self.queued

    def same_positions(self, other: ListHeader) -> bool:
        """Whether each history position is at the list index where it was in `other`."""
        return (self.incarnation, self.commit_id, self.queue_changes) == (
            other.incarnation,
            other.commit_id,
            other.queue_changes,
        )


_decoder = msgspec.json.Decoder(ListHeader)


def parse(session_id: str, key: str, raw: bytes) -> ListHeader:
    """Raises NotASession, NewerFormat."""
    return header.parse(raw, _decoder, session_id, lambda: foreign(session_id, key))


def parse_own(keys: Keys, session_id: str, raw: bytes) -> ListHeader:
    """Raises NotASession also for a session that was created under another prefix."""
    key = keys.session(session_id)
    parsed = parse(session_id, key, raw)
    if parsed.prefix not in ("", keys.prefix):
        raise elsewhere(session_id, key, parsed.prefix)
    return parsed


def foreign(session_id: str, key: str) -> NotASession:
    return NotASession(
        f"the key {key!r} holds another application's data; it was left as it is. "
        f"Choose another key_prefix or session id. {SDK_SESSIONS}",
        session_id=session_id,
    )


def elsewhere(session_id: str, key: str, prefix: str) -> NotASession:
    return NotASession(
        f"the key {key!r} holds a session of the key_prefix {printable(prefix)!r}; it was left as "
        "it is. Use that key_prefix, or another session id",
        session_id=session_id,
    )


def summary(session_id: str, key: str, prefix: str, raw: object, now: int) -> SessionSummary | None:
    """What a listing shows of a list that begins with `raw`.

    None for a session of a longer prefix that begins with this one: it has sessions of its own.
    """
    try:
        if not isinstance(raw, bytes):  # it became something else since it was found
            raise foreign(session_id, key)
        header = parse(session_id, key, raw)
    except (NewerFormat, NotASession) as error:
        return unreadable(session_id, error)
    if header.prefix not in ("", prefix):
        return None
    return header.summary(session_id, now, queued=header.queued)
