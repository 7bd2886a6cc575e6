"""What servers, and the client's settings, tell of a deployment. `turnwise.doctor` judges it."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from redis.asyncio import ConnectionPool, Redis, RedisCluster, SSLConnection
from redis.exceptions import RedisError, ResponseError

from turnwise.stores.redis.clients import Client, max_connections, sentinels
from turnwise.stores.redis.keys import Keys
from turnwise.stores.redis.pubsub import dedicated_client
from turnwise.stores.redis.rights import Denied, denied
from turnwise.stores.redis.transport import unavailable

Kind = Literal["standalone", "sentinel", "cluster"]
Ask = Callable[..., Awaitable[Any]]

_TIMEOUT = 5.0
_PINGS, _PINGS_TIME = 100, 2.0
_CONFIG = ("save", "appendfsync", "min-replicas-to-write", "stop-writes-on-bgsave-error")


@dataclass(frozen=True)
class Server:
    """One server, as it describes itself.

    `config`: what CONFIG GET tells; empty if the user may not ask. `skew`: seconds by which its
    clock is ahead of ours. `pings`: ms of each, ascending. `error`: why it could not be asked.
    """

    address: str
    info: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, str] = field(default_factory=dict)
    skew: float = 0.0
    pings: Sequence[float] = ()
    error: str = ""

    @property
    def is_primary(self) -> bool:
        return self.info.get("role") == "master"


@dataclass(frozen=True)
class SentinelView:
    """What one Sentinel says of the primary; `error` if it says nothing."""

    address: str
    state: Mapping[str, str] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True)
class Shard:
    """A part of a Cluster. `slots`: first and last of each range, in one sequence. `nodes`: with
    id, ip, port (or tls-port), role, health.
    """

    slots: Sequence[int]
    nodes: Sequence[Mapping[str, str]]

    @property
    def has_primary(self) -> bool:
        return any(node["role"] == "master" and node["health"] == "online" for node in self.nodes)

    @property
    def size(self) -> int:
        """The number of its slots."""
        ends = [int(slot) for slot in self.slots]
        return sum(last - first + 1 for first, last in zip(ends[::2], ends[1::2], strict=True))


@dataclass(frozen=True)
class ClientSettings:
    """How the client connects. `timeout`: seconds until an answer is given up, None: never.

    `tls_checks`: whether it checks certificate and host name. `expires`: when the server's
    certificate does (Unix seconds), None without TLS or if it is not checked.
    """

    hosts: Sequence[str]
    tls: bool
    tls_checks: bool
    max_connections: int
    timeout: float | None
    expires: float | None = None


@dataclass(frozen=True)
class RedisProbe:
    """A deployment. `denied`: what the user may not do; a text says why that was not tried.

    `default_user`: what ACL GETUSER says of that user; empty if the user may not ask.
    """

    kind: Kind
    servers: Sequence[Server]
    denied: Sequence[Denied] | str
    default_user: Mapping[str, str]
    shards: Sequence[Shard]
    sentinels: Sequence[SentinelView]
    settings: ClientSettings
    user: str


async def probe(client: Client, keys: Keys, timeout: float | None) -> RedisProbe:
    """Ask all servers that the client knows.

    Args:
        client: Of the running event loop.
        keys: The keys that the user should have rights to.
        timeout: Seconds until a call's answer is given up, where not the client says it.

    Raises:
        StoreUnavailable: No server could be asked any more.
    """
    try:
        return await _probe(client, keys, timeout)
    except (RedisError, OSError) as error:
        raise unavailable(error, None) from None


async def _probe(client: Client, keys: Keys, timeout: float | None) -> RedisProbe:
    asked = sentinels(client)
    kind: Kind = "sentinel" if asked else "standalone"
    async with AsyncExitStack() as stack:
        if isinstance(client, RedisCluster):
            await client.initialize()
            kind, servers = "cluster", await _servers(_cluster_askers(client))
        else:
            servers = await _servers({await _server_address(client): client.execute_command})
            if asked:
                pool = client.connection_pool
                servers += await _servers(_replica_askers(pool, servers, stack))
        return RedisProbe(
            kind,
            servers,
            await _denied(client, keys),
            await _default_user(client),
            await _shards(client),
            [await _sentinel_view(each, client) for each in asked],
            await _settings(client, asked, timeout),
            _user(client),
        )


def _cluster_askers(client: RedisCluster) -> dict[str, Ask]:
    def asker(node: Any) -> Ask:
        return lambda *command: client.execute_command(*command, target_nodes=node)

    return {node.name: asker(node) for node in client.get_nodes()}


def _replica_askers(pool: Any, servers: Sequence[Server], stack: AsyncExitStack) -> dict[str, Ask]:
    """The replicas that the primary knows: one of them is the next primary."""
    askers: dict[str, Ask] = {}
    for replica in replicas(servers[0]):
        settings = {
            name: value
            for name, value in pool.connection_kwargs.items()
            if name != "connection_pool"
        }
        settings |= {"host": replica["ip"], "port": replica["port"]}
        secure = issubclass(pool.connection_class, SSLConnection)
        if secure:
            settings["connection_class"] = SSLConnection
        own = Redis.from_pool(ConnectionPool(**settings))
        stack.push_async_callback(own.aclose)
        askers[f"{replica['ip']}:{replica['port']}"] = own.execute_command
    return askers


def replicas(server: Server) -> list[Mapping[str, Any]]:
    """The replicas of a primary, as INFO lists them: ip, port, state, lag."""
    count = int(server.info.get("connected_slaves", 0))
    found = [server.info.get(f"slave{number}") for number in range(count)]
    return [each for each in found if isinstance(each, dict)]


async def _servers(askers: Mapping[str, Ask]) -> list[Server]:
    # One after the other: pings measure the network, not this process.
    return [await _server(address, ask) for address, ask in askers.items()]


async def _server(address: str, ask: Ask) -> Server:
    try:
        async with asyncio.timeout(_TIMEOUT + _PINGS_TIME):
            info, config = await _info(ask), await _config(ask)
            return Server(address, info, config, await _skew(ask), await _pings(ask))
    except (RedisError, OSError) as error:  # a TimeoutError is an OSError
        return Server(address, error=_described(error))


async def _info(ask: Ask) -> Mapping[str, Any]:
    for sections in (("default", "latencystats"), ()):  # before 7.0 it takes one
        try:
            info: Mapping[str, Any] = await ask("INFO", *sections)
            return info
        except ResponseError:
            continue
    return {}


async def _config(ask: Ask) -> dict[str, str]:
    """What it may tell; managed servers have no CONFIG."""
    # In two words, so that the answer comes as it is: redis-py's parsing depends on its options.
    found: dict[str, str] = {}
    for name in _CONFIG:
        try:
            answer = _map(await ask("CONFIG", "GET", name))
        except ResponseError:
            break
        found |= {key: _text(value) for key, value in answer.items()}
    return found


async def _skew(ask: Ask) -> float:
    before = time.time()
    try:
        seconds, micros = await ask("TIME")
    except ResponseError:
        return 0.0
    return float(int(seconds) + int(micros) / 1e6 - (before + time.time()) / 2)


async def _pings(ask: Ask) -> list[float]:
    found: list[float] = []
    deadline = time.monotonic() + _PINGS_TIME
    while len(found) < _PINGS and time.monotonic() < deadline:
        before = time.perf_counter()
        with suppress(ResponseError):  # no permission, say: an answer all the same
            await ask("PING")
        found.append((time.perf_counter() - before) * 1000)
    return sorted(found)


async def _denied(client: Client, keys: Keys) -> Sequence[Denied] | str:
    try:
        async with asyncio.timeout(_TIMEOUT):
            return await denied(client, keys)
    except (RedisError, OSError) as error:
        return _described(error)


async def _default_user(client: Client) -> Mapping[str, str]:
    to_any = {"target_nodes": client.get_random_node()} if isinstance(client, RedisCluster) else {}
    with suppress(ResponseError):
        async with asyncio.timeout(_TIMEOUT):
            answer = await client.execute_command("ACL", "GETUSER", "default", **to_any)
        return {name: _words(value) for name, value in _map(answer).items()}
    return {}


def _words(value: Any) -> str:
    return " ".join(map(_text, value)) if isinstance(value, list | set) else _text(value)


async def _shards(client: Client) -> Sequence[Shard]:
    if not isinstance(client, RedisCluster):
        return ()
    node = client.get_random_node()
    try:
        async with asyncio.timeout(_TIMEOUT):
            shards = map(_map, await client.execute_command("CLUSTER", "SHARDS", target_nodes=node))
    except ResponseError:  # before 7.0 there is no such command
        return ()
    return [Shard(shard["slots"], [_node(node) for node in shard["nodes"]]) for shard in shards]


async def _sentinel_view(sentinel: Any, client: Any) -> SentinelView:
    name = client.connection_pool.service_name
    try:
        async with asyncio.timeout(_TIMEOUT):
            answer = await sentinel.execute_command("SENTINEL", "MASTER", name)
        return SentinelView(_address(sentinel), _node(answer))
    except (RedisError, OSError) as error:
        return SentinelView(_address(sentinel), error=_described(error))


async def _settings(
    client: Client, asked: Sequence[Redis], timeout: float | None
) -> ClientSettings:
    if isinstance(client, RedisCluster):
        kwargs = client.connection_kwargs
        hosts = [str(node.host) for node in client.get_nodes()]
        tls = issubclass(client.get_random_node().connection_class, SSLConnection)
    else:
        kwargs = client.connection_pool.connection_kwargs
        tls = issubclass(client.connection_pool.connection_class, SSLConnection)
        hosts = [
            str(each.connection_pool.connection_kwargs.get("host", ""))
            for each in asked or [client]
        ]
    required = kwargs.get("ssl_cert_reqs", "required") in ("required", ssl.CERT_REQUIRED)
    checks = tls and required and kwargs.get("ssl_check_hostname", True)
    return ClientSettings(
        hosts,
        tls,
        checks,
        max_connections(client),
        min(filter(None, (timeout, kwargs.get("socket_timeout"))), default=None),
        await _expiry(client) if checks else None,
    )


async def _expiry(client: Client) -> float | None:
    own = await dedicated_client(client)
    pool: Any = own.connection_pool
    try:
        async with asyncio.timeout(_TIMEOUT):
            connection = await pool.get_connection()
        certificate = connection._writer.get_extra_info("ssl_object").getpeercert()
        return float(ssl.cert_time_to_seconds(certificate["notAfter"]))
    except (RedisError, OSError, KeyError):
        return None
    finally:
        await own.aclose()


def _user(client: Client) -> str:
    """As whom it logs in."""
    settings = client if isinstance(client, RedisCluster) else client.connection_pool
    return str(settings.connection_kwargs.get("username") or "default")


async def _server_address(client: Redis) -> str:
    pool: Any = client.connection_pool
    if not sentinels(client):
        return _address(client)
    host, port = await pool.get_master_address()
    return f"{host}:{port}"


def _address(client: Any) -> str:
    kwargs = client.connection_pool.connection_kwargs
    return str(kwargs.get("path") or f"{kwargs.get('host')}:{kwargs.get('port', 6379)}")


def _node(answer: Any) -> dict[str, str]:
    return {name: _text(value) for name, value in _map(answer).items()}


def _map(answer: Any) -> dict[str, Any]:
    """A map, as both versions of the protocol send it."""
    pairs = (
        answer.items() if isinstance(answer, dict) else zip(answer[::2], answer[1::2], strict=True)
    )
    return {_text(name): value for name, value in pairs}


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
