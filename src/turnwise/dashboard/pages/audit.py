"""What operators did: who, why, and what became of it."""

from __future__ import annotations

from typing import get_args

from starlette.responses import Response

from turnwise.dashboard.site import Visit
from turnwise.fleet.audit import Action

_ROWS = 100
_GREATEST = 2**53


async def audit(visit: Visit) -> Response:
    match, by, action = visit.query("match"), visit.query("by"), visit.query("action")
    before = visit.number("before", _GREATEST, _GREATEST)
    records = await visit.session.audit(
        match or "*",
        by=by,
        action=action,
        count=_ROWS,
        before=None if before == _GREATEST else before,
    )
    return visit.page(
        "audit.html",
        records=records,
        following=records[-1].id if len(records) == _ROWS else None,
        is_first=before == _GREATEST,
        match=match or "",
        by=by or "",
        action=action or "",
        actions=get_args(Action),
    )
