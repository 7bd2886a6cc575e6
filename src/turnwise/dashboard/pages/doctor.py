"""What `turnwise doctor` finds."""

from __future__ import annotations

from starlette.responses import Response

from turnwise.dashboard.site import Visit
from turnwise.doctor import diagnose


async def doctor(visit: Visit) -> Response:
    session = visit.session
    report = await visit.site.watch.shared.get("doctor", lambda: diagnose(session))
    others = [each for each in report.findings if each not in report.faults]
    return visit.page("doctor.html", faults=report.faults, others=others)
