"""TLS with an authority of our own: checked, certificate and host name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from tests.conformance.connections import ConnectionConformance
from tests.conformance.labs import RedisLab
from turnwise.errors import StoreUnavailable
from turnwise.stores.redis import RedisStore, standalone_client
from turnwise.testing.conformance import Lab
from turnwise.testing.servers import ValkeyServer

# Where no server has TLS built in, it comes from a terminator that lives in the session's loop.
pytestmark = pytest.mark.asyncio(loop_scope="session")


class TestTls(ConnectionConformance):
    @pytest_asyncio.fixture(loop_scope="session")
    async def lab(  # type: ignore[override]  # a fixture of pytest-asyncio is a fixture as well
        self, tls: ValkeyServer
    ) -> AsyncIterator[Lab]:
        await tls.command("FLUSHALL")
        lab = RedisLab(lambda: standalone_client(tls.url))
        yield lab
        await lab.aclose()


async def _fails(url: str) -> str:
    store = RedisStore(standalone_client(url), owned=True, patience=0)
    with pytest.raises(StoreUnavailable) as caught:
        await store.ping()
    await store.aclose()
    return str(caught.value)


async def test_an_unknown_authority_is_refused(tls: ValkeyServer) -> None:
    assert "certificate" in await _fails(tls.url.partition("?")[0])


async def test_another_host_s_certificate_is_refused() -> None:
    async with ValkeyServer(tls=True, tls_hosts=["elsewhere.test"]) as server:
        assert urlsplit(server.url).scheme == "rediss"
        assert "certificate" in await _fails(server.url)
