"""A URL that fits another kind of server: the error says what is there, and which scheme to use."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from redis.asyncio import Redis, RedisCluster

from tests.integration.fault_lab import connected, message, patience
from turnwise import RedisSession
from turnwise.errors import StoreRefused, StoreUnavailable
from turnwise.testing.servers import ValkeyCluster, ValkeySentinel, ValkeyServer
from turnwise.testing.servers.ports import free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCHEMES = [
    f"{scheme}{kind}" for scheme in ("redis", "rediss") for kind in ("", "+cluster", "+sentinel")
]
MANY = 20
"""So many keys that a cluster's node has some and lacks some."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def addresses() -> AsyncIterator[dict[str, str]]:
    """By the scheme that is right there."""
    async with (
        ValkeyServer() as plain,
        ValkeyServer(tls=True) as tls,
        ValkeyCluster() as cluster,
        ValkeySentinel() as sentinels,
    ):
        yield {
            "redis": f"{plain.host}:{plain.port}",
            "rediss": f"{tls.host}:{tls.tls_port}",
            "redis+cluster": cluster.address,
            "redis+sentinel": f"{sentinels.sentinels[0].host}:{sentinels.sentinels[0].port}",
        }


def _url(scheme: str, address: str) -> str:
    path = "/mymaster" if scheme.endswith("sentinel") else ""
    return f"{scheme}://{address}{path}?socket_connect_timeout=1"


@pytest.mark.parametrize("right", ["redis", "rediss", "redis+cluster", "redis+sentinel"])
@pytest.mark.parametrize("wrong", SCHEMES)
async def test_a_wrong_scheme(wrong: str, right: str, addresses: dict[str, str]) -> None:
    if wrong == right:
        return
    async with RedisSession.from_url(_url(wrong, addresses[right])) as session:
        with pytest.raises(StoreRefused, match=f"begins with {right}://".replace("+", r"\+")):
            for number in range(MANY):
                await session.bind(f"user-{number}").get_items()
        with pytest.raises(StoreRefused, match=f"begins with {right}://".replace("+", r"\+")):
            for number in range(MANY):
                await session.bind(f"user-{number}").add_items([message("one")])


async def test_a_client_of_another_kind(addresses: dict[str, str]) -> None:
    plain, node = addresses["redis"], addresses["redis+cluster"]
    cluster_client = RedisCluster.from_url(f"redis://{plain}")
    async with connected(lambda _: RedisSession(cluster_client), "") as session:
        with pytest.raises(StoreRefused, match="begins with redis://"):
            await session.bind("user-1").get_items()
    async with connected(
        lambda url: RedisSession(Redis.from_url(url)), f"redis://{node}"
    ) as session:
        with pytest.raises(StoreRefused, match=r"begins with redis\+cluster://"):
            for number in range(MANY):
                await session.bind(f"user-{number}").get_items()


async def test_where_a_password_is_needed() -> None:
    """The look at the address has none."""
    async with ValkeyServer(password="secret") as server:
        address = f":secret@{server.host}:{server.port}"
        for url in (
            _url("redis+cluster", address),
            _url("redis+sentinel", address) + "&sentinel_password=secret",
            _url("rediss", address),
        ):
            async with RedisSession.from_url(url) as session:
                with pytest.raises(StoreRefused, match="begins with redis://") as caught:
                    await session.bind("user-1").get_items()
                assert "secret" not in str(caught.value)
        async with RedisSession.from_url(_url("redis", f":wrong@{server.host}:{server.port}")) as s:
            with pytest.raises(StoreRefused, match="WRONGPASS"):
                await s.bind("user-1").get_items()


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_nothing_is_there(scheme: str) -> None:
    address = f"127.0.0.1:{free_port()}"
    async with RedisSession.from_url(_url(scheme, address)) as session:
        patience(session, 0.0)
        with pytest.raises(StoreUnavailable, match="cannot be reached"):
            await session.bind("user-1").get_items()
