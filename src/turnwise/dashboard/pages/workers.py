"""The workers: which live, what they know and hold; and other processes that have turns."""

from __future__ import annotations

from starlette.responses import Response

from turnwise.dashboard.site import Visit
from turnwise.dashboard.watch import Census


async def workers(visit: Visit) -> Response:
    seen = await visit.site.watch.latest()
    found = sorted(seen.workers, key=lambda worker: (worker.alive, worker.name))
    census = seen.census or Census()
    known = {worker.name for worker in found}
    others = sorted((census.holders.keys() | census.lost.keys()) - known)
    return visit.page("workers.html", seen=seen, workers=found, others=others, census=census)
