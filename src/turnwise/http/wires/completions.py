"""`/v1/models` and `/v1/chat/completions`, for chat front ends that know nothing else."""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, cast

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from turnwise.errors import StoreError, TurnIdReused, TurnwiseError
from turnwise.http.gateway import Gateway
from turnwise.http.principals import Authenticate, Principal, nobody
from turnwise.http.routes import Json, admit_stream, principal_of, remember
from turnwise.http.sse import frame
from turnwise.http.waits import left_behind
from turnwise.http.wires.completion_chunks import CompletionEncoder, completion_of
from turnwise.http.wires.completion_input import function_tools, items_of, last_user_message
from turnwise.http.wires.responses.errors import (
    OpenAIError,
    OpenAIRoute,
    invalid,
    no_repeat_without,
    not_found,
    of_error,
)
from turnwise.http.wires.responses.ids import Mode, ResponseId
from turnwise.http.wires.responses.items import digest
from turnwise.http.wires.responses.jsons import as_json
from turnwise.http.wires.responses.openapi import ERRORS, STREAM
from turnwise.http.wires.responses.reading import Reading, encoder_of
from turnwise.http.wires.responses.turns import Turns
from turnwise.turns import mint

SESSION_HEADERS = ("X-OpenWebUI-Chat-Id", "X-Conversation-Id")
MESSAGE_HEADERS = ("X-OpenWebUI-Message-Id", "X-Message-Id", "Idempotency-Key")
SIDE_TASKS = ("### Task:",)
"""How the messages begin by which Open WebUI asks for titles, tags and follow-ups."""


class StreamOptions(BaseModel):
    """What a stream has besides."""

    include_usage: bool | None = None


class CompletionRequest(BaseModel):
    """The body of `POST /v1/chat/completions`. What the agent itself decides is accepted."""

    model_config = ConfigDict(extra="allow")

    model: Annotated[str, Field(min_length=1, max_length=256)]
    messages: list[dict[str, Any]] = Field(min_length=1)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: list[dict[str, Any]] | None = None


@dataclass(frozen=True)
class _Asked:
    """A turn that a request asked for.

    `is_ephemeral`: it belongs to no session of the user's. `is_committed`: it was before it was
    asked for again.
    """

    rid: ResponseId
    tools: list[dict[str, Any]]
    is_ephemeral: bool = False
    is_committed: bool = False


def router(
    gateway: Gateway,
    authenticate: Authenticate = nobody,
    *,
    session_headers: Sequence[str] = SESSION_HEADERS,
    message_headers: Sequence[str] = MESSAGE_HEADERS,
    side_tasks: Collection[str] = SIDE_TASKS,
) -> APIRouter:
    """The routes of the models and the chat completions, below `/v1`.

    Args:
        gateway: What they ask.
        authenticate: Says who sends a request.
        session_headers: The headers that may name the session; the first that is there counts.
        message_headers: Those that may name the message: its id is the turn's.
        side_tasks: A last message that begins like one of these is answered outside of any session.
    """
    completions = _Completions(gateway, session_headers, message_headers, tuple(side_tasks))
    routes = APIRouter(
        prefix="/v1",
        route_class=OpenAIRoute,
        dependencies=[remember(authenticate)],
        responses=ERRORS,
        tags=["chat completions"],
    )
    add = routes.add_api_route
    add("/models", completions.models, methods=["GET"], response_model=None)
    add("/models/{model:id}", completions.model, methods=["GET"], response_model=None)
    create = completions.create
    add("/chat/completions", create, methods=["POST"], response_model=None, responses=STREAM)
    return routes


