"""What the routes of all wires have in common: bounded bodies, and errors in the wire's dialect."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, ClassVar

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.responses import Response

from turnwise.errors import TurnwiseError
from turnwise.http.principals import Authenticate, Principal
from turnwise.http.problems import Problem, phrase_of, problem_of
from turnwise.http.sse import EventStream, Streams

MAX_BODY = 4 * 1024 * 1024
"""Bytes of a request."""


class _Id(PathConvertor):
    """`{name:id}` in a path: an id has any characters, also slashes and line breaks."""

    regex = "(?s:.*)"


register_url_convertor("id", _Id())


_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
    },
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says of a route's problems: for `responses`."""
    content = {"application/problem+json": {"schema": _PROBLEM}}
    return {status: {"description": phrase_of(status), "content": content} for status in statuses}


def remember(authenticate: Authenticate) -> Any:
    """A router's dependency: `principal_of` then says who sends the request."""

    async def remembered(
        request: Request,
        principal: Principal = Depends(authenticate),  # noqa: B008  # as FastAPI has it
    ) -> None:
        request.state.principal = principal

    return Depends(remembered)


def principal_of(request: Request) -> Principal:
    """Who sends it, as the router's `remember` found."""
    principal: Principal = request.state.principal
    return principal


def admit_stream(request: Request, streams: Streams) -> None:
    """Count the stream that is to answer the request before the route changes anything.

    A route that changes nothing need not call it.

    Raises:
        HTTPException: 429: it is one more than the principal's quota.
    """
    request.state.admitted = streams.admit(principal_of(request))


class Json(JSONResponse):
    """JSON, whatever texts it holds: UTF-8 has no form for half a surrogate pair."""

    def render(self, content: Any) -> bytes:
        """See `JSONResponse`."""
        try:
            return super().render(content)
        except UnicodeEncodeError:
            return json.dumps(content, separators=(",", ":")).encode()


class WireRoute(APIRoute):
    """A route whose errors are answered by `problem`, whatever app it is mounted in.

    A wire with another dialect for errors derives from it: `APIRouter(route_class=...)`.
    """

    max_body: ClassVar[int] = MAX_BODY

    @classmethod
    def problem(cls, problem: Problem) -> Response:
        """A problem as the wire's clients expect it: JSON (RFC 9457)."""
        return Json(
            problem.as_dict(),
            problem.status,
            dict(problem.headers),
            media_type="application/problem+json",
        )

    def get_route_handler(self) -> Callable[[Request], Awaitable[Any]]:  # type: ignore[override]  # it may be any awaitable
        """See `APIRoute`."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            bounded = _Bounded(request.scope, request.receive, self.max_body)
            request.state.admitted = None
            try:
                return _counted(request, await handle(bounded))
            except (TurnwiseError, RequestValidationError, HTTPException) as error:
                return self.problem(problem_of(error))
            finally:
                if request.state.admitted is not None:
                    request.state.admitted.close()  # it became no stream

        return answer


def _counted(request: Request, response: Response) -> Response:
    """The response. A stream is counted until it ends, by now at the latest."""
    if isinstance(response, EventStream):
        if request.state.admitted is None:
            admit_stream(request, response.streams)
        response.admitted = request.state.admitted.pop_all()
    return response


class _Bounded(Request):
    """A request whose body may not be longer than `most` bytes."""

    def __init__(self, scope: Any, receive: Any, most: int) -> None:
        super().__init__(scope, receive)
        self._most = most

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """See `Request`."""
        size = 0
        async for chunk in super().stream():
            size += len(chunk)
            if size > self._most:
                raise HTTPException(413, f"the request has more than {self._most} bytes")
            yield chunk
