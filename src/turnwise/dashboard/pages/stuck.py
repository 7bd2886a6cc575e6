"""The sessions that do not go on by themselves, each with what lets it go on."""

from __future__ import annotations

from starlette.responses import Response

from turnwise.dashboard.pages.found import find
from turnwise.dashboard.site import Visit


async def stuck(visit: Visit) -> Response:
    found = await find(visit, "stuck", visit.session.stuck)
    each = sorted(found.each, key=lambda one: one.since or 0.0)
    return visit.page("stuck.html", found=each, cut=found.cut)
