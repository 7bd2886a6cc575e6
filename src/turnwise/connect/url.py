"""The one function from a URL to sessions."""

from __future__ import annotations

from typing import Any, Unpack
from urllib.parse import unquote, urlsplit

from turnwise.connect.clients import REDIS_SCHEMES, safe, split
from turnwise.connect.sessions import (
    DEFAULT_PREFIX,
    MemorySession,
    RedisSession,
    SQLiteSession,
)
from turnwise.connect.settings import Options
from turnwise.errors import InvalidURL
from turnwise.session import SDKSettings


def connect(
    url: str,
    *,
    session_id: str | None = None,
    key_prefix: str = DEFAULT_PREFIX,
    ttl: float | None = None,
    limit: int | None = None,
    session_settings: SDKSettings = None,
    **options: Unpack[Options],
) -> RedisSession | SQLiteSession | MemorySession:
    """Sessions in the store that a URL names. No I/O yet.

    - `redis://[user:password@]host[:port][/database]`, `valkey://` alike; `rediss://` and
      `valkeys://` for TLS, with certificate and host name checked (`?ssl_ca_certs=` for an own
      authority)
    - `redis+cluster://host[:port]`, any node; `rediss+cluster://` for TLS
    - `redis+sentinel://host1[:port],host2[:port]/master[/database]`, the sentinels and the name
      they know the primary by; their own login in `?sentinel_username=&sentinel_password=`
    - `sqlite:///relative/path`, `sqlite:////absolute/path`
    - `memory://`

    `key_prefix` concerns Redis only. Raises InvalidURL, and what the classes' constructors raise.
    """
    common: dict[str, Any] = {
        "session_id": session_id,
        "ttl": ttl,
        "limit": limit,
        "session_settings": session_settings,
        **options,
    }
    scheme, _ = split(url)
    if scheme in REDIS_SCHEMES:
        return RedisSession.from_url(url, key_prefix=key_prefix, **common)
    if scheme == "sqlite":
        return SQLiteSession(_path(url), **common)
    if scheme == "memory":
        return MemorySession(**common)
    known = ", ".join(f"{name}://" for name in (*REDIS_SCHEMES, "sqlite", "memory"))
    raise InvalidURL(f"{safe(url)} begins with none of {known}")


def _path(url: str) -> str:
    parts = urlsplit(url)
    path = unquote(parts.path)[1:]
    if parts.netloc or not path or parts.query or parts.fragment:
        raise InvalidURL(
            f"{safe(url)}: use sqlite:///sessions.db for a relative path, or "
            "sqlite:////var/lib/app/sessions.db for an absolute one"
        )
    return path