class _Completions:
    def __init__(
        self,
        gateway: Gateway,
        session_headers: Sequence[str],
        message_headers: Sequence[str],
        side_tasks: tuple[str, ...],
    ) -> None:
        self._gateway = gateway
        self._session_headers = session_headers
        self._message_headers = message_headers
        self._side_tasks = side_tasks

    async def models(self) -> Response:
        """The agents."""
        return Json({"object": "list", "data": [_model(name) for name in self._gateway.agents]})

    async def model(self, model: str) -> Response:
        """One agent."""
        if model not in self._gateway.agents:
            raise not_found(f"The model '{model[:200]}' does not exist.", "model")
        return Json(_model(model))

    async def create(self, request: Request, body: CompletionRequest) -> Response:
        """Let an agent answer; `model` names it."""
        principal = principal_of(request)
        self._gateway.agent(body.model)
        if body.stream:
            admit_stream(request, self._gateway.streams)
        with no_repeat_without(_header(request, self._message_headers)):
            return await self._answer(request, principal, body)

    async def _answer(
        self, request: Request, principal: Principal, body: CompletionRequest
    ) -> Response:
        asked = await self._ask(request, principal, body)
        completion_id = f"chatcmpl-{digest(asked.rid.session_id, asked.rid.turn_id)}"
        head = completion_id, int(time.time()), body.model
        wires = self._wires(principal, asked, body.model)
        if body.stream:
            options = body.stream_options or StreamOptions()
            encoder = CompletionEncoder(*head, with_usage=bool(options.include_usage))
            return self._gateway.streams.response(
                _frames(wires, encoder), farewell=_error_frame(left_behind())
            )
        last: dict[str, Any] = {}
        async with self._gateway.waits.until_end(asked.rid.session_id):
            async for wire in wires:
                last = wire
        return Json(completion_of(*head, last["response"]))

    async def _ask(self, request: Request, principal: Principal, body: CompletionRequest) -> _Asked:
        """Submit the new message to its session, or all messages to one of their own."""
        session_id = _header(request, self._session_headers)
        turn_id = _header(request, self._message_headers)
        if session_id and turn_id and not self._is_side_task(body.messages[-1]):
            try:
                return await self._in_session(principal, body, session_id, turn_id)
            except TurnIdReused:
                pass  # a side task names the message that it is about
        send = partial(self._gateway.send, principal, agent=body.model)
        tools = function_tools(body.tools or ())
        own, turns = f"completion_{mint()}", Turns(self._gateway, principal)
        await turns.begin_ephemeral(own)
        try:
            receipt = await send(own, items_of(body.messages), tools=tools)
        except StoreError:
            raise  # it may be queued
        except Exception:
            await turns.forget(own)
            raise
        await turns.expire(own)  # with a ttl the message has lengthened it
        return _Asked(ResponseId(own, receipt.turn_id, Mode.STREAM), tools, is_ephemeral=True)

    async def _in_session(
        self, principal: Principal, body: CompletionRequest, session_id: str, turn_id: str
    ) -> _Asked:
        message = last_user_message(body.messages)
        info, status = await asyncio.gather(
            self._gateway.info(principal, session_id),
            self._gateway.status(principal, session_id, turn_id),
        )
        turn = info.open_turn if info is not None else None
        if turn is not None and turn.state != "running" and turn.turn_id != turn_id:
            what = "waits for approvals" if turn.state == "parked" else "waits for an operator"
            raise invalid(f"The session {what} before it takes another message.")
        receipt = await self._gateway.send(
            principal, session_id, [message], turn_id=turn_id, agent=body.model
        )
        rid = ResponseId(session_id, receipt.turn_id, Mode.STREAM | Mode.STORE)
        return _Asked(rid, [], is_committed=status.state == "committed")

    def _is_side_task(self, message: dict[str, Any]) -> bool:
        content = message.get("content")
        if isinstance(content, list) and content and isinstance(content[0], dict):
            content = content[0].get("text")
        return isinstance(content, str) and content.lstrip().startswith(self._side_tasks)

    async def _wires(
        self, principal: Principal, asked: _Asked, model: str
    ) -> AsyncIterator[dict[str, Any]]:
        """The events of the answer, as of a response."""
        tools = [{"type": "function", "name": tool["name"]} for tool in asked.tools]
        echo = {"model": model, "created_at": 0, "tools": tools}
        encoder = encoder_of(asked.rid, echo)
        reading = Reading(self._gateway, principal)
        if asked.is_committed:  # whole: who sends it again may have got its events with a gap
            response = await reading.response(asked.rid)
            yield {"type": "response.completed", "response": response}
            return
        async with aclosing(cast(Any, reading.follow(asked.rid, encoder))) as wires:
            async for wire in wires:
                yield wire
        if asked.is_ephemeral:
            await Turns(self._gateway, principal).forget(asked.rid.session_id)


async def _frames(
    wires: AsyncIterator[dict[str, Any]], encoder: CompletionEncoder
) -> AsyncIterator[str]:
    """The chunks as text. An error is a frame too: the status is sent by now."""
    try:
        async with aclosing(cast(Any, wires)):
            yield _frame(encoder.begin())
            async for wire in wires:
                for chunk in encoder.encode(wire):
                    yield _frame(chunk)
        yield frame("[DONE]")
    except (OpenAIError, TurnwiseError) as error:
        yield _error_frame(error)


def _frame(content: dict[str, Any]) -> str:
    return frame(as_json(content))


def _error_frame(error: Exception) -> str:
    return _frame({"error": of_error(error).body})


def _header(request: Request, names: Sequence[str]) -> str | None:
    found = (request.headers.get(name) for name in names)
    return next((value for value in found if value), None)


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "turnwise"}
