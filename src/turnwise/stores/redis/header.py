"""The header of a stored session as Python sees it; `lua/shared/session.lua` owns it."""

from __future__ import annotations

import msgspec

from turnwise.errors import NewerFormat, NotASession

VERSION = 1


class HeaderTurn(msgspec.Struct, rename={"token": "k", "worker": "w", "attempt": "a"}):
    """The open turn."""

    id: str
    token: str
    worker: str
    attempt: int
    deadline: int = msgspec.field(name="d")
    lease: int = msgspec.field(name="p")
    state: str = msgspec.field(name="s")
    cancelled: int = msgspec.field(name="x", default=0)
    background: int = msgspec.field(name="b", default=0)


class Header(msgspec.Struct):
    """Element 0 of the list."""

    version: int = msgspec.field(name="v")
    incarnation: str = msgspec.field(name="i")
    queued: int = msgspec.field(name="q")
    queue_changes: int = msgspec.field(name="g")
    elements: int = msgspec.field(name="e")
    items: int = msgspec.field(name="n")
    bytes: int = msgspec.field(name="z")
    commits: int = msgspec.field(name="s")
    commit_id: str = msgspec.field(name="c")
    created: int = msgspec.field(name="a")
    updated: int = msgspec.field(name="u")
    turn: HeaderTurn | None = msgspec.field(name="t", default=None)

    def same_place(self, other: Header) -> bool:
        """Whether every history position stands where it stood in `other`."""
        return (self.incarnation, self.commit_id, self.queue_changes) == (
            other.incarnation,
            other.commit_id,
            other.queue_changes,
        )


_decoder = msgspec.json.Decoder(Header)


def foreign(session_id: str, key: str) -> NotASession:
    return NotASession(
        f"the key {key!r} holds another application's data; it was left as it is. "
        "Choose another key_prefix or session id",
        session_id=session_id,
    )


def newer(session_id: str, version: object) -> NewerFormat:
    return NewerFormat(
        f"it was written in format {version} by a newer version of Turnwise; it was left as it "
        "is. Upgrade this worker",
        session_id=session_id,
    )


def parse(session_id: str, key: str, raw: bytes) -> Header:
    try:
        header = _decoder.decode(raw)
    except (msgspec.DecodeError, msgspec.ValidationError):
        raise _unreadable(session_id, key, raw) from None
    if header.version > VERSION:
        raise newer(session_id, header.version)
    return header


def _unreadable(session_id: str, key: str, raw: bytes) -> NotASession | NewerFormat:
    """A newer header may have another shape altogether; its version is still called `v`."""
    try:
        version = msgspec.json.decode(raw)["v"]
        return newer(session_id, version) if version > VERSION else foreign(session_id, key)
    except (msgspec.DecodeError, KeyError, TypeError):
        return foreign(session_id, key)
