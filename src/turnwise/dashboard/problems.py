"""What went wrong, in words: never a trace, which only the log has."""

from __future__ import annotations

import logging

from starlette.exceptions import HTTPException
from starlette.responses import Response

from turnwise.dashboard.authentication import NotLoggedIn
from turnwise.dashboard.site import Visit
from turnwise.errors import (
    NewerFormat,
    StoreError,
    StoreUnavailable,
    TurnError,
    TurnwiseError,
    UsageError,
)

_log = logging.getLogger("turnwise")
_KINDS: tuple[tuple[type[TurnwiseError], int, str], ...] = (
    (UsageError, 400, "That cannot be asked"),
    (StoreUnavailable, 503, "The store does not answer"),
    (NewerFormat, 409, "A newer version wrote this"),
    (StoreError, 409, "The store holds something unexpected, or refuses"),
    (TurnError, 409, "It is no longer so"),
    (TurnwiseError, 409, "That did not work"),
)
_STATUSES = {
    400: "That cannot be asked",
    401: "Who are you?",
    403: "That is not allowed",
    404: "There is no such page",
    405: "That cannot be done here",
    413: "That is too much",
}


def problem_page(visit: Visit, error: Exception) -> Response:
    """The page that says it. What this code did not foresee is logged."""
    if isinstance(error, NotLoggedIn):
        return visit.page("login.html", 401, failed=False)
    if isinstance(error, TurnwiseError):
        status, heading = next(kind[1:] for kind in _KINDS if isinstance(error, kind[0]))
        return visit.page("problem.html", status, heading=heading, words=str(error))
    if isinstance(error, HTTPException):
        heading = _STATUSES.get(error.status_code, error.detail)
        words = "" if error.status_code in (404, 405) else error.detail
        answer = visit.page("problem.html", error.status_code, heading=heading, words=words)
        answer.headers.update(error.headers or {})
        return answer
    _log.error("the dashboard failed at %s", visit.request.url.path, exc_info=error)
    words = "The dashboard's log has what happened."
    return visit.page("problem.html", 500, heading="This page failed", words=words)
