"""What went wrong, as a status code and words for the client."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from turnwise.errors import (
    DeadLettered,
    LimitError,
    NoPendingApproval,
    QueueFull,
    SessionExists,
    SessionGone,
    SessionTaken,
    StoreError,
    StoreUnavailable,
    TurnError,
    TurnIdReused,
    TurnwiseError,
    UnknownAgent,
    UsageError,
)

_log = logging.getLogger("turnwise")


class ServerStopping(TurnwiseError):
    """This process takes no new messages, since it stops. Send it again: another one takes it."""


# The first that matches decides.
_STATUSES: tuple[tuple[type[TurnwiseError], HTTPStatus], ...] = (
    (ServerStopping, HTTPStatus.SERVICE_UNAVAILABLE),
    (UnknownAgent, HTTPStatus.UNPROCESSABLE_ENTITY),
    (UsageError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (QueueFull, HTTPStatus.TOO_MANY_REQUESTS),
    (LimitError, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (StoreUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (SessionExists, HTTPStatus.CONFLICT),
    (StoreError, HTTPStatus.INTERNAL_SERVER_ERROR),
    (SessionGone, HTTPStatus.NOT_FOUND),
    (SessionTaken, HTTPStatus.NOT_FOUND),
    (NoPendingApproval, HTTPStatus.NOT_FOUND),
    (TurnIdReused, HTTPStatus.UNPROCESSABLE_ENTITY),
    (DeadLettered, HTTPStatus.INTERNAL_SERVER_ERROR),
    (TurnError, HTTPStatus.CONFLICT),
    (TurnwiseError, HTTPStatus.INTERNAL_SERVER_ERROR),
)
_AGAIN = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
"""Statuses after which the same request may succeed a second later."""
_RFC_9110 = {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}
"""What Pythons before 3.13 call by older names. A code is the same whatever Python serves it."""


def phrase_of(status: int) -> str:
    """The status in words."""
    return _RFC_9110.get(status) or HTTPStatus(status).phrase


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong.

    Attributes:
        status: The HTTP status.
        code: One word for programs: the name of Turnwise's error, or of the status.
        detail: Words for people.
        headers: To be sent with it: `Retry-After`, where the same request may succeed soon.
    """

    status: int
    code: str
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The status in words."""
        return phrase_of(self.status)

    def as_dict(self) -> dict[str, object]:
        """The members of a problem (RFC 9457)."""
        return {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }


def problem_of(error: Exception) -> Problem:
    """What to tell the client. What this code did not foresee, and what the store says, is logged.

    A client is not told what only operators should know: where the store is, why an agent failed.
    """
    if isinstance(error, TurnwiseError):
        return _of_turnwise(error)
    if isinstance(error, RequestValidationError):
        return Problem(422, "InvalidRequest", "; ".join(map(_where, error.errors())))
    if isinstance(error, HTTPException):
        code = phrase_of(error.status_code).title().replace(" ", "")
        return Problem(error.status_code, code, str(error.detail), error.headers or {})
    _log.error("a request failed", exc_info=error)
    return Problem(500, "InternalServerError", "The server's log has what happened.")


def _of_turnwise(error: TurnwiseError) -> Problem:
    status = next(status for kind, status in _STATUSES if isinstance(error, kind))
    headers = {"Retry-After": "1"} if status in _AGAIN else {}
    detail = str(error)
    if isinstance(error, StoreUnavailable):
        _log.warning("a request failed: %s", error)
        detail = "the store does not answer. Send the request again, with the same id"
    elif isinstance(error, StoreError) and not isinstance(error, SessionExists):
        _log.error("a request failed: %s", error)
        detail = "the store refused the request, or holds something unexpected: the log says what"
    elif isinstance(error, DeadLettered):
        detail = "the agent failed for good; operators find the message among the dead letters"
    return Problem(int(status), type(error).__name__, detail, headers)


def _where(error: Mapping[str, object]) -> str:
    location = error.get("loc", ())
    path = ".".join(map(str, location)) if isinstance(location, tuple) else ""
    return f"{path}: {error.get('msg')}"
