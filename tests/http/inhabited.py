"""A server that has something of everything, and requests that reach it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from agents import Agent

from tests.http.recorded import refund, weather
from tests.http.speaking import Speaker, call, text
from turnwise import Session

Known = Mapping[str, list[Any]]
"""What there is, by the names of parameters, or of a body's fields."""
_USER = {"role": "user", "content": "hi"}
_ASK = {"id": "m1", "role": "user", "parts": [{"type": "text", "text": "hi"}]}
_TOOL = {"type": "function", "name": "look_up", "parameters": {"type": "object"}}


def agent() -> Agent[Any]:
    """It says yes, asks before it refunds, and never ends what is "slow"."""
    return Agent(name="agent", model=Speaker(_reply, _halt), tools=[weather, refund])


def _reply(items: list[Any]) -> list[Any]:
    last = items[-1] if items else {}
    if last.get("role") == "user" and "refund" in str(last.get("content")):
        return [call("refund", f"call_{len(items)}", order="A-1")]
    said = "slow" if last.get("content") == "slow" else "yes"
    return [text(said, len(items))]


async def _halt(word: str) -> None:
    if word == "slow":
        await asyncio.Event().wait()


@dataclass(frozen=True)
class Inhabited:
    """What a server has.

    Attributes:
        parameters: Values of paths' parameters.
        bodies: By the operation, values of its body's fields that make a good request together.
    """

    parameters: Known
    bodies: Mapping[str, Known]


async def inhabit(client: httpx.AsyncClient, session: Session) -> Inhabited:
    """Ask for something on each wire."""
    for message, turn_id in (("hi", "t1"), ("refund", "t2")):
        await _chat(client, "answered" if turn_id == "t1" else "parked", message, turn_id)
    made = [await _respond(client, input="hi", store=True)]
    made.append(await _respond(client, input="hi", background=True, stream=True))
    conversation = await _post(client, "/v1/conversations", items=[_USER] * 5)
    made.append(await _respond(client, input="hi", conversation=conversation["id"]))
    made.append(await _respond(client, input="refund"))
    slow = await _respond(client, input="slow", background=True)
    await client.post(f"/v1/responses/{slow['id']}/cancel")
    request = next(one for one in made[-1]["output"] if one["type"] == "mcp_approval_request")
    decision = {"type": "mcp_approval_response", "approval_request_id": request["id"]}
    items = await client.get(f"/v1/conversations/{conversation['id']}/items")
    asked = [one.id for one in await session.pending_approvals("parked")]
    responses = [one["id"] for one in [*made, slow]]
    return Inhabited(
        parameters={
            "session_id": ["answered", "parked"],
            "chat_id": ["answered", "parked"],
            "thread_id": ["parked"],
            "turn_id": ["t1", "t2"],
            "response_id": responses,
            "conversation_id": [conversation["id"]],
            "item_id": [one["id"] for one in items.json()["data"]],
            "model": ["agent"],
        },
        bodies=_bodies(responses, conversation["id"], asked, {**decision, "approve": True}),
    )


def _bodies(
    responses: list[str], conversation: str, asked: list[str], decision: Any
) -> dict[str, Known]:
    flags = [None, True, False]
    return {
        "POST /chat": {"session_id": ["answered", "new"], "message": ["hi", [_USER]]},
        "POST /chat/{session_id}/approvals": {"approve": [asked], "reject": [{}]},
        "POST /chat/{session_id}/cancel": {"turn_id": [None, "t1", "t2"]},
        "POST /chat/{session_id}/copy": {"session_id": ["copied"], "at": [None, "t1"]},
        "POST /chat/{session_id}/rewind": {"to": [None, "t1"]},
        "POST /v1/responses": {
            "model": ["agent"],
            "input": ["hi", [_USER], [decision]],
            "previous_response_id": [None, None, *responses],
            "conversation": [None, None, conversation],
            "background": flags,
            "stream": flags,
            "tools": [None, [_TOOL]],
        },
        "POST /v1/conversations": {"items": [None, [_USER]], "metadata": [{}, {"a": "b"}]},
        "POST /v1/conversations/{conversation_id}": {"metadata": [{}, {"a": "b"}]},
        "POST /v1/conversations/{conversation_id}/items": {"items": [[_USER]]},
        "POST /v1/chat/completions": {
            "model": ["agent"],
            "messages": [[_USER]],
            "stream": flags,
            "tools": [None, [{"type": "function", "function": _TOOL}]],
        },
        "POST /api/chat": {
            "id": ["answered", "new"],
            "messages": [[_ASK]],
            "trigger": ["submit-message", "regenerate-message"],
            "messageId": [None, "m1"],
            "agent": [None],
        },
        "POST /agui": {
            "threadId": ["answered", "new"],
            "runId": ["t1", "r1", "r2"],
            "messages": [[], [{"id": "m1", **_USER}]],
            **{name: [[]] for name in ("tools", "context", "resume")},
            **{name: [{}] for name in ("state", "forwardedProps")},
        },
    }


async def _chat(client: httpx.AsyncClient, session_id: str, message: str, turn_id: str) -> None:
    body = {"session_id": session_id, "message": message, "turn_id": turn_id}
    (await client.post("/chat", json=body)).raise_for_status()


async def _respond(client: httpx.AsyncClient, **body: Any) -> Any:
    if not body.get("stream"):
        return await _post(client, "/v1/responses", model="agent", **body)
    streamed = await client.post("/v1/responses", json={"model": "agent", **body})
    first = streamed.text.partition("data: ")[2].partition("\n")[0]
    return httpx.Response(200, text=first).json()["response"]


async def _post(client: httpx.AsyncClient, path: str, **body: Any) -> Any:
    answer = await client.post(path, json=body)
    answer.raise_for_status()
    return answer.json()
