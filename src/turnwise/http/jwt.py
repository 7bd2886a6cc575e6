"""Principals by JSON Web Token: `Authorization: Bearer ey...`."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Any
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, build_opener
from urllib.request import Request as Fetch

import jwt
from fastapi import HTTPException, Request
from jwt.algorithms import get_default_algorithms

from turnwise.errors import UsageError
from turnwise.http.principals import Authenticate, Principal, bearer_token, unauthorized
from turnwise.stores.header import check_owner

_log = logging.getLogger("turnwise")
_SYMMETRIC = frozenset({"HS256", "HS384", "HS512"})
_KNOWN = frozenset(get_default_algorithms()) - {"none"}
_FETCHED_FOR = 300.0
"""Seconds after which a key set is fetched again, when a token is to be checked."""
_BETWEEN_FETCHES = 30.0
"""Seconds that are between two fetches at least, however many tokens name unknown keys."""
_FETCH_TIMEOUT = 5.0
_MAX_KEY_SET = 256 * 1024

Find = Callable[[dict[str, Any]], Awaitable[Any]]
"""The key for a token with this header; None if there is none."""


def by_jwt(
    *,
    audience: str,
    issuer: str,
    algorithms: Collection[str],
    key: str | bytes | None = None,
    jwks_url: str | None = None,
    owner_claim: str = "sub",
    leeway: float = 30.0,
) -> Authenticate:
    """Lets in who shows a valid JWT, for the owner that it names.

    A token needs an expiry (`exp`), this issuer and audience, and the owner. It is valid until it
    expires: nobody revokes it before.

    Args:
        audience: What `aud` is, or has in it.
        issuer: What `iss` is.
        algorithms: Those that a token may be signed with: "RS256", "ES256" … Either all of them
            are for a secret (HS256, HS384, HS512), or none is.
        key: The secret, for HS algorithms, of at least as many bytes as the digest; or the public
            key, in PEM.
        jwks_url: Where the issuer publishes its public keys, instead of `key`: an `https://` URL.
            They are fetched every five minutes, and when a token names an unknown one, but at most
            every 30 seconds. If the issuer does not answer, the keys that are known stay valid.
        owner_claim: The claim that names the owner.
        leeway: Seconds by which clocks may differ.

    Raises:
        UsageError: An argument is wrong, or both or none of `key` and `jwks_url` are given.
    """
    allowed = _checked_algorithms(algorithms)
    if not (audience and issuer and owner_claim):
        raise UsageError("audience, issuer and owner_claim: name them, so that no other token fits")
    find = _finder(key, jwks_url, allowed)
    options: Any = {"require": ["exp", "aud", "iss", owner_claim]}
    options["enforce_minimum_key_length"] = True

    async def authenticate(request: Request) -> Principal:
        token = bearer_token(request)
        try:
            header = jwt.get_unverified_header(token)
            found = await find(header)
            if found is None:
                raise jwt.InvalidKeyError
            claims = jwt.decode(
                token,
                found,
                algorithms=allowed,
                audience=audience,
                issuer=issuer,
                leeway=leeway,
                options=options,
            )
            owner = check_owner(claims[owner_claim])
        except jwt.ExpiredSignatureError:
            raise unauthorized("The token has expired.") from None
        except (jwt.PyJWTError, UsageError, RecursionError):  # the last for nested JSON
            raise unauthorized("The token is not valid.") from None
        return Principal(owner, owner)

    return authenticate


def _checked_algorithms(algorithms: Collection[str]) -> list[str]:
    names = [] if isinstance(algorithms, str) else list(algorithms)
    if not names or not _KNOWN.issuperset(names):
        raise UsageError(f"algorithms={algorithms!r}: use some of {', '.join(sorted(_KNOWN))}")
    if not (_SYMMETRIC.issuperset(names) or _SYMMETRIC.isdisjoint(names)):
        raise UsageError(
            f"algorithms={algorithms!r}: some are for a secret, and some for a public key, which "
            "would then be taken for a secret. Use one kind"
        )
    return names


def _finder(key: str | bytes | None, jwks_url: str | None, algorithms: list[str]) -> Find:
    if (key is None) == (jwks_url is None):
        raise UsageError("give either key, a secret or public key, or jwks_url")
    if jwks_url is None:
        prepared = _prepared(key or "", algorithms)

        async def given(header: dict[str, Any]) -> Any:
            return prepared.get(header.get("alg"))

        return given
    if not _SYMMETRIC.isdisjoint(algorithms):
        raise UsageError(f"algorithms={algorithms!r}: what is published at a URL is no secret")
    return KeySet(jwks_url).find


def _prepared(key: str | bytes, algorithms: list[str]) -> dict[Any, Any]:
    """The key in the form that each algorithm takes. Raises UsageError."""
    known = get_default_algorithms()
    try:
        prepared = {name: known[name].prepare_key(key) for name in algorithms}
    except Exception as error:  # whatever the library of the algorithm raises
        raise UsageError(f"key: it is none for {algorithms} ({type(error).__name__})") from None
    raw = key.encode() if isinstance(key, str) else key
    if any(name in _SYMMETRIC and len(raw) < int(name[2:]) // 8 for name in algorithms):
        raise UsageError("key: a secret needs as many bytes as the digest: 32 for HS256")
    return dict.fromkeys(prepared, key)


class KeySet:
    """The public keys that an issuer publishes."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        is_local = parts.hostname in ("localhost", "127.0.0.1", "::1")
        if parts.scheme != "https" and not (parts.scheme == "http" and is_local):
            raise UsageError(
                f"jwks_url: use an https:// URL, since who changes the keys on the way is whoever "
                f"they like; {parts.scheme}:// is for localhost only"
            )
        self._url = url
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._asked = -_FETCHED_FOR
        self._fetching = asyncio.Lock()

    async def find(self, header: dict[str, Any]) -> jwt.PyJWK | None:
        """The key that a token's header names. Raises HTTPException 503 if no key is known."""
        kid = header.get("kid")
        is_known = kid in self._keys
        if self._is_due(kid) and not (is_known and self._fetching.locked()):
            async with self._fetching:
                if self._is_due(kid):  # else another request has fetched them meanwhile
                    await self._fetch()
        if not self._keys:
            raise HTTPException(
                503, "The issuer of tokens does not publish its keys.", {"Retry-After": "30"}
            )
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(kid)

    def _is_due(self, kid: object) -> bool:
        age = time.monotonic() - self._asked
        return age >= _FETCHED_FOR or (kid not in self._keys and age >= _BETWEEN_FETCHES)

    async def _fetch(self) -> None:
        try:
            self._keys = await asyncio.to_thread(_published_at, self._url)
        except Exception as error:  # of the network, of the server, or in what it sent
            _log.warning("the keys at %s cannot be fetched: %s", self._url, error)
        self._asked = time.monotonic()


class _Stay(HTTPRedirectHandler):
    """Follows nobody to an address that was not configured: it may not even be https."""

    def redirect_request(self, *_: Any) -> None:
        """See `HTTPRedirectHandler`."""


def _published_at(url: str) -> dict[str | None, jwt.PyJWK]:
    request = Fetch(url, headers={"Accept": "application/json"})
    with build_opener(_Stay).open(request, timeout=_FETCH_TIMEOUT) as reply:
        published = json.loads(reply.read(_MAX_KEY_SET))
    keys: dict[str | None, jwt.PyJWK] = {}
    for each in published["keys"]:
        try:
            found = jwt.PyJWK(each)
        except jwt.PyJWTError:  # of a kind that is not known here
            continue
        if each.get("kty") != "oct" and each.get("use") in (None, "sig"):
            keys[found.key_id] = found
    return keys
