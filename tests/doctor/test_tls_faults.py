"""Faults of certificates."""

from __future__ import annotations

from tests.doctor.lab import diagnosed, found, shipped
from turnwise.testing.servers import ValkeyServer


async def test_a_certificate_that_nobody_checks() -> None:
    async with ValkeyServer(tls=True, config=shipped("single.conf")) as server:
        assert await found(server.url) - {"server-known-bad"} == set()
        unchecked = f"{server.url}&ssl_cert_reqs=none&ssl_check_hostname=false"
        assert await found(unchecked) - {"server-known-bad"} == {"certificate-unchecked"}


async def test_a_certificate_that_expires() -> None:
    server = ValkeyServer(tls=True, config=shipped("single.conf"))
    server.authority.issue("server", days=3)
    async with server:
        faults = (await diagnosed(server.url)).faults
        (fault,) = [fault for fault in faults if fault.name != "server-known-bad"]
        assert fault.name == "certificate-expires"
        assert "in 3 days" in fault.what
