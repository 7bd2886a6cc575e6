"""Who sends a request: the application says it, or what a proxy or a token says of it."""

from __future__ import annotations

import hmac
import inspect
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv4Network, IPv6Network, ip_address

from starlette.exceptions import HTTPException
from starlette.requests import Request

Authenticate = Callable[[Request], str | Awaitable[str | None] | None]
"""Who sends a request; None if nobody who may."""

LOGIN_COOKIE = "turnwise-login"
LOGIN_SECONDS = 12 * 3600
_SHORTEST_TOKEN = 16


class NotLoggedIn(Exception):
    """The token is asked for."""


async def user_of(authenticate: Authenticate | None, request: Request) -> str:
    """Who sends the request; "" where nobody is asked. Raises HTTPException, NotLoggedIn."""
    if authenticate is None:
        return ""
    user = authenticate(request)
    if inspect.isawaitable(user):
        user = await user
    if user is None:
        raise HTTPException(403, "You are not let in here: ask who runs this dashboard.")
    return user


@dataclass(frozen=True)
class Token:
    """Lets in who knows the token: as `Authorization: Bearer`, or by the form that asks for it."""

    token: str

    def __post_init__(self) -> None:
        if len(self.token) < _SHORTEST_TOKEN:
            raise ValueError(f"the token has less than {_SHORTEST_TOKEN} characters")

    def __call__(self, request: Request) -> str:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.is_right(given.strip()):
            return "token"
        if self._is_valid(request.cookies.get(LOGIN_COOKIE, "")):
            return "token"
        raise NotLoggedIn

    def is_right(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.token.encode())

    def cookie(self) -> str:
        """What a browser shows from now on instead of the token."""
        return self._signed(str(int(time.time()) + LOGIN_SECONDS))

    def _is_valid(self, cookie: str) -> bool:
        until, _, _ = cookie.partition(".")
        if not until.isdecimal() or not until.isascii() or int(until) < time.time():
            return False
        return hmac.compare_digest(cookie.encode(), self._signed(until).encode())

    def _signed(self, until: str) -> str:
        return f"{until}.{hmac.new(self.token.encode(), until.encode(), sha256).hexdigest()}"


@dataclass(frozen=True)
class UserHeader:
    """Lets in whom a proxy before the dashboard lets in, and names in a header.

    Attributes:
        header: The header's name.
        proxies: Where the proxy's connections come from: others could write the header too.
    """

    header: str
    proxies: Sequence[IPv4Network | IPv6Network]

    def __call__(self, request: Request) -> str:
        if not self._is_proxy(request.client.host if request.client else ""):
            raise HTTPException(403, "This dashboard is reached through its proxy only.")
        user = request.headers.get(self.header, "")
        if not user:
            raise HTTPException(401, f"The proxy named nobody: the header {self.header} is absent.")
        return user

    def _is_proxy(self, peer: str) -> bool:
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        return any(address in network for network in self.proxies)
