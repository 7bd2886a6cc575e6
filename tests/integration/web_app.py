"""The example that streams, with a model that a test can halt, and a tool whose runs are counted.

Both write down what they were asked: a line with the user's message for each call.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import anyio
from agents import ModelResponse, function_tool
from agents.testing import assistant_message
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.types import Message, Receive, Scope, Send

from examples import web_stream
from examples.offline import Call, ConversationView, OfflineModel
from examples.web_stream import app
from turnwise import Runner

_FOLDER = Path(os.environ["WEB_APP_FOLDER"])


def _log(word: str, message: str) -> None:
    with (_FOLDER / "log").open("a") as log:
        log.write(f"{word} {message}\n")


@function_tool
async def look_up(message: str) -> str:
    _log("tool", message)
    return "shipped"


def _rule(conversation: ConversationView) -> str | list[Call]:
    message = conversation.user_messages[-1]
    if outputs := conversation.outputs("look_up"):
        return f"{message} {outputs[-1]}"
    return [Call("look_up", {"message": message})]


class HaltedModel(OfflineModel):
    """Its answer after a tool waits while there is a file "halt" and the user's message.

    With LONG_ANSWER each answer begins with a message of so many bytes.
    """

    async def get_response(self, *args: Any, **named: Any) -> ModelResponse:
        conversation = ConversationView([*(named["input"] if "input" in named else args[1])])
        message = conversation.user_messages[-1]
        _log("model", message)
        while (
            conversation.outputs("look_up")
            and (_FOLDER / f"halt {message.replace('/', '-')}").exists()
        ):
            await asyncio.sleep(0.01)
        response = await super().get_response(*args, **named)
        if length := int(os.environ.get("LONG_ANSWER", "0")):
            response.output.insert(0, assistant_message("x" * length + " y"))
        return response


@app.post("/plain")
async def plain(message: web_stream.Message) -> str:
    """No stream: FastAPI lets an endpoint go on when its client disconnects."""
    result = await Runner.run(
        web_stream.agent,
        message.text,
        session=web_stream.session,
        session_id=message.session_id,
        turn_id=message.turn_id,
    )
    return str(result.final_output)


async def cancelled_on_disconnect(scope: Scope, receive: Receive, send: Send) -> None:
    """The whole API in a cancel scope of anyio that ends when the client disconnects."""
    first = [await receive()]

    async def received() -> Message:
        if not first:
            await anyio.sleep_forever()
        return first.pop()

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        await app.router(scope, received, send)
        group.cancel_scope.cancel()


app.mount("/middleware", BaseHTTPMiddleware(app.router, lambda request, call: call(request)))
app.mount("/scope", cancelled_on_disconnect)

web_stream.agent.model = HaltedModel(_rule)
web_stream.agent.tools = [look_up]
