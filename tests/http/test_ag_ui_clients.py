"""AG-UI's own clients, 1.0.0 and 0.0.59, and its validator, against servers that are processes."""

from __future__ import annotations

import json
import sys
from asyncio.subprocess import PIPE, STDOUT, create_subprocess_exec
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from tests.http.node_clients import Program, install, running
from tests.http.wire_lab import Client, Front, Lab, Server, word
from tests.integration.programs import STARTED
from tests.scripted import outline
from turnwise.http.wires.ag_ui_events import RECONNECT

pytestmark = pytest.mark.asyncio(loop_scope="module")

VERSIONS = [1, 0]


@pytest.fixture(autouse=True, scope="module")
def installed() -> None:
    install()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def program() -> AsyncIterator[Program]:
    async with running("agents.mjs") as program:
        yield program


class Agents:
    """Opens agents of one version."""

    def __init__(self, program: Program, server: Server | Front, version: int) -> None:
        self._program = program
        self._url = f"{server.url}/agui"
        self.version = version

    async def open(self, thread_id: str | None = None) -> Client:
        client = Client(self._program, uuid4().hex)
        thread_id = thread_id or uuid4().hex
        await client.do("open", version=self.version, url=self._url, id=thread_id)
        return client


@pytest.fixture(params=VERSIONS)
def agents(request: pytest.FixtureRequest, program: Program, server: Server) -> Agents:
    return Agents(program, server, request.param)


async def ask(client: Client, text: str, run_id: str | None = None) -> None:
    await client.do("run", id=uuid4().hex, text=text, runId=run_id or uuid4().hex)


def said(shown: Any) -> list[str]:
    """What the agent shows: a word for the role, and the text."""
    return [told for each in shown["messages"] for told in _told(each)]


def _told(message: Any) -> list[str]:
    calls = [f"call {call['function']['name']}" for call in message.get("toolCalls") or ()]
    content = message.get("content")
    return [f"{message['role']}: {content}", *calls] if content else calls


def has(*outcomes: str) -> Any:
    """Whether these are the runs' ends."""
    return lambda shown: not shown["isRunning"] and shown["seen"] == list(outcomes)


async def test_a_run(agents: Agents, lab: Lab) -> None:
    thread_id = uuid4().hex
    agent = await agents.open(thread_id)
    await ask(agent, "weather Oslo")
    await agent.until(has("success"))
    wanted = [
        "user: weather Oslo",
        "assistant: Let me see.",
        "call weather",
        "tool: sunny in oslo",
        "assistant: It is sunny in oslo.",
    ]
    assert said(agent.shown) == wanted
    arguments = agent.shown["messages"][1]["toolCalls"][0]["function"]["arguments"]
    assert json.loads(arguments) == {"city": "Oslo"}
    await ask(agent, "count")
    await agent.until(has("success", "success"))
    assert said(agent.shown) == [*wanted, "user: count", "assistant: message 2"]
    assert outline(await lab.session.bind(thread_id).get_items())[-1] == "message 2"
    again = await agents.open(thread_id)
    await again.do("connect")
    await again.until(has("snapshot", "success"))
    assert said(again.shown) == said(agent.shown)


async def test_reasoning_is_a_message(agents: Agents) -> None:
    agent = await agents.open()
    await ask(agent, "think so")
    await agent.until(has("success"))
    assert said(agent.shown) == ["user: think so", "reasoning: well well", "assistant: so"]


async def test_a_run_that_is_sent_twice_is_answered_once(agents: Agents, lab: Lab) -> None:
    thread_id, run_id = uuid4().hex, uuid4().hex
    agent = await agents.open(thread_id)
    await ask(agent, "count", run_id)
    await agent.until(has("success"))
    await agent.do("run", runId=run_id)
    await agent.until(has("success", "snapshot", "success"))
    assert said(agent.shown) == ["user: count", "assistant: message 1"]
    assert len(await lab.session.bind(thread_id).get_items()) == 2


async def test_a_reload_goes_on_with_the_answer(agents: Agents, lab: Lab) -> None:
    thread_id, halt = uuid4().hex, word()
    agent = await agents.open(thread_id)
    await ask(agent, "count")
    await agent.until(has("success"))
    await ask(agent, f"this is {halt} all")
    await lab.reached(halt)
    await agent.until(lambda shown: said(shown)[-1] == "assistant: this is")
    await agent.do("leave")
    reloaded = await agents.open(thread_id)
    await reloaded.do("connect")
    await reloaded.until(lambda shown: said(shown)[-1:] == ["assistant: this is"])
    lab.go(halt)
    await reloaded.until(has("snapshot", "success"))
    assert said(reloaded.shown) == [
        "user: count",
        "assistant: message 1",
        f"user: this is {halt} all",
        f"assistant: this is {halt} all",
    ]


