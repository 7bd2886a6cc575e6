"""Which sessions an owner has: a hash for each owner, so that their list looks at no others.

It is an index, and the sessions' headers are the truth. Before a process creates a session in an
owner's view, it notes it, and again each half hour of its use. A note without a session goes when
the owner's sessions are listed.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from turnwise.errors import StoreError, StoreRefused, UsageError
from turnwise.process import LOCK
from turnwise.stores.redis.keys import Keys
from turnwise.stores.redis.scripts import script
from turnwise.stores.redis.transport import Transport

_NOTED_AGAIN = 30 * 60.0
"""Seconds after which a process notes a session that it uses again."""
_KEPT_MS = 60 * 60 * 1000
"""How long a note stays at least: longer than `_NOTED_AGAIN`, so that who deletes the note of a
session that is gone does not delete that of a process which creates it again meanwhile."""
_TRIED_AGAIN = 60.0
"""Seconds after which a note that failed is tried again."""
_REMEMBERED = 10_000
"""How many notes a process remembers."""
_CURSOR = re.compile(r"[1-9][0-9]{0,19}")
_log = logging.getLogger("turnwise")


@dataclass(frozen=True, slots=True)
class OwnedPage:
    """Ids, each with the note as it stands in the index, and the time of the server, in ms."""

    notes: dict[str, bytes]
    cursor: str | None
    now: int


class OwnedSessions:
    """The index of every owner's sessions."""

    def __init__(self, transport: Transport, keys: Keys) -> None:
        self._transport = transport
        self._keys = keys
        self._due = dict[tuple[str, str], float]()
        """When each is noted again, by the monotonic clock: the last one noted comes last."""

    async def note(self, owner: str, session_id: str) -> None:
        """Note that the session is the owner's, unless this process did so a while ago.

        Never raises for the store: the session is as good without it.
        """
        name = owner, session_id
        if self._due.get(name, 0.0) > time.monotonic():
            return
        try:
            await self._run("note", owner, session_id)
        except StoreError as error:
            self._remember(name, _TRIED_AGAIN)
            level = logging.WARNING if isinstance(error, StoreRefused) else logging.DEBUG
            _log.log(level, "a session will be missing in its owner's list: %s", error)
        else:
            self._remember(name, _NOTED_AGAIN)

    async def page(self, owner: str, cursor: str | None, count: int) -> OwnedPage:
        """The next `count` ids or so. Raises UsageError for a cursor that is none."""
        if cursor is not None and not (_CURSOR.fullmatch(str(cursor)) and int(cursor) < 2**64):
            raise UsageError(
                f"{ascii(cursor)[:80]} is no cursor of an owner's sessions: begin again without one"
            )
        key, args = self._keys.owned(owner), (cursor or 0, count)
        reply = await self._transport.run(script("registry/page"), key, args)
        _, now, following, fields = reply
        notes = {
            name.decode(): value for name, value in zip(fields[::2], fields[1::2], strict=True)
        }
        return OwnedPage(notes, None if following == b"0" else following.decode(), now)

    async def forget(self, owner: str, page: OwnedPage, gone: Collection[str]) -> None:
        """Remove notes of sessions that are not there, unless somebody noted them since."""
        old = [
            (session_id, note)
            for session_id, note in page.notes.items()
            if session_id in gone and page.now - int(note) > _KEPT_MS
        ]
        if old:
            with suppress(StoreError):  # they cost nothing but their place
                await self._run("forget", owner, *(part for pair in old for part in pair))

    def _remember(self, name: tuple[str, str], seconds: float) -> None:
        with LOCK:
            self._due.pop(name, None)
            self._due[name] = time.monotonic() + seconds
            if len(self._due) > _REMEMBERED:
                del self._due[next(iter(self._due))]

    async def _run(self, name: str, owner: str, *args: Any) -> Any:
        return await self._transport.run(script(f"owned/{name}"), self._keys.owned(owner), args)
