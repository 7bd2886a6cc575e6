"""The overview: is the fleet well, and what needs a person."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from turnwise.dashboard.site import Visit


async def overview(visit: Visit) -> Response:
    seen = await visit.site.watch.latest()
    return visit.page("overview.html", seen=seen, census=seen.census)


async def samples(visit: Visit) -> Response:
    """For the charts: times, and a column for each line that they draw."""
    await visit.site.watch.latest()
    rows = [
        (
            *(each.at, each.turns_per_second, each.running, each.queued, each.ping_ms),
            *(each.rates.median, each.rates.slowest, each.rates.takeovers),
        )
        for each in visit.site.watch.samples
    ]
    return JSONResponse(list(zip(*rows, strict=True)))
