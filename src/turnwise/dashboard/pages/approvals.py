"""The inbox of approvals: tool calls that wait until somebody decides."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.responses import Response

from turnwise.dashboard.pages.found import find
from turnwise.dashboard.site import Outcome, Visit
from turnwise.errors import TurnwiseError
from turnwise.fleet import WaitingApproval


async def approvals(visit: Visit) -> Response:
    """Shows them; first decides what the form says."""
    outcomes = [await _decide(visit)] if visit.form else []
    found = await find(visit, "approvals", visit.session.waiting_approvals)
    each = sorted(found.each, key=_since)
    return visit.page("approvals.html", found=each, cut=found.cut, outcomes=outcomes)


def _since(waiting: WaitingApproval) -> float:
    return waiting.since or 0.0


async def _decide(visit: Visit) -> Outcome:
    session_id, approval = visit.form.id("id"), visit.form.id("approval")
    verdict = visit.form.get("do", "")
    try:
        if verdict == "approve":
            left = await visit.session.decide(session_id, approve=[approval], by=visit.by)
        elif verdict == "reject":
            message = visit.form.get("message") or None
            reject = {approval: message}
            left = await visit.session.decide(session_id, reject=reject, by=visit.by)
        else:
            raise HTTPException(400, "A form says approve or reject.")
    except TurnwiseError as error:
        return Outcome(str(error), failed=True)
    finally:
        visit.site.watch.shared.clear()
    done = "Approved" if verdict == "approve" else "Rejected"
    more = f"{len(left)} more of its turn wait." if left else "Its turn goes on."
    return Outcome(f"{done} in session {session_id}. {more}")
