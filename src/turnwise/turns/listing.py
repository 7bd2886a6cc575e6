"""All sessions of a store, page after page."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

from turnwise.contracts import Store
from turnwise.stores.header import SDK_SESSIONS
from turnwise.types import SessionPage, SessionSummary

_log = logging.getLogger("turnwise")


async def pages(store: Store, match: str = "*") -> AsyncIterator[SessionPage]:
    """All pages of a listing."""
    page = await store.page(match)
    yield page
    while page.cursor is not None:
        page = await store.page(match, page.cursor)
        yield page


async def all_sessions(store: Store, match: str = "*") -> AsyncIterator[SessionSummary]:
    """The sessions that match a glob; what else is stored there is only told of in the log."""
    others: list[str] = []
    async for page in pages(store, match):
        others += page.strangers
        for found in page.sessions:
            if found.state == "unreadable":
                others.append(found.session_id)
            else:
                yield found
    if others:
        _log.warning(
            "%d keys, %r for example, hold no sessions of Turnwise and are not listed. %s",
            len(others),
            others[0],
            SDK_SESSIONS,
        )


async def session_ids(store: Store, match: str = "*") -> AsyncIterator[str]:
    """The ids of these sessions."""
    async for found in all_sessions(store, match):
        yield found.session_id
