"""`turnwise serve` as processes: two replicas on one Valkey, killed, ended, and read slowly."""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.http.site import STREAM, Sent, events_of, said
from tests.http.test_chat import until_said
from tests.integration.programs import STARTED, Programs, programs, ready
from turnwise import Session, connect
from turnwise.testing.servers import ValkeyServer, find_valkey
from turnwise.testing.servers.ports import HOST, free_port
from turnwise.testing.servers.process import Process
from turnwise.testing.servers.waiting import until

SLOW = {"session_id": "s", "message": "a slow one"}
KEY = {"Idempotency-Key": "k"}


class Replicas:
    """Servers on one store, and a client for each."""

    def __init__(self, url: str, folder: Path, started: Programs, stack: AsyncExitStack) -> None:
        self._url = url
        self._folder = folder
        self._programs = started
        self._stack = stack
        self.environment = {"FOLDER": str(folder)}

    async def start(self, *options: str) -> tuple[Process, httpx.AsyncClient]:
        process = self._programs.python(
            *("-m", "turnwise.cli", "serve", "tests.http.served:agents", "--port", "0"),
            *("--url", self._url, "--lease", "2", *options),
            environment=self.environment,
        )

        async def serves() -> bool:
            return "serving at " in process.log()

        await ready(process, serves, "it serves")
        address = process.log().partition("serving at ")[2].split()[0]
        client = httpx.AsyncClient(base_url=address, timeout=STARTED)
        return process, await self._stack.enter_async_context(client)

    async def start_uvicorn(self) -> tuple[Process, httpx.AsyncClient]:
        """The same as an app that uvicorn's own command runs."""
        port = str(free_port())
        process = self._programs.python(
            *("-m", "uvicorn", "tests.http.served_app:app", "--host", HOST, "--port", port),
            environment={**self.environment, "TURNWISE_URL": self._url},
        )
        client = httpx.AsyncClient(base_url=f"http://{HOST}:{port}", timeout=STARTED)

        async def serves() -> bool:
            return "Uvicorn running" in process.log()

        await ready(process, serves, "it serves")
        return process, await self._stack.enter_async_context(client)

    def go(self) -> None:
        """What is slow may end."""
        (self._folder / "go").touch()

    def noted(self, word: str) -> list[int]:
        """The processes whose models noted it, in order."""
        log = self._folder / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [int(line.split()[1]) for line in lines if line.split()[0] == word]

    async def is_slow(self, times: int = 1) -> None:
        async def reached() -> bool:
            return len(self.noted("slow")) >= times

        await until(reached, STARTED, "the model was asked")


@pytest.fixture
async def url() -> AsyncIterator[str]:
    if find_valkey() is None:
        pytest.skip("there is no Valkey server")
    async with ValkeyServer() as server:
        yield server.url


@pytest.fixture
async def session(url: str) -> AsyncIterator[Session]:
    async with connect(url) as session:
        yield session


@pytest.fixture
async def replicas(url: str, tmp_path: Path) -> AsyncIterator[Replicas]:
    async with programs(tmp_path) as started, AsyncExitStack() as stack:
        yield Replicas(url, tmp_path, started, stack)


async def follow(client: httpx.AsyncClient, after: str = "") -> list[Sent]:
    names = "/chat/s/turns/k/events"
    async with client.stream("GET", names, params={"after": after}) as response:
        return [event async for event in events_of(response)]


async def test_a_replica_is_killed_while_a_client_follows_on_another(
    replicas: Replicas, session: Session
) -> None:
    first, here = await replicas.start()
    sending = asyncio.create_task(here.post("/chat", json=SLOW, headers=KEY))
    await replicas.is_slow()
    second, there = await replicas.start()
    async with there.stream("GET", "/chat/s/turns/k/events") as response:
        events = events_of(response)
        seen = await until_said(events, "re: a slow")
        await first.kill()
        with pytest.raises(httpx.TransportError):
            await sending
        again = asyncio.create_task(there.post("/chat", json=SLOW, headers=KEY))
        await replicas.is_slow(2)
        replicas.go()
        seen += [event async for event in events]
    assert "reset" in [event.event for event in seen]  # the half sentence of the dead is void
    assert (said(seen), seen[-1].event) == ("re: a slow one", "done")
    assert (await again).json() == {"response": "re: a slow one"}
    assert replicas.noted("asked") == [first.pid, second.pid]
    assert len(await session.bind("s").get_items()) == 2
    await second.terminate(STARTED)


