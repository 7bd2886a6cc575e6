"""The header as element 0 of a session's list."""

from __future__ import annotations

import msgspec

from turnwise.errors import NewerFormat, NotASession
from turnwise.stores import header
from turnwise.stores.header import SDK_SESSIONS


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


def foreign(session_id: str, key: str) -> NotASession:
    return NotASession(
        f"the key {key!r} holds another application's data; it was left as it is. "
        f"Choose another key_prefix or session id. {SDK_SESSIONS}",
        session_id=session_id,
    )


def is_session(session_id: str, key: str, raw: object) -> bool:
    """Whether a list's first element is a session's header, maybe of a newer version."""
    try:
        return isinstance(raw, bytes) and bool(parse(session_id, key, raw))
    except NewerFormat:
        return True
    except NotASession:
        return False
