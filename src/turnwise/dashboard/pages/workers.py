"""The workers: which live, what they know and hold; what they are told; and other processes."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.responses import Response

from turnwise.dashboard.site import Outcome, Visit
from turnwise.errors import TurnwiseError
from turnwise.fleet.census import Census

_VERBS = ("quiet", "resume", "stop", "pause", "unpause")


async def workers(visit: Visit) -> Response:
    """Shows them; first tells them what the form says. What ends something is asked about."""
    verb = visit.form.get("do", "")
    if visit.form and verb not in _VERBS:
        raise HTTPException(400, "A form says quiet, resume, stop, pause or unpause.")
    if verb == "stop" and "sure" not in visit.form:
        name = visit.form.id("worker")
        words = f"{name} ends its turns and stops. What started it may start it again."
        return visit.question(verb, "Stop this worker?", words, visit.link("/workers"), worker=name)
    outcomes = [await _tell(visit, verb)] if visit.form else []
    return await _page(visit, outcomes)


async def _page(visit: Visit, outcomes: list[Outcome]) -> Response:
    seen = await visit.site.watch.latest()
    pauses = await visit.session.pauses() if outcomes else seen.pauses
    found = sorted(seen.workers, key=lambda worker: (worker.alive, worker.name))
    census = seen.census or Census()
    known = {worker.name for worker in found}
    return visit.page(
        "workers.html",
        seen=seen,
        workers=found,
        pauses=pauses,
        agents=sorted({agent for worker in found for agent in worker.agents}),
        others=sorted((census.holders.keys() | census.lost.keys()) - known),
        census=census,
        outcomes=outcomes,
    )


async def _tell(visit: Visit, verb: str) -> Outcome:
    name = visit.form.id("worker")
    agent = visit.form.get("agent") or visit.form.id("paused") or None
    session, reason, by = visit.session, visit.reason, visit.by
    which = "all messages" if agent is None else f"messages for agent {agent}"
    try:
        if verb == "quiet":
            await session.quiet_worker(name, reason=reason, by=by)
            return Outcome(f"{name} takes nothing new, once it has heard it: within five seconds.")
        if verb == "resume":
            await session.resume_worker(name, reason=reason, by=by)
            return Outcome(f"{name} takes messages again, within five seconds.")
        if verb == "stop":
            await session.stop_worker(name, reason=reason, by=by)
            return Outcome(f"{name} is told to stop; it hears it within five seconds.")
        if verb == "pause":
            await session.pause_queue(agent, reason=reason, by=by)
            return Outcome(f"Workers leave {which} in the queue, within five seconds.")
        if await session.resume_queue(agent, reason=reason, by=by):
            return Outcome(f"Workers take {which} again, within five seconds.")
        return Outcome(f"There was no pause of {which} any more.", failed=True)
    except TurnwiseError as error:
        return Outcome(str(error), failed=True)
