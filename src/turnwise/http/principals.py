"""Who sends a request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import HTTPException, Request


@dataclass(frozen=True, slots=True)
class Principal:
    """Who sends a request.

    Attributes:
        owner: Whom sessions belong to; None: nobody is known, and sessions have no owner.
        key: What limits count by: the API key's id, or the owner.
    """

    owner: str | None
    key: str = ""


Authenticate = Callable[[Request], Awaitable[Principal]]
"""Says who sends a request: a dependency of FastAPI. It raises HTTPException, with 401, say."""


async def nobody(request: Request) -> Principal:
    """Everybody who reaches the server is let in, and sessions have no owner."""
    return Principal(None)


def bearer_token(request: Request) -> str:
    """The token of `Authorization: Bearer`. Raises HTTPException 401 if there is none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise unauthorized("Send the header Authorization: Bearer, with a key or token.")
    return token.strip()


def unauthorized(detail: str) -> HTTPException:
    """The refusal of somebody who is not known."""
    return HTTPException(401, detail, {"WWW-Authenticate": "Bearer"})
