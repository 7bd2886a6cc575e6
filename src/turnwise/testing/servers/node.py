"""One server process with its directory, ports and configuration."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from .ports import HOST, free_port
from .process import PortTaken, Process, ServerFailed
from .waiting import until

_ATTEMPTS = 10

# Values as in a configuration file; several values repeat the directive.
Config = Mapping[str, str | Sequence[str]]

BASE: Config = {
    "bind": HOST,
    "save": '""',
    "appendonly": "no",
    # A replica's first copy would otherwise wait 5 s for more replicas to join.
    "repl-diskless-sync-delay": "0",
    # Redis keeps a replica from a Cluster's clients until it has received something: a ping, if
    # nobody writes, and that would come after 10 s.
    "repl-ping-replica-period": "1",
}


@dataclass(frozen=True, slots=True)
class Login:
    """User and password of a connection; both None means no login."""

    user: str | None = None
    password: str | None = None

    @property
    def url_part(self) -> str:
        """The part before the host in a URL."""
        if self.password is None:
            return ""
        return f"{quote(self.user or '', safe='')}:{quote(self.password, safe='')}@"


class Node:
    """One server on 127.0.0.1.

    `ports` names the directives that get a free port each; the first is the one to connect to.
    """

    host = HOST

    def __init__(
        self,
        binary: Path,
        directory: Path,
        config: Config,
        *,
        ports: Sequence[str] = ("port",),
        arguments: Sequence[str] = (),
        login: Login = Login(),
        timeout: float = 30.0,
    ) -> None:
        self.binary = binary
        self.directory = directory
        self._config = config
        self._port_names = ports
        self._arguments = arguments
        self._login = login
        self._timeout = timeout
        self._ports: dict[str, int] = {}
        self._process: Process | None = None

    @property
    def port(self) -> int:
        """The plain (not TLS) port."""
        return self.port_of(self._port_names[0])

    def port_of(self, directive: str) -> int:
        """The port that `directive` (`tls-port`, `cluster-port`) was given."""
        if not self._ports:
            raise RuntimeError("the server has not been started yet")
        return self._ports[directive]

    @property
    def url(self) -> str:
        """redis://127.0.0.1:<port>/0, with user and password where there are any."""
        return f"redis://{self._login.url_part}{HOST}:{self.port}/0"

    @property
    def pid(self) -> int:
        """The process id; of the last process, if the server is down."""
        return self._running.pid

    @property
    def alive(self) -> bool:
        """Whether the process exists; true while it is paused."""
        return self._process is not None and self._process.alive

    @property
    def log(self) -> str:
        """What the server has logged since it was last started."""
        return self._running.log()

    async def start(self) -> None:
        """Start on new ports and wait until the server answers. Raises ServerFailed."""
        for attempt in range(_ATTEMPTS):
            self._configure()
            try:
                await self._launch()
            except PortTaken:
                if attempt == _ATTEMPTS - 1:
                    raise
            else:
                break

    async def restart(self, *, kill: bool = False) -> None:
        """Stop, or kill, and start again on the same ports and directory."""
        await (self.kill() if kill else self.stop())

        async def started() -> bool:
            try:
                await self._launch()
            except PortTaken:
                return False
            return True

        await until(started, self._timeout, f"port {self.port} was free again")

    async def stop(self) -> None:
        """SIGTERM; returns when the process is gone. Nothing happens if it is not running."""
        if self._process is not None and self._process.alive:
            await self._process.terminate(timeout=5)

    async def kill(self) -> None:
        """SIGKILL; returns when the process is gone. Nothing happens if it is not running."""
        if self._process is not None:
            await self._process.kill()

    def pause(self) -> None:
        """SIGSTOP: the server keeps its connections and its port, and answers nothing."""
        self._running.pause()

    def resume(self) -> None:
        """SIGCONT."""
        self._running.resume()

    @asynccontextmanager
    async def control(self, *, decode: bool = True) -> AsyncIterator[Redis]:
        """A client that never sends a command twice; for one event loop, closed at the end.

        Answers are str, or bytes with `decode=False`, in RESP2 shapes.
        """
        client = Redis(
            host=HOST,
            port=self.port,
            username=self._login.user,
            password=self._login.password,
            decode_responses=decode,
            protocol=2,
            socket_timeout=self._timeout,
            retry=Retry(NoBackoff(), 0),
        )
        try:
            yield client
        finally:
            await client.aclose()

    async def command(self, *words: str | bytes | int, decode: bool = True) -> Any:
        """The server's answer to one command, as it came, on a connection of its own."""
        async with self.control(decode=decode) as client:
            client.response_callbacks.clear()
            # redis-py has no types for this method.
            return await client.execute_command(*words)  # type: ignore[no-untyped-call]

    async def info(self, section: str) -> dict[str, str]:
        """One section of INFO, values as text."""
        return parse_info(await self.command("INFO", section))

    async def is_primary(self) -> bool:
        """Whether the server takes itself for a primary."""
        return (await self.info("replication"))["role"] == "master"

    async def follows_primary(self) -> bool:
        """Whether it is a replica that has its primary's data and an open link to it."""
        return (await self.info("replication")).get("master_link_status") == "up"

    async def wait_ready(self) -> None:
        """Wait until this very process answers PING. Raises ServerFailed."""
        try:
            await until(self._answers, self._timeout, "the server answered PING")
        except TimeoutError as error:
            raise ServerFailed(f"{error}\n{self._running.log()[-2_000:]}") from error

    async def _answers(self) -> bool:
        self._running.check()
        await self.command("PING")
        # Another server may have taken the port, and ours be about to exit.
        return (await self.info("server"))["process_id"] == str(self.pid)

    async def _launch(self) -> None:
        command = [str(self.binary), str(self._config_file), *self._arguments]
        self._process = Process(command, self.directory, self.directory / "server.log")
        try:
            await self.wait_ready()
        except BaseException:
            await self._process.kill()
            raise

    def _configure(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._ports = {name: free_port() for name in self._port_names}
        ports = {name: str(port) for name, port in self._ports.items()}
        text = render({"dir": f'"{self.directory}"', **self._config, **ports})
        # It may hold passwords, and the server writes to it (replicas, Sentinel).
        self._config_file.touch(mode=0o600)
        self._config_file.write_text(text)

    @property
    def _config_file(self) -> Path:
        return self.directory / "server.conf"

    @property
    def _running(self) -> Process:
        if self._process is None:
            raise RuntimeError("the server has not been started yet")
        return self._process


def render(config: Config) -> str:
    """A configuration file."""
    return "".join(
        f"{name} {value}\n"
        for name, values in config.items()
        for value in ([values] if isinstance(values, str) else values)
    )


def parse_info(text: str) -> dict[str, str]:
    """INFO, or CLUSTER INFO, as a dictionary."""
    parts = (line.partition(":") for line in text.splitlines())
    return {name: value for name, colon, value in parts if colon}
