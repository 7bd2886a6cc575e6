"""Scenario 1: three replicas behind nginx, one of which is killed."""

import asyncio
import os
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from string import Template
from typing import Any

import httpx
import pytest
import pytest_asyncio

from examples.offline import text_of
from tests.integration.programs import ROOT, STARTED, Programs, programs, ready
from turnwise import RedisSession
from turnwise.testing.servers import ValkeyServer
from turnwise.testing.servers.ports import HOST, free_port
from turnwise.testing.servers.process import Process
from turnwise.testing.servers.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

PREFIX = "chat:sessions:"
NGINX_CONF = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/chat.conf;
}}
"""


class Deployment:
    """Replicas by pid, and a client of nginx."""

    def __init__(
        self, server: ValkeyServer, replicas: dict[int, Process], client: httpx.AsyncClient
    ) -> None:
        self.replicas = replicas
        self.client = client
        self.session = RedisSession.from_url(server.url, key_prefix=PREFIX)

    async def chat(
        self, session_id: str, message: str, turn_id: str | None = None
    ) -> httpx.Response:
        headers = {} if turn_id is None else {"Turn-Id": turn_id}
        body = {"session_id": session_id, "message": message}
        return await self.client.post("/chat", json=body, headers=headers)

    async def busy_replica(self, session_id: str) -> int | None:
        """The pid of the replica that runs a turn of the session."""
        info = await self.session.info(session_id)
        if info is None or info.open_turn is None:
            return None
        return next((pid for pid in self.replicas if f":{pid}:" in info.open_turn.worker), None)

    async def kill_in_mid_turn(self, names: list[str]) -> int:
        """Kill a replica that runs a turn of one of the sessions; returns its pid."""
        killed: list[int] = []

        async def is_killed() -> bool:
            for name in names:
                pid = await self.busy_replica(name)
                if pid is None:
                    continue
                self.replicas[pid].pause()
                if await self.busy_replica(name) == pid:
                    await self.replicas[pid].kill()
                    killed.append(pid)
                    return True
                self.replicas[pid].resume()
            return False

        await until(is_killed, STARTED, "a replica ran a turn")
        return killed[0]

    async def turns(self, session_id: str) -> list[tuple[str, str]]:
        """Message and answer of each turn; fails if turns are not contiguous."""
        items: list[dict[str, Any]] = [
            dict(item) for item in await self.session.bind(session_id).get_items()
        ]
        assert [item["role"] for item in items] == ["user", "assistant"] * (len(items) // 2)
        texts = [text_of(item) for item in items]
        return list(zip(texts[::2], texts[1::2], strict=True))


@pytest.fixture(scope="module")
def nginx() -> str:
    found = shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
    if found is None:
        skip = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        skip("nginx is not installed")
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployment(
    nginx: str, server: ValkeyServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Deployment]:
    folder = tmp_path_factory.mktemp("api")
    async with AsyncExitStack() as stack:
        started = await stack.enter_async_context(programs(folder))
        ports = [free_port() for _ in range(3)]
        processes = [_replica(started, server, port) for port in ports]
        for process, port in zip(processes, ports, strict=True):
            await _wait_until_healthy(process, port)
        address = await _start_nginx(started, nginx, folder, ports)
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=address, timeout=60))
        found = Deployment(server, {process.pid: process for process in processes}, client)
        await stack.enter_async_context(found.session)
        yield found


def _replica(started: Programs, server: ValkeyServer, port: int) -> Process:
    return started.python(
        *("-m", "uvicorn", "examples.api.app:app", "--host", HOST, "--port", str(port)),
        environment={
            "REDIS_URL": server.url,
            "LEASE_SECONDS": "1.5",
            "OFFLINE_MODEL_SECONDS": "0.1",
        },
    )


async def _start_nginx(started: Programs, nginx: str, folder: Path, ports: list[int]) -> str:
    port = free_port()
    names = {f"REPLICA_{number}": f"{HOST}:{replica}" for number, replica in enumerate(ports, 1)}
    template = Template((ROOT / "examples/api/nginx.conf.template").read_text())
    (folder / "chat.conf").write_text(template.safe_substitute(names, LISTEN=f"{HOST}:{port}"))
    (folder / "nginx.conf").write_text(NGINX_CONF.format(folder=folder))
    process = started.start(nginx, "-e", "stderr", "-c", str(folder / "nginx.conf"))
    await _wait_until_healthy(process, port)
    return f"http://{HOST}:{port}"


async def _wait_until_healthy(process: Process, port: int) -> None:
    async def answers() -> bool:
        try:
            async with httpx.AsyncClient() as client:
                response = await client.get(f"http://{HOST}:{port}/health")
        except httpx.TransportError:
            return False
        return response.status_code == 200

    await ready(process, answers, f"port {port} answered")


def expected(messages: list[str]) -> list[str]:
    """The answers of the rule, if its history is complete."""
    answers = []
    for number, message in enumerate(messages):
        before = (
            f"Before that you said: {messages[number - 1]!r}." if number else "We have just met."
        )
        answers.append(f"Message {number + 1} of our conversation is {message!r}. {before}")
    return answers


async def test_many_requests_and_a_killed_replica(deployment: Deployment) -> None:
    """Same and different sessions at once; no client notices that a replica was killed.

    The other tests run on the two replicas that are left.
    """
    sessions = {
        f"session:usr_{user}:conv_1": [f"{user}.{n}" for n in range(6)] for user in range(8)
    }
    requests = [
        asyncio.create_task(deployment.chat(name, message))
        for messages in zip(*sessions.values(), strict=True)
        for name, message in zip(sessions, messages, strict=True)
    ]
    killed = await deployment.kill_in_mid_turn(list(sessions))
    responses = await asyncio.gather(*requests)

    assert {response.status_code for response in responses} == {200}
    answers = Counter(response.json()["response"] for response in responses)
    stored: Counter[str] = Counter()
    for name, messages in sessions.items():
        turns = await deployment.turns(name)
        committed = [message for message, _ in turns]
        assert sorted(committed) == messages
        assert [answer for _, answer in turns] == expected(committed)
        stored.update(answer for _, answer in turns)
    assert answers == stored
    served = {response.headers.get("Served-By", "") for response in responses}
    survivors = deployment.replicas.keys() - {killed}
    assert all(any(str(pid) in name for name in served) for pid in survivors)


async def test_a_retried_request_is_answered_once(deployment: Deployment) -> None:
    """Retries at the same time on different replicas, and one after the commit."""
    sends = [deployment.chat("retried", "Hello", turn_id="click-1") for _ in range(3)]
    responses = await asyncio.gather(*sends)
    responses.append(await deployment.chat("retried", "Hello", turn_id="click-1"))
    assert [response.status_code for response in responses] == [200] * 4
    assert {response.json()["response"] for response in responses} == set(expected(["Hello"]))
    assert await deployment.turns("retried") == [("Hello", *expected(["Hello"]))]


async def test_an_invalid_id_and_a_foreign_key_are_refused(deployment: Deployment) -> None:
    refused = await deployment.chat("", "Hello")
    assert refused.status_code == 422
    assert "session id" in refused.json()["error"]
    key = deployment.session.key("taken")
    await deployment.session.client.set(key, "another application's")
    refused = await deployment.chat("taken", "Hello")
    assert refused.status_code == 500
    assert await deployment.session.client.get(key) == b"another application's"


async def test_an_unreachable_store_is_reported(
    deployment: Deployment, server: ValkeyServer
) -> None:
    await server.kill()
    assert (await deployment.client.get("/health")).status_code == 503
    refused = await deployment.chat("patient", "Hello", turn_id="click-2")
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    await server.restart()
    await (
        deployment.session.client.connection_pool.disconnect()
    )  # they are connected to the old process
    answered = await deployment.chat("patient", "Hello", turn_id="click-2")
    assert answered.json() == {"response": expected(["Hello"])[0]}
