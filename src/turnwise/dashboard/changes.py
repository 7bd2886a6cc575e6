"""Tells a page by Server-Sent Events that it has become old; the page then asks for itself anew."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from turnwise.dashboard.site import Visit

_SECONDS = 15.0
"""For so long a stream lasts; the browser opens the next. A server that stops waits for it."""
_MOST_STREAMS = 200
_HEADERS = {"X-Accel-Buffering": "no"}


async def changes(visit: Visit) -> Response:
    """`/changes?id=…&known=…` for one session; without, for what the overview shows.

    A browser that connects again sends the last mark that it heard of.
    """
    session_id, watch = visit.query("id"), visit.site.watch
    if watch.streams >= _MOST_STREAMS:
        raise HTTPException(503, "Too many pages are open; load this one again to see changes.")
    if session_id is not None:
        visit.session.bind(session_id)  # checks the id
        known = visit.request.headers.get("last-event-id") or visit.query("known") or ""
    news = watch.looks() if session_id is None else watch.changes_of(session_id, known)

    async def events() -> AsyncIterator[str]:
        until = asyncio.get_running_loop().time() + _SECONDS
        watch.streams += 1
        try:
            yield "retry: 1000\n\n"
            while True:
                async with asyncio.timeout_at(until):
                    mark = await anext(news)
                yield f"event: change\nid: {mark}\ndata:\n\n"
        except (TimeoutError, StopAsyncIteration):
            pass
        finally:
            watch.streams -= 1

    return StreamingResponse(events(), media_type="text/event-stream", headers=_HEADERS)
