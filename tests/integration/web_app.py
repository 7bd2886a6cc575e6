"""The example that streams, with a model that a test can halt, and a tool whose runs are counted.

Both write down what they were asked: a line with the user's message for each call.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from agents import ModelResponse, function_tool
from agents.testing import assistant_message

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
        while conversation.outputs("look_up") and (_FOLDER / f"halt {message}").exists():
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


web_stream.agent.model = HaltedModel(_rule)
web_stream.agent.tools = [look_up]
