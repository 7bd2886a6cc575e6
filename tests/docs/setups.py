"""What the examples of the documents find when they run: names, a store, a model.

An example runs as it is printed. Around it:

- `redis://localhost:6379` is a server of the tests, and files are in a temporary directory.
- Agents without a model get one that calls each of their tools once, then says "Done.".
- `session`, `agent` (named "support", with a tool `refund`) and `request_id` are there, and what
  the page's setup below adds. Workers are tasks.
- After the example the setup may check what it did.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import agents
import httpx
import openai
import pytest
from agents import Agent, Model, ModelResponse, Usage, function_tool
from agents.models.multi_provider import MultiProvider
from agents.testing import assistant_message
from fastapi import FastAPI

from examples import web_stream
from tests.docs.pages import Block
from tests.scripted import Script, calls, says
from turnwise import MemorySession, Policy, Runner, Session, Worker, connect
from turnwise.http import create_app, nobody
from turnwise.testing.servers import ValkeyServer

Names = dict[str, Any]
DOCUMENTED_ADDRESS = ("localhost", 6379)


class ToolCaller(Model):
    """Calls each tool of its agent once, all at once; then it says "Done."."""

    async def get_response(self, *args: Any, **named: Any) -> ModelResponse:
        return ModelResponse(self._output(*args, **named), Usage(), response_id=None)

    async def stream_response(self, *args: Any, **named: Any) -> AsyncIterator[Any]:
        script = Script(self._output(*args, **named))
        async for event in script.stream_response(*args, **named):
            yield event

    def _output(
        self,
        system_instructions: Any,
        input: Any,
        model_settings: Any,
        tools: Any,
        *_: Any,
        **__: Any,
    ) -> list[Any]:
        is_answered = isinstance(input, list) and "output" in str(input[-1].get("type", ""))
        if is_answered or not tools:
            return [assistant_message("Done.")]
        return [calls(tool.name, f"call_{tool.name}", '{"order": "A-1001"}')[0] for tool in tools]


@function_tool
def refund(order: str) -> str:
    return f"{order} is refunded"


def redirect(patch: pytest.MonkeyPatch, server: ValkeyServer) -> None:
    """The documented address leads to this server."""
    connect_to = asyncio.open_connection

    async def open_connection(host: Any = None, port: Any = None, **options: Any) -> Any:
        if (host, port) == DOCUMENTED_ADDRESS:
            host, port = server.host, server.port
        return await connect_to(host, port, **options)

    patch.setattr(asyncio, "open_connection", open_connection)


@asynccontextmanager
async def setup(block: Block) -> AsyncIterator[Names]:
    """The names that the block finds. Checks what it did, and clears up behind it."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(connect("redis://localhost:6379/0"))
        agent = Agent[Any](name="support", tools=[refund])
        names: Names = {"session": session, "agent": agent, "request_id": "request-1"}
        stack.push_async_callback(_close_sessions, names)
        await stack.enter_async_context(_OF_PAGE.get(block.page, _plain)(block, names))
        yield names


async def _close_sessions(names: Names) -> None:
    """Those that the example opened."""
    for made in names.values():
        if isinstance(made, Session):
            await made.aclose()


@asynccontextmanager
async def _plain(block: Block, names: Names) -> AsyncIterator[None]:
    yield


@asynccontextmanager
async def working(session: Session, *served: Agent[Any]) -> AsyncIterator[None]:
    worker = Worker(session, served)
    running = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        worker.stop()
        await running


@asynccontextmanager
async def _readme(block: Block, names: Names) -> AsyncIterator[None]:
    async with working(names["session"], Agent[Any](name="Support")):
        yield
    if "result" in names:
        assert names["result"].final_output == "Done."
    if "main" in names:  # the quick start, which runs as a program in a test of its own
        await names["main"]()


@asynccontextmanager
async def _durable(block: Block, names: Names) -> AsyncIterator[None]:
    keys: list[str] = []

    async def pay_back(order: str, *, idempotency_key: str) -> str:
        keys.append(idempotency_key)
        return "refunded"

    names["payments"] = SimpleNamespace(refund=pay_back)
    yield
    if "refund" in names:
        agent = Agent[Any](name="support", tools=[names["refund"]])
        await Runner.run(agent, "Refund it", session=names["session"], session_id="u")
        assert len(keys) == 1
    else:
        assert names["result"].final_output == "Done."


