"""The processes of the compose file behind nginx and behind HAProxy: streams, a kill, a deploy."""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.deploy.proxies import PROXIES
from tests.deploy.running import REPLICAS, WORKERS, Running, running
from tests.deploy.shipped import tool
from tests.deploy.test_page import block_with
from tests.deploy.test_units import settings
from tests.http.site import STREAM, Sent, events_of, said
from tests.integration.fault_lab import message
from tests.integration.programs import STARTED
from turnwise import connect
from turnwise.doctor import diagnose
from turnwise.testing.servers.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

STEPS = "steps one two three four five"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def services(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with running(tmp_path_factory.mktemp("compose")) as services:
        yield services


@dataclass
class Follower:
    """A client with an API key and a conversation of its own, behind one proxy.

    It comes back when its stream breaks, and names the last event that it got.
    """

    client: httpx.AsyncClient
    session_id: str
    seen: list[Sent] = field(default_factory=list)
    breaks: int = 0

    async def ask(self, text: str, turn_id: str) -> None:
        """Send a message, and follow its answer to the end."""
        self.seen.clear()
        headers = {**STREAM, "Idempotency-Key": turn_id}
        await self._read("POST", "/chat", json=body(self.session_id, text), headers=headers)
        while self.seen[-1].event != "done":
            self.breaks += 1
            *_, last = "", *(event.id for event in self.seen if event.id)
            path = f"/chat/{self.session_id}/turns/{turn_id}/events"
            await self._read("GET", path, headers={"Last-Event-ID": last})

    async def _read(self, method: str, path: str, **options: Any) -> None:
        try:
            async with self.client.stream(method, path, **options) as response:
                async for event in events_of(response):
                    self.seen.append(event)
        except httpx.RemoteProtocolError:
            pass  # it broke in the middle

    async def has_said(self, text: str) -> None:
        async def reached() -> bool:
            return said(self.seen) == text

        await until(reached, STARTED, f"{text!r} was said to {self.session_id}")


def body(session_id: str, text: str) -> dict[str, str]:
    return {"session_id": session_id, "message": text}


@asynccontextmanager
async def followers(services: Running, *names: str) -> AsyncIterator[list[Follower]]:
    """One with each name behind each proxy."""
    services.allow(0)
    async with AsyncExitStack() as stack:
        made = []
        for name in (f"{name}-{proxy}" for name in names for proxy in PROXIES):
            client = httpx.AsyncClient(
                base_url=services.addresses[name.rpartition("-")[2]],
                headers={"Authorization": f"Bearer {services.new_key(name)}"},
                timeout=STARTED,
            )
            made.append(Follower(await stack.enter_async_context(client), name))
        yield made


async def test_a_stream_comes_event_by_event(services: Running) -> None:
    async with followers(services, "streams") as both:
        asking = [asyncio.create_task(each.ask(STEPS, "k")) for each in both]
        so_far = "re: steps"
        for number, word in enumerate(STEPS.split()[1:], 2):
            for each in both:
                await each.has_said(so_far)  # while the model says nothing more
            services.allow(number)
            so_far += f" {word}"
        services.allow(100)
        await asyncio.gather(*asking)
        assert [each.breaks for each in both] == [0, 0]


async def test_a_killed_replica_costs_its_readers_nothing(services: Running) -> None:
    async with followers(services, "killed") as both, connect(services.url) as session:
        asking = [asyncio.create_task(each.ask(STEPS, "k")) for each in both]
        so_far = "re: steps"
        for number, name in enumerate(REPLICAS, 2):  # each stream is on one of them
            for each in both:
                await each.has_said(so_far)
            await services.kill(name)
            so_far += f" {STEPS.split()[number - 1]}"
            services.allow(number)
            for each in both:
                await each.has_said(so_far)
            await services.start(name)
        services.allow(100)
        await asyncio.gather(*asking)
        for each in both:
            assert each.breaks >= 1
            assert (said(each.seen), each.seen[-1].event) == (f"re: {STEPS}", "done")
            ids = [event.id for event in each.seen if event.id]
            assert len(set(ids)) == len(ids)
            assert "reset" not in [event.event for event in each.seen]
            assert len(await session.bind(each.session_id).get_items()) == 2


@dataclass
class Visitor:
    """Sends messages and reads, all through a deploy; each answer must be well."""

    follower: Follower
    said: list[str] = field(default_factory=list)
    is_done: bool = False

    async def visit(self) -> None:
        client, session_id = self.follower.client, self.follower.session_id
        while not self.is_done:
            turn_id, text = f"t{len(self.said)}", f"message {len(self.said)}"
            if len(self.said) % 2:
                await self.follower.ask(text, turn_id)
                assert said(self.follower.seen) == f"re: {text}"
            else:
                headers = {"Idempotency-Key": turn_id}
                answer = await client.post("/chat", json=body(session_id, text), headers=headers)
                assert (answer.status_code, answer.text) == (200, f'{{"response":"re: {text}"}}')
            self.said.append(text)
            page = await client.get(f"/chat/{session_id}/history", params={"count": 1})
            assert page.status_code == 200, page.text
            await asyncio.sleep(1)  # a person's pace: a key may ask for 60 answers in a minute


async def test_a_deploy_fails_no_request(services: Running) -> None:
    async with followers(services, "ann", "bob", "cid") as made, connect(services.url) as session:
        visitors = [Visitor(each) for each in made]
        visits = [asyncio.create_task(visitor.visit()) for visitor in visitors]

        async def have_asked(times: int) -> None:
            async def reached() -> bool:
                for visit in visits:
                    if visit.done():
                        visit.result()
                return all(len(visitor.said) >= times for visitor in visitors)

            await until(reached, STARTED, "all were answered")

        for names in (*([name] for name in REPLICAS), WORKERS):
            await have_asked(max(len(visitor.said) for visitor in visitors) + 1)
            await asyncio.gather(*map(services.deploy, names))
        for visitor in visitors:
            visitor.is_done = True
        await asyncio.gather(*visits)
        for visitor in visitors:
            items = await session.bind(visitor.follower.session_id).get_items()
            texts = [dict(item)["content"] for item in items[::2]]
            assert (texts, len(items)) == (visitor.said, 2 * len(visitor.said))


async def test_what_was_committed_outlives_the_store_s_process(services: Running) -> None:
    async with connect(services.url) as session:
        await session.bind("kept").add_items([message("hello")])
    await services.stop("valkey")
    await services.start_valkey()
    async with connect(services.url) as session:
        assert await session.bind("kept").get_items() == [message("hello")]

    async def are_ready() -> bool:
        async with httpx.AsyncClient() as client:
            asked = [await client.get(f"{each}/readyz") for each in services.addresses.values()]
        return {answer.status_code for answer in asked} == {200}

    await until(are_ready, STARTED, "the replicas found it again")


async def test_doctor_finds_nothing_and_nobody_gets_in_without_a_key(services: Running) -> None:
    async with connect(services.url) as session:
        report = await diagnose(session)
    assert {fault.name for fault in report.faults} - {"server-known-bad"} == set()
    for address in services.addresses.values():
        async with httpx.AsyncClient(base_url=address) as client:
            assert (await client.post("/chat", json=body("s", "hi"))).status_code == 401


async def test_the_page_s_key_and_question(services: Running) -> None:
    """As they are typed, but for the address; `docker compose exec` is this machine."""
    script = block_with("KEY=$(docker")
    assert script.count("docker compose exec -T serve-1 turnwise ") == 1
    program = shlex.join([sys.executable, "-m", "turnwise.cli"])
    script = script.replace("docker compose exec -T serve-1 turnwise", program)
    script = script.replace("http://", "").replace(
        "localhost:8080", services.addresses["nginx"].removeprefix("http://")
    )
    asking = await asyncio.create_subprocess_exec(
        *("sh", "-euc", script), env=services.environment(), stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await asking.communicate()
    assert asking.returncode == 0
    assert "event: done" in printed.decode()


@pytest.mark.parametrize("verb", ["serve", "worker"])
async def test_systemd_notices_when_a_process_is_ready(services: Running, verb: str) -> None:
    """By the command of its unit, at a process that runs."""
    port = services.port("serve-1" if verb == "serve" else "worker 1")
    curl, *words = settings(verb)["ExecStartPost"].replace("%i", str(port)).split()
    asking = await asyncio.create_subprocess_exec(tool(Path(curl).name), *words)
    assert await asking.wait() == 0
