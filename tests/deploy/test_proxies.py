"""What nginx and HAProxy send to a second replica, and what never."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deploy.proxies import PROXIES, haproxy, nginx, proxied
from tests.deploy.shipped import run
from tests.integration.programs import STARTED, programs
from turnwise.testing.servers.ports import HOST, free_port

KEY = {"Idempotency-Key": "k"}
FAILURES = ("hangs up", "503")
KEYED = ["/chat", "/v1/responses", "/v1/chat/completions"]
NAMED = ["/api/chat", "/agui"]
"""Where the body names the turn."""
NOT_REPEATED = ["/chat/s/approvals", "/v1/conversations", "/api/chat/s/stop", "/agui/s/cancel"]


class Replica:
    """Counts what it is asked. `does` says how it answers what is not a probe."""

    def __init__(self, seen: Counter[str]) -> None:
        self.does = "200"
        self._seen = seen
        self._server: asyncio.Server | None = None
        self._answering = set[asyncio.Task[Any]]()
        self.port = free_port()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, HOST, self.port)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for _ in range(5):  # what it has just accepted comes in
                await asyncio.sleep(0)
            for task in self._answering:
                task.cancel()
            await asyncio.gather(*self._answering, return_exceptions=True)
            await self._server.wait_closed()
            self._server = None

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._answer(reader, writer))
        self._answering.add(task)
        task.add_done_callback(partial(self._answered, writer))

    def _answered(self, writer: asyncio.StreamWriter, task: asyncio.Task[Any]) -> None:
        """Also of a task that was cancelled before it began."""
        self._answering.discard(task)
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            method, path, _ = head.split(" ", 2)
            is_probe = path in ("/healthz", "/readyz")
            if not is_probe:
                self._seen[f"{method} {path}"] += 1
            if is_probe or self.does != "hangs up":
                status = "200" if is_probe else self.does
                writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # a check that only connects, or a proxy that has gone
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


class Fleet:
    """Three replicas, and a client of the proxy in front of them."""

    def __init__(
        self, client: httpx.AsyncClient, replicas: list[Replica], seen: Counter[str]
    ) -> None:
        self.client = client
        self.replicas = replicas
        self.seen = seen

    async def ask(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, int]:
        """The status, and how often replicas were asked. 502 also if the proxy hangs up in turn."""
        content = b"{}" if method == "POST" else None
        try:
            response = await self.client.request(method, path, headers=headers, content=content)
            status = response.status_code
        except httpx.RemoteProtocolError:
            status = 502
        return status, self.seen[f"{method} {path}"]

    def all_do(self, does: str) -> None:
        for replica in self.replicas:
            replica.does = does


@pytest.fixture(params=PROXIES)
async def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Fleet]:
    seen = Counter[str]()
    replicas = [Replica(seen) for _ in range(3)]
    async with programs(tmp_path) as started, AsyncExitStack() as stack:
        for replica in replicas:
            await replica.start()
            stack.push_async_callback(replica.stop)
        ports = [replica.port for replica in replicas]
        address = await proxied(request.param, started, tmp_path, ports)
        client = httpx.AsyncClient(base_url=address, timeout=STARTED)
        yield Fleet(await stack.enter_async_context(client), replicas, seen)


@pytest.mark.parametrize("does", FAILURES)
async def test_a_post_without_a_key_is_sent_once(fleet: Fleet, does: str) -> None:
    fleet.all_do(does)
    for path in (*KEYED, *NOT_REPEATED):
        status, times = await fleet.ask("POST", path, {})
        assert (status // 100, times) == (5, 1), path


@pytest.mark.parametrize("does", FAILURES)
async def test_a_key_makes_it_safe_only_where_the_wire_knows_it(fleet: Fleet, does: str) -> None:
    fleet.all_do(does)
    for path in NOT_REPEATED:
        status, times = await fleet.ask("POST", path, KEY)
        assert (status // 100, times) == (5, 1), path
    status, times = await fleet.ask("POST", "/chat", {"Idempotency-Key": ""})
    assert (status // 100, times) == (5, 1)


@pytest.mark.parametrize("does", FAILURES)
@pytest.mark.parametrize(
    ("path", "headers"), [*((path, KEY) for path in KEYED), *((path, {}) for path in NAMED)]
)
async def test_what_a_wire_does_once_another_replica_answers(
    fleet: Fleet, does: str, path: str, headers: dict[str, str]
) -> None:
    """Whichever replica is asked first."""
    for well in fleet.replicas:
        fleet.all_do(does)
        well.does = "200"
        status, _ = await fleet.ask("POST", path, headers)
        assert status == 200


@pytest.mark.parametrize("does", FAILURES)
async def test_what_only_reads_is_asked_again(fleet: Fleet, does: str) -> None:
    for well in fleet.replicas:
        fleet.all_do(does)
        well.does = "200"
        assert (await fleet.ask("GET", "/chat/s/turns/k", {}))[0] == 200


async def test_what_was_not_sent_goes_to_another_replica(fleet: Fleet) -> None:
    """A replica that is down costs no request, with a key or without."""
    *down, _ = fleet.replicas
    for replica in down:
        await replica.stop()
    for number in range(1, 10):
        assert await fleet.ask("POST", "/chat", {}) == (200, number)


async def test_what_no_replica_can_answer_stays_a_503(fleet: Fleet) -> None:
    """The store is down, say: clients are told when to come back."""
    fleet.all_do("503")
    for _ in range(5):
        for method, headers in (("GET", {}), ("POST", {}), ("POST", KEY)):
            assert (await fleet.ask(method, "/chat", headers))[0] == 503
    fleet.all_do("200")
    assert (await fleet.ask("POST", "/chat", {}))[0] == 200


def test_the_files_are_right_as_they_are_shipped(tmp_path: Path) -> None:
    _, *words = nginx(tmp_path, (1, 2, 3), 8080)
    done = run("nginx", "-t", *words)
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr
    _, *words = haproxy(tmp_path, (1, 2, 3), 8080)
    done = run("haproxy", "-c", "-dW", *words)  # a warning is an error
    assert done.returncode == 0, done.stderr