@asynccontextmanager
async def _approvals(block: Block, names: Names) -> AsyncIterator[None]:
    """A turn of user-1 is parked at two calls."""

    @function_tool(needs_approval=True)
    def order(order: str) -> str:
        return "ordered"

    @function_tool(needs_approval=True)
    def upgrade(order: str) -> str:
        return "upgraded"

    session = names["session"]
    names["agent"] = agent = Agent[Any](name="support", tools=[order, upgrade])
    await Runner.run(agent, "Hello", session=session, session_id="user-1", turn_id="request-0")
    assert len(await session.pending_approvals("user-1")) == 2
    yield
    if "first" in names:
        assert names["result"].final_output == "Done."
        assert await session.pending_approvals("user-1") == []
    elif "left" in names:
        assert names["left"] == await session.pending_approvals("user-1") == []
    else:
        assert len(await session.pending_approvals("user-2")) == 2


@asynccontextmanager
async def _background(block: Block, names: Names) -> AsyncIterator[None]:
    session, agent = names["session"], names["agent"]
    if "Worker(" in block.content:
        receipt = await session.submit("user-1", "Hello", agent="support")

        async def end_the_worker() -> None:
            await receipt.result(30)
            os.kill(os.getpid(), signal.SIGTERM)

        ending = asyncio.create_task(end_the_worker())
        yield
        await ending
        asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
    elif "drain(" in block.content:
        yield
        assert (await names["receipt"].result(30)).final_output == "Done."
    elif "dead_letters(" in block.content:
        broken = Agent[Any](name="support", model=Script(OSError("the model broke")))
        for session_id, on_dead in (("dead", "next"), ("stopped", "stop")):
            await session.submit(session_id, "Hello", agent="support")
            policy = Policy(max_attempts=1, on_dead=on_dead)  # type: ignore[arg-type]  # one of two
            await session.drain(session_id, [broken], policy)
        yield
        for session_id in ("dead", "stopped"):
            assert await session.drain(session_id, [agent]) == 1
    else:
        async with working(session, agent):
            yield


@asynccontextmanager
async def _observability(block: Block, names: Names) -> AsyncIterator[None]:
    yield
    agents.set_trace_processors([])
    made = names["session"]
    await Runner.run(names["agent"], "Hello", session=made, session_id="user-2")