async def test_a_message_that_comes_to_two_replicas_is_answered_once(
    replicas: Replicas, session: Session
) -> None:
    patient = ("--lease", "600")  # nobody dies here
    (_, here), (_, there) = await replicas.start(*patient), await replicas.start(*patient)
    sending = [
        asyncio.create_task(client.post("/chat", json=SLOW, headers=KEY))
        for client in (here, there, here, there)
    ]
    await replicas.is_slow()
    replicas.go()
    answers = [answer.json() for answer in await asyncio.gather(*sending)]
    assert answers == [{"response": "re: a slow one"}] * 4
    assert len(replicas.noted("asked")) == 1
    assert len(await session.bind("s").get_items()) == 2


async def test_sigterm_hands_over_and_sends_clients_to_another(
    replicas: Replicas, session: Session
) -> None:
    first, here = await replicas.start("--grace", "0.2")
    async with here.stream("POST", "/chat", json=SLOW, headers={**KEY, **STREAM}) as response:
        events = events_of(response)
        seen = await until_said(events, "re: a slow")
        second, there = await replicas.start()
        await first.terminate(STARTED)
        seen += [event async for event in events]  # maybe the beginning on the other one
    assert seen[-1].event == "reconnect"
    last = [event.id for event in seen if event.id][-1]
    following = asyncio.create_task(follow(there, last))
    await replicas.is_slow(2)
    replicas.go()
    after = await following
    assert (said([*seen, *after]), after[-1].event) == ("re: a slow one", "done")
    assert len(await session.bind("s").get_items()) == 2
    await second.terminate(STARTED)


async def test_sigterm_lets_what_runs_end(replicas: Replicas) -> None:
    process, client = await replicas.start("--grace", "120")
    sending = asyncio.create_task(client.post("/chat", json=SLOW, headers=KEY))
    following = asyncio.create_task(client.post("/chat", json=SLOW, headers={**KEY, **STREAM}))
    await replicas.is_slow()
    process._popen.send_signal(signal.SIGTERM)

    async def unready() -> bool:
        return (await client.get("/readyz")).status_code == 503

    await until(unready, STARTED, "it is not ready")
    replicas.go()
    assert (await sending).json() == {"response": "re: a slow one"}
    assert "event: done" in (await following).text
    await process.terminate(STARTED)


async def test_an_app_in_another_server_ends_in_the_same_way(
    replicas: Replicas, session: Session
) -> None:
    process, client = await replicas.start_uvicorn()
    async with client.stream("POST", "/chat", json=SLOW, headers={**KEY, **STREAM}) as response:
        events = events_of(response)
        await until_said(events, "re: a slow")
        await process.terminate(STARTED)
        assert [event.event async for event in events] == ["reconnect"]
    assert not (await session.status("s", "k")).alive  # it was released


async def test_a_reader_who_does_not_read_hurts_nobody(replicas: Replicas) -> None:
    process, client = await replicas.start()
    words = " ".join(["word"] * 4000)
    body = {"session_id": "s", "message": words}
    host, port = client.base_url.host, client.base_url.port
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect((host, port))
        content = json.dumps(body).encode()
        head = (
            f"POST /chat HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            f"Accept: text/event-stream\r\nIdempotency-Key: k\r\nConnection: close\r\n"
        )
        slow.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        answer = await client.post("/chat", json=body, headers=KEY)
        assert answer.json() == {"response": f"re: {words}"}
        assert said(await follow(client)) == f"re: {words}"
        received = await asyncio.to_thread(_all, slow)
    assert received.count("event: delta") == 4001
    assert "event: done" in received
    await process.terminate(STARTED)


def _all(connection: socket.socket) -> str:
    """What it receives until it is closed."""
    connection.settimeout(STARTED)
    return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


async def test_it_does_not_listen_beyond_loopback_without_authentication(
    replicas: Replicas, tmp_path: Path
) -> None:
    process = await asyncio.create_subprocess_exec(
        *("env", f"FOLDER={tmp_path}", sys.executable, "-m", "turnwise.cli", "serve"),
        *("tests.http.served:agents", "--url", f"sqlite:///{tmp_path}/s.db", "--host", "0.0.0.0"),
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode == 1
    assert "without authentication" in errors.decode()
    _, client = await replicas.start()
    pointed_here = await client.get("/healthz", headers={"Host": "evil.example"})
    assert pointed_here.status_code == 400


async def test_a_server_has_more_connections_than_a_system_gives_unasked(
    replicas: Replicas,
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))  # the server inherits it
    try:
        process, client = await replicas.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    host, port = client.base_url.host, client.base_url.port
    opened = [await asyncio.open_connection(host, port) for _ in range(200)]
    for reader, writer in opened:
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await asyncio.wait_for(reader.readline(), STARTED)).startswith(b"HTTP/1.1 200")
    for _, writer in opened:
        writer.close()
    await process.terminate(STARTED)
