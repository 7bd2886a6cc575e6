"""The sessions of a store, a page at a time, without their histories."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from turnwise.stores.redis.header import summary
from turnwise.stores.redis.keys import Keys
from turnwise.stores.redis.owned import OwnedSessions
from turnwise.stores.redis.scan import Scan
from turnwise.stores.redis.transport import Transport
from turnwise.types import SessionPage, SessionSummary


class Listing:
    """Reads the header of each key that is found."""

    def __init__(self, transport: Transport, keys: Keys, owned: OwnedSessions) -> None:
        self._scan = Scan(transport)
        self._keys = keys
        self._owned = owned

    async def page(self, match: str, cursor: str | None, count: int) -> SessionPage:
        """See the contract: all sessions of the store."""
        keys, cursor, node = await self._scan.page(self._keys.pattern_beside(match), cursor, count)
        own = {key: self._keys.session_id(key) for key in keys if self._keys.is_own(key)}
        wanted = {key: name for key, name in own.items() if fnmatchcase(name, match)}
        first, now = await asyncio.gather(
            self._scan.first_elements(list(wanted)), self._scan.now(node)
        )
        rows = self._rows(wanted, first, now)
        return SessionPage(rows, cursor, [key for key in keys if key not in own])

    async def owned(self, owner: str, match: str, cursor: str | None, count: int) -> SessionPage:
        """See the contract: the sessions of this owner, and no look at any others."""
        page = await self._owned.page(owner, cursor, count)
        names = [name for name in page.notes if fnmatchcase(name, match)]
        wanted = {self._keys.session(name): name for name in names}
        first = await self._scan.first_elements(list(wanted))
        rows = self._rows(wanted, first, page.now)
        # What cannot be read is there.
        gone = [name for name, raw in zip(names, first, strict=True) if raw is None]
        others = [row.session_id for row in rows if row.owner not in (None, owner)]
        await self._owned.forget(owner, page, [*gone, *others])
        return SessionPage([row for row in rows if row.owner == owner], page.cursor)

    def _rows(
        self, wanted: Mapping[str, str], first: Sequence[Any], now: int
    ) -> list[SessionSummary]:
        """Of what the keys of these sessions begin with; None is none."""
        rows = (
            summary(name, key, self._keys.prefix, raw, now)
            for (key, name), raw in zip(wanted.items(), first, strict=True)
            if raw is not None
        )
        return [row for row in rows if row is not None]