@asynccontextmanager
async def _web(block: Block, names: Names) -> AsyncIterator[None]:
    """The helpers are those of the example; the block's endpoints are called."""
    agent = Agent[Any](name="Chat", model=Script(says("Hello there.")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(web_stream, "session", names["session"])
        patch.setattr(web_stream, "agent", agent)
        own = {name: value for name, value in vars(web_stream).items() if not name.startswith("__")}
        names |= own | {"app": FastAPI()}
        yield
        async with working(names["session"], agent):
            await _call_each_endpoint(names["app"])


async def _call_each_endpoint(app: FastAPI) -> None:
    message = {"session_id": "s", "turn_id": "t", "text": "Hello"}
    paths = [path for path in app.openapi()["paths"] if "{" not in path]
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for path in paths:
            response = await client.post(path, json=message)
            if path == "/messages":
                response = await client.get(response.json()["events"])
            assert response.text.rpartition("event: ")[2].startswith("done")


Setup = Callable[[Block, Names], Any]


@asynccontextmanager
async def _operations(block: Block, names: Names) -> AsyncIterator[None]:
    session = names["session"]
    for name in ("user-1", "user-1-what-if"):
        await session.delete(name)
    for turn_id in ("turn-7", "turn-8"):
        async with session.turn("user-1", turn_id=turn_id) as turn:
            await turn.add_items([{"role": "user", "content": turn_id}])
    names |= {"json": json, "MemorySession": MemorySession}
    yield


@asynccontextmanager
async def _serve(block: Block, names: Names) -> AsyncIterator[None]:
    """All of it answers; the worker of the mounted app runs the turns."""
    yield
    if "own" not in names:
        return
    own = names["own"]
    async with own.router.lifespan_context(own):
        transport = httpx.ASGITransport(own)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            for path in ("/assistant", "/help"):
                message = {"session_id": "s", "message": "Hello"}
                answer = await client.post(f"{path}/chat", json=message)
                assert answer.json() == {"response": "Done."}
                assert (await client.get(f"{path}/")).status_code == 200


@asynccontextmanager
async def _security(block: Block, names: Names) -> AsyncIterator[None]:
    """An app lets nobody in whom it does not know."""
    names |= {"create_app": create_app, "authenticate": nobody}
    yield
    if "app" not in names:
        return
    knows = names["authenticate"] is not nobody or "by_api_key" in names
    transport = httpx.ASGITransport(names["app"])
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.get("/chat/s/history")
        assert answer.status_code == (401 if knows else 404)


@asynccontextmanager
async def _serve_responses(block: Block, names: Names) -> AsyncIterator[None]:
    """OpenAI's client reaches an app with the agent, whatever its address."""
    session, agent = names["session"], names["agent"]
    app = create_app(session, [agent], worker=Worker(session, [agent]))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, timeout=60) as reached:
            there: Any = partial(openai.AsyncOpenAI, http_client=cast(Any, reached))
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(openai, "AsyncOpenAI", there)
                client = there(base_url="http://localhost:8000/v1", api_key="none")
                names |= {"client": client}
                if "function_call_output" in block.content:
                    add = {"type": "function", "name": "add"}
                    asked: Names = {"model": "support", "input": "2 + 3?", "tools": [add]}
                    names["response"] = await client.responses.create(**asked)
                yield
        if "function_call_output" in block.content:
            assert names["response"].output_text == "Done."


@asynccontextmanager
async def _serve_vercel(block: Block, names: Names) -> AsyncIterator[None]:
    """The app, and the wire alone in another app, answer."""
    yield
    own = FastAPI()
    own.include_router(names["chat"])
    parts = [{"type": "text", "text": "Hello"}]
    for number, app in enumerate((names["app"], own)):
        messages = [{"id": f"m{number}", "role": "user", "parts": parts}]
        async with working(names["session"], names["agent"]):
            said = await _streamed(app, "/api/chat", {"id": "s", "messages": messages})
        assert said[0] == {"type": "start", "messageId": f"answer-m{number}"}
        assert said[-1]["type"] == "finish"


@asynccontextmanager
async def _serve_ag_ui(block: Block, names: Names) -> AsyncIterator[None]:
    """Both paths answer."""
    yield
    own = FastAPI()
    own.include_router(names["agui"])
    own.include_router(names["support"])
    messages = [{"id": "m", "role": "user", "content": "Hello"}]
    for path in ("/agui", "/agents/support"):
        run = {"threadId": "s", "runId": path, "messages": messages}
        async with working(names["session"], names["agent"]):
            said = await _streamed(own, path, run)
        assert (said[0]["type"], said[-1]["type"]) == ("RUN_STARTED", "RUN_FINISHED")


async def _streamed(app: FastAPI, path: str, body: Any) -> list[Any]:
    """What the app streams as an answer."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.post(path, json=body)
    frames = answer.text.strip().split("\n\n")
    data = [frame.removeprefix("data: ") for frame in frames if not frame.startswith(":")]
    return [json.loads(text) for text in data if text != "[DONE]"]


_OF_PAGE: dict[str, Setup] = {
    "README.md": _readme,
    "docs/approvals.md": _approvals,
    "docs/background.md": _background,
    "docs/durable.md": _durable,
    "docs/observability.md": _observability,
    "docs/operations.md": _operations,
    "docs/security.md": _security,
    "docs/serve-ag-ui.md": _serve_ag_ui,
    "docs/serve-vercel.md": _serve_vercel,
    "docs/serve.md": _serve,
    "docs/serve-responses.md": _serve_responses,
    "docs/web.md": _web,
}


def use_tool_caller(patch: pytest.MonkeyPatch) -> None:
    """Agents without a model get a ToolCaller."""
    patch.setattr(MultiProvider, "get_model", lambda self, name: ToolCaller())
