"""The command `turnwise worker` as operators run it: start, probes, metrics, logs, environment."""

from __future__ import annotations

import inspect
import json
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from agents import Agent
from typer.testing import CliRunner

from tests.integration.programs import Programs, programs
from turnwise import Policy, connect
from turnwise.cli.app import app
from turnwise.cli.worker import worker as command
from turnwise.connect.settings import Options
from turnwise.hooks import TurnEvent
from turnwise.session import Session
from turnwise.testing.servers import ValkeyServer
from turnwise.testing.servers.ports import free_port
from turnwise.testing.servers.process import Process
from turnwise.testing.servers.waiting import until

agents = Agent(name="unused")
PATIENCE = 200.0  # seconds: processes start slowly on a busy machine
AGENTS = "tests.integration.background_process:agents"


class Printed:
    """A hook that prints the names of events."""

    def __call__(self, event: TurnEvent, /) -> None:
        print(f"hooked {type(event).__name__}", flush=True)


def several() -> list[Printed]:
    return [Printed()]


def broken() -> list[str]:
    return ["no hook"]


@pytest_asyncio.fixture
async def started(tmp_path: Path) -> AsyncIterator[Programs]:
    async with programs(tmp_path) as made:
        yield made


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'sessions.db'}"


@pytest_asyncio.fixture
async def session(url: str) -> AsyncIterator[Session]:
    async with connect(url) as made:
        yield made


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"LEDGER": str(tmp_path / "ledger"), "TURNWISE_AGENTS": AGENTS}


def work(started: Programs, environment: Mapping[str, str], *options: str) -> Process:
    return started.python("-m", "turnwise.cli", "worker", *options, environment=environment)


