"""Whether a client is of the right kind for the server at its address.

The errors of one that is not say little: a server that expects TLS closes a plain connection, a
plain one waits for more of a TLS greeting, a cluster's node serves some keys and not others. So,
when a first call has failed, one look at the address tells what stands there.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from redis.asyncio import RedisCluster, SSLConnection
from redis.exceptions import AskError

from turnwise.stores.redis.clients import Client, sentinels

_TIMEOUT = 3.0
_WHAT = {"standalone": "one server", "cluster": "a Cluster's node", "sentinel": "a Sentinel"}
_SUFFIX = {"standalone": "", "cluster": "+cluster", "sentinel": "+sentinel"}


@dataclass(frozen=True)
class _Kind:
    """`mode`: as HELLO answers it, or empty if that is not known."""

    mode: str
    secure: bool

    def __str__(self) -> str:
        return f"{_WHAT[self.mode]} {'with' if self.secure else 'without'} TLS"

    @property
    def scheme(self) -> str:
        return ("rediss" if self.secure else "redis") + _SUFFIX[self.mode]


async def wrong_scheme(client: Client, error: Exception, *, reached: bool) -> str | None:
    """Which scheme the URL should have after this error of a call; None if it may be right.

    `reached`: whether a call has succeeded before, so that only certain errors cast a doubt.
    """
    if reached and not _mode(client, error) and "unknown command" not in str(error):
        return None
    expected, addresses = _expected(client)
    for address in addresses:
        seen = await _look(*address)
        if seen is not None:
            actual = _Kind(seen.mode or _mode(client, error) or expected.mode, seen.secure)
            return None if actual == expected else _advice(address, expected, actual)
    return None


def _advice(address: tuple[str, int], expected: _Kind, actual: _Kind) -> str:
    host, port = address
    return (
        f"at {host}:{port} is {actual}, and the Redis client is for {expected}. Use a URL that "
        f"begins with {actual.scheme}://, or a client for that. Nothing was written"
    )


def _expected(client: Client) -> tuple[_Kind, list[tuple[str, int]]]:
    """What the client is for, and the addresses that it was given."""
    if isinstance(client, RedisCluster):
        settings: list[Any] = list(client.startup_nodes)
        mode = "cluster"
    else:
        asked = sentinels(client)
        settings = [each.connection_pool for each in asked or [client]]
        mode = "sentinel" if asked else "standalone"
    addresses = [
        (str(each.connection_kwargs["host"]), int(each.connection_kwargs.get("port", 6379)))
        for each in settings
        if "host" in each.connection_kwargs
    ]
    secure = any(issubclass(each.connection_class, SSLConnection) for each in settings)
    return _Kind(mode, secure), addresses


def _mode(client: Client, error: Exception) -> str:
    """What kind of server answers so, if it is not of the client's; empty if that is not known."""
    if isinstance(error, AskError) and not isinstance(client, RedisCluster):  # or MOVED
        return "cluster"
    text = str(error)
    no_sentinel = "unknown command" in text and "SENTINEL" in text
    return "standalone" if no_sentinel or "Cluster mode is not enabled" in text else ""


async def _look(host: str, port: int) -> _Kind | None:
    """What stands there; None if nothing answers. Tells it no password."""
    plain = await _ask(host, port, None)
    if plain is None:
        return None
    if plain.startswith((b"*", b"-")):  # and no alert of TLS
        return _Kind(_mode_in(plain), secure=False)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    answer = await _ask(host, port, context)
    return None if answer is None else _Kind(_mode_in(answer), secure=True)


def _mode_in(answer: bytes) -> str:
    return next((mode for mode in _WHAT if mode.encode() in answer), "")


async def _ask(host: str, port: int, tls: ssl.SSLContext | None) -> bytes | None:
    """What a server answers to HELLO: empty if it hangs up, None if there is none or it is slow."""
    with suppress(OSError, ValueError):  # such a host name cannot be
        async with asyncio.timeout(_TIMEOUT):
            reader, writer = await asyncio.open_connection(host, port, ssl=tls)
            try:
                writer.write(b"HELLO 2\r\n")
                return await reader.read(4096)
            except (ConnectionError, ssl.SSLError):
                return b""
            finally:
                writer.transport.abort()
    return None
