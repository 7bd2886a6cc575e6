"""From Redis URLs to clients."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from turnwise.errors import InvalidURL
from turnwise.printable import without_password
from turnwise.stores.redis import Client, cluster_client, sentinel_client, standalone_client

_SENTINEL_PORT = 26379
_TLS = ("rediss", "valkeys")
_PLAIN = ("redis", "valkey")


def redis_client(url: str) -> Client:
    """A client for what the URL names; it connects when first used. Raises InvalidURL."""
    scheme, rest = split(url)
    if scheme not in REDIS_SCHEMES:
        known = ", ".join(f"{name}://" for name in REDIS_SCHEMES)
        raise InvalidURL(f"{redacted(url)} begins with none of {known}")
    secure = "rediss" if scheme.split("+")[0] in _TLS else "redis"
    try:
        return REDIS_SCHEMES[scheme](f"{secure}://{rest}")
    except (ValueError, TypeError) as error:
        # The message may quote part of the URL, so it is left out if there is a password.
        raise InvalidURL(f"{redacted(url)} is no valid Redis URL: {_reason(url, error)}") from None


def split(url: object) -> tuple[str, str]:
    """The scheme in lower case, and the rest; two empty strings if it is no URL."""
    scheme, mark, rest = url.partition("://") if isinstance(url, str) else ("", "", "")
    return (scheme.lower(), rest) if mark else ("", "")


def redacted(url: object) -> str:
    """The URL without its password, for messages."""
    if not isinstance(url, str) or "://" not in url:
        return repr(url) if not isinstance(url, str) or "@" not in url else "the URL"
    return repr(without_password(url))


def _reason(url: str, error: Exception) -> str:
    if isinstance(error, InvalidURL):
        return str(error)
    return type(error).__name__ if "@" in url or "password" in url else str(error)


def _standalone(url: str) -> Client:
    parts = urlsplit(url)
    if not parts.hostname:
        raise InvalidURL("it names no host")
    _check_database(parts.path.strip("/"))
    _ = parts.port  # raises ValueError
    client = standalone_client(url)
    # Raises TypeError for an unknown option.
    client.connection_pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py leaves it so
    return client


def _cluster(url: str) -> Client:
    parts = urlsplit(url)
    if not parts.hostname:
        raise InvalidURL("it names no host")
    if parts.path.strip("/") not in ("", "0"):
        raise InvalidURL("a cluster has database 0 only")
    _ = parts.port  # raises ValueError
    return cluster_client(url)


def _sentinel(url: str) -> Client:
    parts = urlsplit(url)
    login, _, addresses = parts.netloc.rpartition("@")
    hosts = [_address(address) for address in addresses.split(",") if address]
    master, _, database = unquote(parts.path).strip("/").partition("/")
    if not hosts or not master:
        raise InvalidURL("use redis+sentinel://host1:26379,host2:26379/master/0")
    _check_database(database)
    query = dict(parse_qsl(parts.query))
    names = {"sentinel_username": "username", "sentinel_password": "password"}
    own = {names[key]: query.pop(key) for key in names if key in query}
    # A placeholder stands for the primary's address, so that redis-py parses login, TLS and query.
    stand_in = f"{parts.scheme}://{login}{'@' if login else ''}primary/{database or 0}"
    return sentinel_client(hosts, master, f"{stand_in}?{urlencode(query)}", sentinel_login=own)


def _address(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise InvalidURL("one of its addresses names no host")
    return parts.hostname, parts.port or _SENTINEL_PORT


def _check_database(text: str) -> None:
    if text and not text.isdecimal():
        raise InvalidURL("its path must be the number of a database")


def _schemes(suffix: str, build: Callable[[str], Client]) -> dict[str, Callable[[str], Client]]:
    return {name + suffix: build for name in (*_PLAIN, *_TLS)}


REDIS_SCHEMES = {
    **_schemes("", _standalone),
    **_schemes("+cluster", _cluster),
    **_schemes("+sentinel", _sentinel),
}
