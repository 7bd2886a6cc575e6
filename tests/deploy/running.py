"""The processes of the compose file, without containers: their commands, settings and environment.

Each service's command is what stands there, with the image's entrypoint and environment. Replaced
are addresses, the paths of what is mounted, and the model of `deploy/app.py`.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import redis.asyncio

from tests.deploy.proxies import PROXIES, proxied
from tests.deploy.shipped import DEPLOY, PASSWORD, composed, health_check, image_variables
from tests.integration.programs import Programs, programs, ready
from turnwise.testing.servers.binaries import find_server
from turnwise.testing.servers.ports import HOST, free_port
from turnwise.testing.servers.process import Process

REPLICAS = ("serve-1", "serve-2", "serve-3")
WORKERS = ("worker 1", "worker 2")


class Running:
    """The services that run, by name; a service with several processes has numbers."""

    def __init__(self, folder: Path, started: Programs) -> None:
        self._folder = folder
        self._programs = started
        self._services: dict[str, Any] = composed()["services"]
        self._ports = {name: free_port() for name in (*REPLICAS, *WORKERS, "valkey")}
        self.processes: dict[str, Process] = {}
        self.addresses: dict[str, str] = {}
        self.url = f"redis://turnwise:{PASSWORD}@{HOST}:{self._ports['valkey']}/0"

    async def start_all(self) -> None:
        """In the order of their dependencies, each when those before it are healthy."""
        self.allow(0)
        await self.start_valkey()
        await asyncio.gather(*map(self.start, (*REPLICAS, *WORKERS)))
        for name in PROXIES:
            folder = self._folder / name
            folder.mkdir()
            ports = [self._ports[replica] for replica in REPLICAS]
            self.addresses[name] = await proxied(name, self._programs, folder, ports)

    async def start_valkey(self) -> None:
        """The store; with what an earlier process left in its volume."""
        service, folder = self._services["valkey"], self._folder / "valkey"
        folder.mkdir(exist_ok=True)
        users = folder / "users.acl"
        users.write_text(composed()["configs"]["users.acl"]["content"])
        mounted = {each["target"]: each["source"] for each in service["volumes"]}
        mounted |= {"/data": str(folder), service["configs"][0]["target"]: str(users)}
        mounted["0.0.0.0"] = HOST
        program, *words = service["command"]
        assert program == "valkey-server"
        placed = [mounted.get(word, word) for word in words]
        port = str(self._ports["valkey"])
        process = self._programs.start(str(find_server()), *placed, "--port", port)
        self.processes["valkey"] = process
        await ready(process, self._pings, "the store answered its user")

    async def _pings(self) -> bool:
        client = redis.asyncio.from_url(self.url)
        try:
            return bool(await client.ping())
        except redis.RedisError:
            return False
        finally:
            await client.aclose()

    async def start(self, name: str) -> None:
        """A replica or a worker; returns when its health check says that it is well."""
        service = self._services[name.partition(" ")[0]]
        environment = self._environment(name, service["environment"])
        process = self._programs.python(
            "-m", "turnwise.cli", *service["command"], environment=environment
        )
        self.processes[name] = process
        python, *check = health_check()
        assert python == "python"

        async def is_healthy() -> bool:
            if not await _listens(self._ports[name]):
                return False
            checking = await asyncio.create_subprocess_exec(
                *(sys.executable, *check),
                env={**os.environ, **environment},
                stderr=asyncio.subprocess.DEVNULL,
            )
            return await checking.wait() == 0

        await ready(process, is_healthy, f"{name} was healthy")

    def _environment(self, name: str, own: Mapping[str, str]) -> dict[str, str]:
        """What the process gets in its container, with the addresses that are here."""
        port = {"TURNWISE_METRICS_PORT": "9000"} if name in WORKERS else {"TURNWISE_PORT": "8000"}
        variables = {**image_variables(), **own}
        assert port.items() <= variables.items()
        assert variables["TURNWISE_AGENTS"] == "app:agents"
        del variables["PATH"]
        return {
            **variables,
            **dict.fromkeys(port, str(self._ports[name])),
            "TURNWISE_URL": variables["TURNWISE_URL"].replace(
                "valkey:6379", f"{HOST}:{self._ports['valkey']}"
            ),
            "TURNWISE_AGENTS": "tests.deploy.served:agents",
            "TURNWISE_HOST": HOST,
            "TURNWISE_METRICS_HOST": HOST,
            "PYTHONPATH": str(DEPLOY),
            "FOLDER": str(self._folder),
        }

    async def deploy(self, name: str) -> None:
        """Stop it, and start it anew."""
        await self.stop(name)
        await self.start(name)

    async def stop(self, name: str) -> None:
        """As Compose does: it has to end well within its time."""
        period = self._services[name.partition(" ")[0]]["stop_grace_period"]
        minutes, _, seconds = period.removesuffix("s").rpartition("m")
        process = self.processes[name]
        await process.terminate(60 * int(minutes or 0) + int(seconds))
        assert process._popen.returncode == 0, process.log()

    async def kill(self, name: str) -> None:
        """SIGKILL."""
        await self.processes[name].kill()

    def allow(self, words: int) -> None:
        """So many words of an answer to "steps ..." may be said."""
        new = self._folder / "words.new"
        new.write_text(str(words))
        new.replace(self._folder / "words")

    def port(self, name: str) -> int:
        """Where a service listens."""
        return self._ports[name]

    def environment(self) -> dict[str, str]:
        """That of a process which `docker compose exec serve-1` starts."""
        own = self._services["serve-1"]["environment"]
        return {**os.environ, **self._environment("serve-1", own)}

    def new_key(self, owner: str) -> str:
        """An API key for somebody."""
        command = [sys.executable, "-m", "turnwise.cli", "keys", "create", owner]
        made = subprocess.run(command, env=self.environment(), capture_output=True, text=True)
        assert made.returncode == 0, made.stderr
        return made.stdout.strip()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    return True


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Running]:
    """All services."""
    async with programs(folder) as started:
        services = Running(folder, started)
        await services.start_all()
        yield services
