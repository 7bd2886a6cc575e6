"""Principals by API key: `Authorization: Bearer tw_...`."""

from __future__ import annotations

import time
from collections import OrderedDict

from fastapi import Request

from turnwise.fleet.api_keys import ApiKeys, digest_of
from turnwise.http.principals import Authenticate, Principal, bearer_token, unauthorized
from turnwise.session import Session

_BELIEVED_FOR = 5.0
"""Seconds for which a server does not ask the store again for a key that it let in."""
_MOST_BELIEVED = 10_000


def by_api_key(session: Session) -> Authenticate:
    """Lets in who shows an API key, as `turnwise keys create` makes them, for the key's owner.

    A key that was revoked is refused everywhere within five seconds.

    Args:
        session: Stands for all sessions of the store, which has the keys.

    Raises:
        UsageError: The session object is bound to the sessions of one owner.
    """
    keys, believed = ApiKeys(session.runtime), OrderedDict[str, tuple[Principal, float]]()

    async def authenticate(request: Request) -> Principal:
        text = bearer_token(request)
        digest, now = digest_of(text), time.monotonic()
        principal, until = believed.get(digest, (None, 0.0))
        if principal is not None and now < until:
            return principal
        found = await keys.find(text)
        if found is None:
            believed.pop(digest, None)
            raise unauthorized("The API key is not valid.")
        principal = Principal(found.owner, f"key {found.id}")
        believed[digest] = principal, now + _BELIEVED_FOR
        if len(believed) > _MOST_BELIEVED:
            believed.popitem(last=False)
        return principal

    return authenticate
