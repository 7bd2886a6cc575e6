"""The journal of a turn, read: its entries, or the error that says which one cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from turnwise.codec.envelope import Codec
from turnwise.codec.errors import DecodeError
from turnwise.errors import UndecodableJournal

Entry = dict[str, Any]


def read_journal(
    codec: Codec, session_id: str, turn_id: str, stored: Sequence[bytes]
) -> list[Entry]:
    """All entries, oldest first. Raises UndecodableJournal."""
    try:
        return codec.decode_many(stored)
    except DecodeError as error:
        raise undecodable_journal(session_id, turn_id, error) from None


def read_parked(
    codec: Codec, session_id: str, turn_id: str, stored: Sequence[bytes]
) -> list[Entry]:
    """The entries from the last `park` on; none if there is none. Raises UndecodableJournal.

    What is before it is not looked at: the state of the run is in that entry.
    """
    entries: list[Entry] = []
    for index in reversed(range(len(stored))):
        try:
            entries.insert(0, codec.decode(stored[index]))
        except DecodeError as error:
            reason = f"element {index}: {error}"
            raise undecodable_journal(session_id, turn_id, reason) from None
        if entries[0].get("k") == "park":
            return entries
    return []


def undecodable_journal(session_id: str, turn_id: str, reason: object) -> UndecodableJournal:
    return UndecodableJournal(
        f"the journal of turn {turn_id!r} cannot be decoded here ({reason}), so the turn cannot go "
        "on in this process. The journal was left as it is: send the turn again where the version "
        "runs that wrote it, or give it up with session.cancel(session_id, turn_id); tools that "
        "it had called may have run",
        session_id=session_id,
        turn_id=turn_id,
    )
