"""The one function from a URL to sessions."""

from __future__ import annotations

from typing import Any, Unpack
from urllib.parse import unquote, urlsplit

from turnwise.connect.clients import REDIS_SCHEMES, redacted, split
from turnwise.connect.sessions import (
    MemorySession,
    RedisSession,
    SQLiteSession,
)
from turnwise.connect.settings import Options
from turnwise.errors import InvalidURL
from turnwise.stores.redis import DEFAULT_PREFIX
from turnwise.turn_session import SDKSettings


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
    """Sessions in the store that a URL names. Does no I/O yet.

    - `redis://[user:password@]host[:port][/database]`, or `valkey://`. `rediss://` and `valkeys://`
      use TLS and check certificate and host name; `?ssl_ca_certs=` names a CA file.
    - `redis+cluster://host[:port]` names any node; `rediss+cluster://` uses TLS.
    - `redis+sentinel://host1[:port],host2[:port]/master[/database]` names the Sentinels and the
      primary as they call it. `?sentinel_username=&sentinel_password=` is the Sentinels' login.
    - `sqlite:///relative/path`, `sqlite:////absolute/path`
    - `memory://`

    Args:
        url: One of these forms.
        session_id: The session to be bound to; None to stand for all sessions.
        key_prefix: On Redis, a session's key is this and its id ("agents:sessions:").
        ttl: Seconds after its last change until a session expires; None for no expiry.
        limit: How many items `get_items` returns at most by default; None for all.
        session_settings: The SDK's settings.
        **options: See `turnwise.connect.settings.Options`.

    Raises:
        InvalidURL: The URL has none of these forms.
        InvalidKeyPrefix, InvalidTTL, InvalidSessionId, UsageError: Another argument is invalid.
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
    raise InvalidURL(f"{redacted(url)} begins with none of {known}")


def _path(url: str) -> str:
    parts = urlsplit(url)
    path = unquote(parts.path)[1:]
    if parts.netloc or not path or parts.query or parts.fragment:
        raise InvalidURL(
            f"{redacted(url)}: use sqlite:///sessions.db for a relative path, or "
            "sqlite:////var/lib/app/sessions.db for an absolute one"
        )
    return path