async def test_interrupts_are_approvals(agents: Agents, lab: Lab) -> None:
    agent = await agents.open()
    await ask(agent, "refund A-1 A-2")
    await agent.until(has("interrupt"))
    asked = agent.shown["pendingInterrupts"]
    assert [each["reason"] for each in asked] == ["tool_call"] * 2
    payloads = [{"approved": True}, {"approved": False, "reason": "Too much."}]
    await agent.do("answer", payloads=payloads, runId=uuid4().hex)
    await agent.until(has("interrupt", "success"))
    assert said(agent.shown) == [
        "user: refund A-1 A-2",
        *("call refund", "tool: refunded A-1"),  # the client puts results behind their calls
        *("call refund", "tool: Too much."),
        "assistant: It is refunded A-1 and Too much..",
    ]
    assert agent.shown["pendingInterrupts"] == []


async def test_an_interrupt_is_shown_again(agents: Agents) -> None:
    thread_id = uuid4().hex
    agent = await agents.open(thread_id)
    await ask(agent, "refund A-1")
    await agent.until(has("interrupt"))
    again = await agents.open(thread_id)
    await again.do("connect")
    await again.until(has("snapshot", "interrupt"))
    assert again.shown["pendingInterrupts"] == agent.shown["pendingInterrupts"]
    await again.do("answer", payloads=[None], runId=uuid4().hex)
    await again.until(has("snapshot", "interrupt", "success"))
    assert said(again.shown)[-2].startswith("tool: ")


async def test_a_cancelled_run(agents: Agents, lab: Lab, server: Server) -> None:
    thread_id, halt = uuid4().hex, word()
    agent = await agents.open(thread_id)
    await ask(agent, f"this is {halt} all")
    await lab.reached(halt)
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{server.url}/agui/{thread_id}/cancel")
    assert answer.json() == {"cancelled": True}
    ends = {1: ["cancelled"], 0: ["error cancelled: The run was cancelled."]}
    await agent.until(lambda shown: not shown["isRunning"])
    assert agent.shown["seen"][:1] == ends[agents.version]
    assert await lab.session.bind(thread_id).get_items() == []


async def test_an_error_says_no_secret(agents: Agents) -> None:
    agent = await agents.open()
    await ask(agent, "break")
    await agent.until(lambda shown: shown["seen"] and not shown["isRunning"])
    assert agent.shown["seen"][0] == "error UserError: The turn failed."
    assert "secret" not in json.dumps(agent.shown)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_worker_is_killed_in_mid_word(program: Program, alone: Lab, version: int) -> None:
    halt, later = word(), word()
    server, one = await alone.server(), alone.worker("one")
    agent = await Agents(program, server, version).open()
    await ask(agent, f"who {later} {halt}")
    await alone.reached(later)
    alone.go(later)
    await alone.reached(halt)
    await agent.until(lambda shown: said(shown)[-1] == f"assistant: one says {later}")
    await one.kill()
    alone.go(halt)
    alone.worker("two")
    await agent.until(has("snapshot", "success"))
    assert said(agent.shown)[1:] == [f"assistant: two says {later} {halt}"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_server_drains_and_another_goes_on(
    program: Program, alone: Lab, version: int
) -> None:
    halt = word()
    one, two = await alone.server(), await alone.server()
    alone.worker("one")
    async with Front(one).listening() as front:
        agent = await Agents(program, front, version).open()
        await ask(agent, f"this is {halt} all")
        await alone.reached(halt)
        await agent.until(lambda shown: said(shown)[-1] == "assistant: this is")
        front.lead_to(two)
        await one.process.terminate(STARTED)
        told = f"error reconnect: {RECONNECT.message}"
        await agent.until(lambda shown: not shown["isRunning"])
        assert agent.shown["seen"][0] == told
        await agent.do("connect")
        alone.go(halt)
        await agent.until(lambda shown: shown["seen"][-1] == "success")
    assert said(agent.shown) == [
        f"user: this is {halt} all",
        f"assistant: this is {halt} all",
    ]


async def test_the_validator_finds_nothing(server: Server) -> None:
    await _validated(f"{server.url}/agui")


@pytest.mark.parametrize(
    "message", ["count", "weather Oslo Rome", "think of it", "refund A-1", "break"]
)
async def test_the_validator_finds_nothing_in(server: Server, tmp_path: Path, message: str) -> None:
    messages = [{"id": "m", "role": "user", "content": message}]
    body = {"threadId": uuid4().hex, "runId": uuid4().hex, "messages": messages}
    recorded = tmp_path / "run.sse"
    async with httpx.AsyncClient(timeout=60) as client:
        recorded.write_text((await client.post(f"{server.url}/agui", json=body)).text)
    await _validated(recorded)


async def _validated(source: str | Path) -> None:
    words = [Path(sys.executable).with_name("ag-ui-validate"), source, "--max-warnings", "0"]
    process = await create_subprocess_exec(*words, stdout=PIPE, stderr=STDOUT)
    told, _ = await process.communicate()
    assert process.returncode == 0, told.decode()
