"""The sessions: searched by pattern and state, a page at a time."""

from __future__ import annotations

from typing import cast, get_args

from starlette.responses import Response

from turnwise.dashboard.site import Visit
from turnwise.types import SessionState, SessionSummary

_ROWS = 50
_LOOK_AT = 500
_MOST_LOOKS = 20
"""So many times a page goes on to look if it has found too few."""


async def sessions(visit: Visit) -> Response:
    match, state = visit.query("match"), visit.query("state")
    worker, cursor = visit.query("worker"), visit.query("cursor")
    pattern = match or "*"
    if match and not any(character in match for character in "*?["):
        pattern = f"*{match}*"  # what people type into a field for searching
    count = _LOOK_AT if pattern != "*" or state or worker else _ROWS
    rows: list[SessionSummary] = []
    strangers: list[str] = []
    for _ in range(_MOST_LOOKS):
        page = await visit.session.sessions(
            pattern,
            state=cast(SessionState | None, state),
            worker=worker,
            cursor=cursor,
            count=count,
        )
        rows += page.sessions
        strangers += page.strangers
        cursor = page.cursor
        if cursor is None or len(rows) >= _ROWS:
            break
    return visit.page(
        "sessions.html",
        rows=rows,
        strangers=strangers,
        following=cursor,
        is_first=visit.query("cursor") is None,
        match=match or "",
        state=state or "",
        worker=worker or "",
        states=get_args(SessionState),
    )
