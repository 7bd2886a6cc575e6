"""Long histories and journals, by plain commands: Lua would block the server for too long."""

from __future__ import annotations

from typing import Any

from turnwise.stores.redis import replies
from turnwise.stores.redis.header import ListHeader, parse_own
from turnwise.stores.redis.keys import Keys
from turnwise.stores.redis.transport import Transport
from turnwise.types import Absent, Base, History, Stale

PAGE = 2048
"""Elements that one plain LRANGE reads."""


class LongReads:
    """Reads a session's list in several commands, and sees whether it changed between them.

    With an `owner`, there are no sessions but those of this owner.
    """

    def __init__(self, transport: Transport, keys: Keys, owner: str | None) -> None:
        self._transport = transport
        self._keys = keys
        self._owner = owner

    async def history(self, session_id: str, limit: int | None) -> History | Absent:
        """The history, or its last `limit` elements. It is consistent: nothing moved meanwhile."""
        while True:
            page = await self._command(session_id, "LRANGE", 0, PAGE - 1)
            header = self._parsed(session_id, page[0]) if page else None
            if header is None:
                return Absent()
            start = 0 if limit is None else max(0, header.elements - limit)
            first = header.start + start
            elements = page[first : first + header.elements - start]
            if await self._read_on(session_id, header, start, elements):
                tip = Base(header.elements, header.commit_id)
                names = header.incarnation, tip
                return History(*names, header.items, start, elements, owner=header.owner)

    async def _read_on(
        self, session_id: str, header: ListHeader, start: int, elements: list[bytes]
    ) -> bool:
        """Extend `elements` to the history's end. False if the history changed meanwhile."""
        end = header.start + header.elements
        while (first := header.start + start + len(elements)) < end:
            last = min(first + PAGE, end) - 1
            page = await self._command(session_id, "LRANGE", first, last)
            now = await self._header(session_id)
            if now is None or not now.same_positions(header):
                return False
            if not page:  # an operator cut the list: decoding will find that elements are missing
                break
            elements += page
        return True

    async def begun(self, session_id: str, token: str, reply: replies.Reply) -> Any:
        """The answer of `begin` and `next`, whose script leaves a long journal out."""
        if reply[0] == b"granted":
            length, journal = reply[10], reply[11]
            if length > len(journal):
                journal = await self._journal(session_id, token, length)
                if journal is None:
                    return Stale()
                reply[11] = journal
        return replies.answer(reply)

    async def _journal(self, session_id: str, token: str, length: int) -> list[bytes] | None:
        """The journal of the turn that the token holds; None if it does not hold it any more.

        While it does, nobody else changes the journal.
        """
        journal: list[bytes] = await self._command(session_id, "LRANGE", -length, -1)
        header = await self._header(session_id)
        held = header is not None and header.turn is not None and header.turn.token == token
        return journal if held else None

    async def open_journal(self, session_id: str, turn_id: str) -> list[bytes] | Absent:
        """The journal of the open turn, if it is this one."""
        while True:
            header = await self._header(session_id)
            if header is None or header.turn is None or header.turn.id != turn_id:
                return Absent()
            first = header.start + header.elements
            journal: list[bytes] = await self._command(session_id, "LRANGE", first, -1)
            now = await self._header(session_id)
            if now is not None and now.same_positions(header) and now.turn == header.turn:
                return journal

    async def _header(self, session_id: str) -> ListHeader | None:
        raw = await self._command(session_id, "LINDEX", 0)
        return None if raw is None else self._parsed(session_id, raw)

    def _parsed(self, session_id: str, raw: bytes) -> ListHeader | None:
        """None for a session of another owner."""
        header = parse_own(self._keys, session_id, raw)
        return header if self._owner in (None, header.owner) else None

    async def _command(self, session_id: str, name: str, *args: int) -> Any:
        key = self._keys.session(session_id)
        return await self._transport.command(session_id, name, key, *args)
