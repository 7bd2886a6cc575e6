"""The sessions that do not go on by themselves, each with what lets it go on."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.responses import Response

from turnwise.dashboard.pages.found import find
from turnwise.dashboard.site import Visit
from turnwise.fleet import StuckSession
from turnwise.session import Session


async def stuck(visit: Visit) -> Response:
    found = await find(visit, "stuck", lambda: _search(visit.session))
    each = sorted(found.each, key=lambda one: one.since or 0.0)
    return visit.page("stuck.html", found=each, cut=found.cut)


async def _search(session: Session) -> AsyncIterator[StuckSession]:
    """What is quickly found comes first: looking at all sessions may take too long."""
    seen: set[str] = set()
    for quick in (True, False):
        async for each in session.stuck(quick=quick):
            if each.session_id not in seen:
                seen.add(each.session_id)
                yield each
