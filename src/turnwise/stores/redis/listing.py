"""The sessions of a store, a page at a time, without their histories."""

from __future__ import annotations

import asyncio
from fnmatch import fnmatchcase

from turnwise.stores.redis.header import summary
from turnwise.stores.redis.keys import Keys
from turnwise.stores.redis.scan import Scan
from turnwise.stores.redis.transport import Transport
from turnwise.types import SessionPage


class Listing:
    """Reads the header of each key that is found."""

    def __init__(self, transport: Transport, keys: Keys) -> None:
        self._scan = Scan(transport)
        self._keys = keys

    async def page(
        self, match: str, cursor: str | None, count: int, owner: str | None
    ) -> SessionPage:
        """See the contract. With an `owner`, there are no sessions but those of this owner."""
        keys, cursor, node = await self._scan.page(self._keys.pattern_beside(match), cursor, count)
        own = {key: self._keys.session_id(key) for key in keys if self._keys.is_own(key)}
        wanted = [key for key, session_id in own.items() if fnmatchcase(session_id, match)]
        first, now = await asyncio.gather(self._scan.first_elements(wanted), self._scan.now(node))
        rows = [
            summary(own[key], key, self._keys.prefix, raw, now)
            for key, raw in zip(wanted, first, strict=True)
            if raw is not None
        ]
        visible = [row for row in rows if row and owner in (None, row.owner)]
        others = [] if owner else [key for key in keys if key not in own]
        return SessionPage(visible, cursor, others)
