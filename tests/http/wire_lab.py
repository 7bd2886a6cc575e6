"""Servers and workers as processes, and the JavaScript clients that talk to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from tests.http.node_clients import Program
from tests.integration.programs import Programs, programs, ready
from turnwise import Session, connect
from turnwise.testing.servers.ports import HOST, free_port
from turnwise.testing.servers.process import Process
from turnwise.testing.servers.waiting import until

AGENTS = "tests.http.wire_agents:agents"
LONGEST = 150.0  # seconds


class Lab:
    """Starts servers and workers on one store, and halts their agents at words in capitals."""

    def __init__(
        self, folder: Path, started: Programs, session: Session, url: str, agents: str
    ) -> None:
        self.session = session
        self._folder = folder
        self._started = started
        self._agents = agents
        self._environment = {"TURNWISE_URL": url, "WIRE_FOLDER": str(folder)}

    async def server(
        self, worker: str = "", port: int = 0, auth: str = "", app: str = "tests.http.wire_app:app"
    ) -> Server:
        """An app that answers; with a worker of this name inside.

        With `auth`="keys" it lets in only who shows an API key.
        """
        environment = {"WIRE_WORKER": worker, "WIRE_AUTH": auth}
        return await self._serving(port, "uvicorn", app, "--host", HOST, environment=environment)

    async def serve(self, *options: str, port: int = 0) -> Server:
        """`turnwise serve` with these options, once it answers."""
        words = ("serve", self._agents, "--max-attempts", "1", *options)
        return await self._serving(port, "turnwise.cli", *words, environment={})

    def worker(self, name: str) -> Process:
        """A worker whose turns others take over after a second."""
        words = ("worker", self._agents, "--lease", "1", "--max-attempts", "2")
        return self._python("turnwise.cli", *words, environment={"WIRE_WORKER": name})

    async def _serving(self, port: int, *words: str, environment: dict[str, str]) -> Server:
        port = port or free_port()
        process = self._python(*words, "--port", str(port), environment=environment)
        server = Server(process, port)
        await ready(process, server.answers, "the server answered")
        return server

    def _python(self, *words: str, environment: dict[str, str]) -> Process:
        return self._started.python("-m", *words, environment=self._environment | environment)

    def go(self, word: str) -> None:
        """Let the agents say this word."""
        (self._folder / word).touch()

    async def reached(self, word: str) -> None:
        """Wait until an agent waits at this word."""

        async def waits() -> bool:
            return (self._folder / f"{word}.reached").exists()

        await until(waits, LONGEST, word)

    def forget(self, word: str) -> None:
        """No agent has reached this word."""
        (self._folder / f"{word}.reached").unlink()


class Server:
    """A server that runs; `url` is its address."""

    def __init__(self, process: Process, port: int) -> None:
        self.process = process
        self.port = port
        self.url = f"http://{HOST}:{port}"

    async def answers(self) -> bool:
        async with httpx.AsyncClient() as client:
            try:
                return (await client.get(f"{self.url}/readyz")).status_code == 200
            except httpx.TransportError:
                return False


class Front:
    """What clients reach: it leads their connections to one of the servers."""

    def __init__(self, server: Server) -> None:
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        self._server = server

    def lead_to(self, server: Server) -> None:
        """Lead new connections there."""
        self._server = server

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Front]:
        async with await asyncio.start_server(self._lead, HOST, self.port):
            yield self

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(HOST, self._server.port)
        await asyncio.gather(_copy(reader, there[1]), _copy(there[0], writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until one side closes the connection, or breaks it."""
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def labs(loop_scope: Literal["module", "session"], agents: str = AGENTS) -> tuple[Any, Any]:
    """Fixtures for tests that run in such a loop: `lab`, a module's, and `alone`, a test's own.

    With `alone` no other test has servers or workers on its store.
    """

    @pytest_asyncio.fixture(scope="module", loop_scope=loop_scope)
    async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
        async with _lab_in(tmp_path_factory.mktemp("lab"), agents) as lab:
            yield lab

    @pytest_asyncio.fixture(loop_scope=loop_scope)
    async def alone(tmp_path: Path) -> AsyncIterator[Lab]:
        async with _lab_in(tmp_path, agents) as lab:
            yield lab

    return lab, alone


@asynccontextmanager
async def _lab_in(folder: Path, agents: str) -> AsyncIterator[Lab]:
    url = f"sqlite:///{folder / 'sessions.db'}"
    async with AsyncExitStack() as stack:
        started = await stack.enter_async_context(programs(folder))
        session = await stack.enter_async_context(connect(url))
        yield Lab(folder, started, session, url, agents)


def word() -> str:
    """A word in capitals at which agents wait, that no other test has."""
    return "".join(chr(ord("A") + int(digit, 16)) for digit in uuid4().hex[:12])


class Client:
    """One client within a program of clients; `shown` is what it shows."""

    def __init__(self, program: Program, name: str) -> None:
        self._program = program
        self._name = name
        self.shown: Any = None

    async def do(self, op: str, **more: Any) -> Any:
        """Carry out an operation; what the client shows then."""
        self.shown = await self._program(op=op, chat=self._name, **more)
        return self.shown

    async def until(self, reached: Callable[[Any], Any], what: str = "") -> Any:
        """Wait until it shows this."""

        async def shows() -> bool:
            return bool(reached(await self.do("show")))

        try:
            await until(shows, LONGEST, what)
        except TimeoutError as error:
            raise AssertionError(f"{what}: it shows {self.shown}") from error
        return self.shown


def ended(shown: Any) -> bool:
    """Whether the client waits for its user."""
    return bool(shown["status"] in ("ready", "error"))
