"""What the routes of all wires have in common: bounded bodies, and errors in the wire's dialect."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, ClassVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response

from turnwise.errors import TurnwiseError
from turnwise.http.problems import Problem, problem_of

MAX_BODY = 4 * 1024 * 1024
"""Bytes of a request."""


class WireRoute(APIRoute):
    """A route whose errors are answered by `problem`, whatever app it is mounted in.

    A wire with another dialect for errors derives from it: `APIRouter(route_class=...)`.
    """

    max_body: ClassVar[int] = MAX_BODY

    @classmethod
    def problem(cls, problem: Problem) -> Response:
        """A problem as the wire's clients expect it: JSON (RFC 9457)."""
        return JSONResponse(
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
            try:
                return await handle(bounded)
            except (TurnwiseError, RequestValidationError, HTTPException) as error:
                return self.problem(problem_of(error))

        return answer


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
