"""One turn: where it stands, what it did when, and what was said in it."""

from __future__ import annotations

import time

from starlette.responses import Response

from turnwise.dashboard.drawing import draw
from turnwise.dashboard.site import Visit
from turnwise.fleet import item_texts
from turnwise.fleet.watch import mark

_ITEMS = 100


async def turn(visit: Visit) -> Response:
    session_id, turn_id = visit.needed("id"), visit.needed("turn")
    info = await visit.session.info(session_id)
    if info is None:
        return visit.page("no_session.html", 404, session_id=session_id, outcomes=[])
    found = await visit.session.timeline(session_id, turn_id)
    if found is None:
        return visit.page("no_turn.html", 404, session_id=session_id, turn_id=turn_id)
    first = max(0, len(found.items) - _ITEMS)
    return visit.page(
        "turn.html",
        turn=found,
        mark=mark(info),
        drawing=draw(found.steps, time.time()),
        said=[each for item in found.items[first:] for each in item_texts(item)],
        first=first,
    )