async def ready(worker: Process, condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait for a condition that the worker brings about."""

    async def reached() -> bool:
        worker.check()
        return await condition()

    await until(reached, PATIENCE, what)


async def logged(worker: Process, pattern: str) -> str:
    """Wait until the log has this; the first group of it."""

    async def found() -> bool:
        return re.search(pattern, worker.log()) is not None

    await ready(worker, found, f"{pattern!r} was logged")
    match = re.search(pattern, worker.log())
    assert match is not None
    return match[match.lastindex or 0]


async def ended(worker: Process) -> int:
    """Wait until the process has ended by itself; its exit code."""

    async def has() -> bool:
        return not worker.alive

    await until(has, PATIENCE, "the worker ended")
    code = worker._popen.returncode
    assert isinstance(code, int)
    return code


class Probed:
    """The worker's port for monitoring."""

    def __init__(self, port: str) -> None:
        self._base = f"http://127.0.0.1:{port}"

    async def get(self, path: str, method: str = "GET") -> httpx.Response:
        async with httpx.AsyncClient(base_url=self._base, timeout=30) as client:
            return await client.request(method, path)

    async def until_ready(self, worker: Process, status: int, text: str = "") -> None:
        async def is_so() -> bool:
            response = await self.get("/readyz")
            return response.status_code == status and text in response.text

        await ready(worker, is_so, f"/readyz is {status} {text}")


async def probed(worker: Process) -> Probed:
    return Probed(await logged(worker, r"/readyz at port (\d+)"))


async def test_ready_means_that_the_store_answers_and_nothing_is_drained(
    started: Programs, environment: dict[str, str], tmp_path: Path
) -> None:
    async with ValkeyServer() as server:
        await server.stop()
        options = "--url", server.url, "--metrics-port", "0", "--metrics-host", "127.0.0.1"
        worker = work(started, environment, *options)
        probes = await probed(worker)
        await logged(worker, "worker waits for its store: .*cannot be reached")
        response = await probes.get("/readyz")
        assert (response.status_code, response.text) == (503, "the store has not answered yet\n")
        assert (await probes.get("/healthz")).status_code == 200
        assert "worker is ready" not in worker.log()

        await server.restart()
        await logged(worker, "worker is ready")
        await probes.until_ready(worker, 200)

        server.pause()
        await probes.until_ready(worker, 503, "the store does not answer")
        assert (await probes.get("/healthz")).status_code == 200
        server.resume()
        await probes.until_ready(worker, 200)

        async with connect(server.url) as session:
            receipt = await session.submit("s", "slow", agent="echo")

            async def runs() -> bool:
                return (await receipt.status()).state == "running"

            await ready(worker, runs, "the turn runs")
            worker._popen.terminate()
            await probes.until_ready(worker, 503, "it is stopping")
            (tmp_path / "ledger.go").touch()
            assert await ended(worker) == 0
            assert (await receipt.status()).state == "committed"
    assert "worker has ended after 1 turns" in worker.log()


def test_without_a_store_it_gives_up_with_a_code_of_its_own(
    caplog: pytest.LogCaptureFixture,
) -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"
    words = "worker", f"{__name__}:agents", "--url", url, "--startup-timeout", "0.2"
    with caplog.at_level(logging.INFO, "turnwise"):
        assert CliRunner().invoke(app, words).exit_code == 69
    (record,) = (record for record in caplog.records if record.name == "turnwise")
    assert record.getMessage() == "worker gives up after 0.2 s: the store does not answer"
    assert record.levelname == "ERROR"


async def test_a_signal_ends_it_while_it_waits_for_its_store(
    started: Programs, environment: dict[str, str]
) -> None:
    worker = work(started, environment, "--url", f"redis://127.0.0.1:{free_port()}/0")
    await logged(worker, "waits for its store")
    worker._popen.terminate()
    assert await ended(worker) == 0
    assert "worker has ended after 0 turns" in worker.log()


async def test_what_is_refused_is_not_waited_for(
    started: Programs, environment: dict[str, str]
) -> None:
    async with ValkeyServer(password="right") as server:
        wrong = server.url.replace("right", "wrong")
        worker = work(started, environment, "--url", wrong)
        assert await ended(worker) == 1
    assert "turnwise: the Redis server refused" in worker.log()
    assert "wrong" not in worker.log().replace("WRONGPASS", "").replace("wrong password", "")


async def test_metrics(
    started: Programs, environment: dict[str, str], url: str, session: Session
) -> None:
    options = "--url", url, "--metrics-port", "0", "--metrics-host", "127.0.0.1"
    worker = work(started, environment, *options)
    probes = await probed(worker)
    await session.submit("s", "hello", agent="echo", turn_id="t")
    await session.receipt("s", "t").result(PATIENCE)

    async def counted() -> bool:
        text = (await probes.get("/metrics?x=1")).text
        return 'turnwise_turns_total{outcome="committed",reason=""} 1.0' in text

    await ready(worker, counted, "the turn is counted")
    response = await probes.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    assert "process_cpu_seconds_total" in response.text
    assert "turnwise_store_up 1.0" in response.text
    assert 'turnwise_workers{state="alive"} 1.0' in response.text
    assert "turnwise_queue_unclaimed 0.0" in response.text
    assert "turnwise_dead_letters 0.0" in response.text

    async def sessions_counted() -> bool:
        return 'turnwise_sessions{state="stopped"} 0.0' in (await probes.get("/metrics")).text

    await ready(worker, sessions_counted, "the sessions are counted")
    assert (await probes.get("/metrics", "HEAD")).content == b""
    assert (await probes.get("/metrics", "POST")).status_code == 405
    assert (await probes.get("/")).status_code == 404


async def test_a_port_that_is_taken(
    started: Programs, environment: dict[str, str], url: str
) -> None:
    first = work(started, environment, "--url", url, "--metrics-port", "0")
    port = await logged(first, r"/readyz at port (\d+)")
    second = work(started, environment, "--url", url, "--metrics-port", port)
    assert await ended(second) == 1
    assert f"turnwise: cannot listen at 0.0.0.0, port {port}" in second.log()
    assert "Traceback" not in second.log()


async def test_settings_come_from_the_environment(
    started: Programs, environment: dict[str, str], url: str, session: Session
) -> None:
    environment |= {
        "TURNWISE_URL": url,
        "TURNWISE_CONCURRENCY": "7",
        "TURNWISE_NAME": "worker-of-the-test",
        "TURNWISE_REPEATABLE_TOOLS": "one two",
        "TURNWISE_COMPRESSION": "false",
        "TURNWISE_HOOKS": f"{__name__}:Printed {__name__}:several",
    }
    worker = work(started, environment)
    await session.submit("s", "hello", agent="echo", turn_id="t")
    await session.receipt("s", "t").result(PATIENCE)
    (found,) = await session.workers()
    assert (found.name, found.concurrency) == ("worker-of-the-test", 7)
    await logged(worker, "(?s)hooked TurnCommittedEvent.*hooked TurnCommittedEvent")


@pytest.mark.parametrize(
    ("name", "value", "code", "says"),
    [
        ("TURNWISE_CONCURRENCY", "many", 2, "Invalid value for '--concurrency'"),
        ("TURNWISE_LOG_LEVEL", "loud", 2, "Invalid value for '--log-level'"),
        ("TURNWISE_HOOKS", f"{__name__}:broken", 2, "cannot be called"),
        ("TURNWISE_HOOKS", f"{__name__}:nothing", 2, "nothing"),
        ("TURNWISE_LEASE", "-1", 1, "lease=-1.0: use a number from"),
        ("TURNWISE_BACKOFF", "-1", 1, "backoff=-1.0: use a number from"),
    ],
)
def test_a_wrong_setting_is_named(url: str, name: str, value: str, code: int, says: str) -> None:
    agents = f"{__name__}:agents"
    result = CliRunner().invoke(app, ["worker", agents, "--url", url], env={name: value})
    assert result.exit_code == code
    assert says in re.sub(r"[│\s]+", " ", result.output)  # it stands in a box
    assert isinstance(result.exception, SystemExit)


def test_every_setting_of_the_library_is_an_option() -> None:
    options = set(inspect.signature(command).parameters)
    own = {"worker": "name"}  # so that --name is not taken for another worker's
    programs_only = {"context", "run_options"}  # objects
    wanted = {*Options.__annotations__, *Policy.__annotations__, "ttl", "limit", "key_prefix"}
    assert {own.get(name, name) for name in wanted - programs_only} <= options


async def test_failures_in_json(
    started: Programs, environment: dict[str, str], url: str, session: Session
) -> None:
    options = "--log-format", "json", "--log-level", "debug", "--backoff", "0.01"
    worker = work(started, environment, "--url", url, "--max-attempts", "2", *options)
    await session.submit("s", "bad", agent="echo", turn_id="t")

    async def died() -> bool:
        return (await session.status("s", "t")).state == "dead"

    await ready(worker, died, "the message is dead")
    await worker.terminate(20)
    lines: list[dict[str, Any]] = [json.loads(line) for line in worker.log().splitlines()]
    assert {"time", "level", "logger", "message"} <= set.intersection(*map(set, lines))
    retried, dead = (line for line in lines if line.get("event") == "attempt failed")
    assert (retried["level"], dead["level"]) == ("WARNING", "ERROR")
    assert (retried["session_id"], retried["turn_id"], retried["attempt"]) == ("s", "t", 1)
    assert retried["error"] == dead["error"] == "RuntimeError: no such thing"
    assert "background_process.py" in retried["traceback"]
    assert "its message becomes a dead letter: RuntimeError: no such thing" in dead["message"]
