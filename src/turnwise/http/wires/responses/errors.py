"""Errors as OpenAI's API tells them, and what Turnwise's errors are there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from turnwise.errors import TurnwiseError
from turnwise.http.problems import Problem, problem_of
from turnwise.http.routes import WireRoute

LOCKED = (
    "Another process is currently operating on this conversation. Please retry in a few seconds."
)
Kind = Literal["invalid_request_error", "server_error", "rate_limit_error", "authentication_error"]
_KINDS: dict[int, Kind] = {401: "authentication_error", 429: "rate_limit_error"}
_CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded"}


class OpenAIError(Exception):
    """An error as the client gets it."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        kind: Kind = "invalid_request_error",
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"message": message, "type": kind, "param": param, "code": code}
        self.headers = headers or {}

    def response(self) -> Response:
        return JSONResponse({"error": self.body}, self.status, self.headers)


def invalid(message: str, param: str | None = None, code: str | None = None) -> OpenAIError:
    return OpenAIError(400, message, param=param, code=code)


def not_found(message: str, param: str | None = None) -> OpenAIError:
    return OpenAIError(404, message, param=param)


def locked() -> OpenAIError:
    """A conversation is busy. The Agents SDK tries again for this code."""
    return invalid(LOCKED, code="conversation_locked")


@contextmanager
def no_repeat_without(key: str | None) -> Iterator[None]:
    """Where a message may be queued, a client without an id for it must not repeat it by itself.

    OpenAI's clients repeat what fails with 5xx, and each time another message would be queued.
    """
    try:
        yield
    except (OpenAIError, TurnwiseError) as error:
        said = of_error(error)
        if key is None and said.status >= 500:
            said.headers["x-should-retry"] = "false"
        raise said from error


class OpenAIRoute(WireRoute):
    """A route whose errors have OpenAI's form."""

    @classmethod
    def problem(cls, problem: Problem) -> Response:
        """See `WireRoute.problem`."""
        return of_problem(problem).response()

    def get_route_handler(self) -> Callable[[Request], Awaitable[Any]]:  # type: ignore[override]  # as in WireRoute
        """See `APIRoute`."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                found: Response = await handle(request)
            except OpenAIError as error:
                return error.response()
            return found

        return answer


def of_error(error: Exception) -> OpenAIError:
    """Any error as the client gets it."""
    return error if isinstance(error, OpenAIError) else of_problem(problem_of(error))


def of_problem(problem: Problem) -> OpenAIError:
    """A problem as the client gets it.

    The client tries 409 again, which none of these is worth; so what a client did wrong is 400.
    """
    if problem.code in ("SessionBusy", "BusyTimeout"):
        return locked()
    if problem.code == "UnknownAgent":
        return OpenAIError(404, problem.detail, param="model", code="model_not_found")
    status = 400 if problem.status in (409, 422) else problem.status
    param = None
    if problem.code == "InvalidRequest":
        param = ".".join(problem.detail.partition(":")[0].split(".")[1:]) or None
    return OpenAIError(
        status,
        problem.detail,
        param=param,
        code=_CODES.get(status, "invalid_value" if param else None),
        kind=_KINDS.get(status, "server_error" if status >= 500 else "invalid_request_error"),
        headers=dict(problem.headers),
    )
