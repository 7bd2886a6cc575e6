"""The Vercel AI SDK's wire: what `useChat` sends, and the streams that it reads."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any, cast

from fastapi import APIRouter, Header, Query, Request, Response

from turnwise.errors import StoreUnavailable, TurnwiseError, UsageError
from turnwise.http.following import Event
from turnwise.http.gateway import Gateway
from turnwise.http.principals import Authenticate, Principal, nobody
from turnwise.http.problems import ServerStopping, problem_of
from turnwise.http.routes import WireRoute, admit_stream, principal_of, problems, remember
from turnwise.http.sse import frame
from turnwise.http.wires.answers import answer, answer_from_history, pending, turns
from turnwise.http.wires.steps import Chunk
from turnwise.http.wires.vercel_chunks import (
    AISDK,
    RESUME,
    ChunkEncoder,
    turn_answered_by,
)
from turnwise.http.wires.vercel_messages import (
    ChatRequest,
    Decisions,
    Message,
    Messages,
    Stopped,
    asked_messages,
    history,
    is_version_of,
    version_of,
)

_HEADERS = {"x-vercel-ai-ui-message-stream": "v1"}
_DONE = frame("[DONE]")
_STREAM = {"content": {"text/event-stream": {}}, "description": "The answer's chunks"}


def router(
    gateway: Gateway,
    authenticate: Authenticate = nobody,
    *,
    api: str = "/api/chat",
    ai_sdk: AISDK = 6,
) -> APIRouter:
    """The routes of the AI SDK's wire.

    Args:
        gateway: What they ask.
        authenticate: Says who sends a request.
        api: The path that the client's transport names.
        ai_sdk: The major version of the client's package `ai`: 5, 6 or 7.
    """
    if ai_sdk not in (5, 6, 7):
        raise UsageError(f"ai_sdk={ai_sdk!r}: use 5, 6 or 7")
    chat = _Vercel(gateway, ai_sdk)
    routes = APIRouter(
        prefix=api, route_class=WireRoute, dependencies=[remember(authenticate)], tags=["vercel"]
    )
    common = problems(401, 404, 409, 413, 422, 429, 500, 503)
    routes.add_api_route(
        "",
        chat.send,
        methods=["POST"],
        response_model=None,
        responses={200: _STREAM, **common},
    )
    routes.add_api_route(
        "/{chat_id:id}/stream",
        chat.resume,
        methods=["GET"],
        response_model=None,
        responses={200: _STREAM, 204: {"description": "There is nothing to resume"}, **common},
    )
    stop = "/{chat_id:id}/stop"
    routes.add_api_route(stop, chat.stop, methods=["POST"], responses=common)
    messages = "/{chat_id:id}/messages"
    routes.add_api_route(messages, chat.messages, methods=["GET"], responses=common)
    return routes


class _Vercel:
    def __init__(self, gateway: Gateway, ai_sdk: AISDK) -> None:
        self._gateway = gateway
        self._ai_sdk = ai_sdk

    async def send(self, request: Request, body: ChatRequest) -> Response:
        """Send a message, have one answered again, or go on after approvals; and get the answer.

        The message's id is the turn's. So it is answered once, however often it is sent.
        """
        principal, last = principal_of(request), body.last
        admit_stream(request, self._gateway.streams)
        if last.role == "assistant":
            return await self._go_on(principal, body.id, last)
        if last.role != "user":
            raise UsageError("the last message is none of the user's")
        if body.trigger == "regenerate-message" or body.message_id == last.id:
            turn_id = await self._send_once_more(principal, body)
        else:
            turn_id = last.id
            await self._gateway.send(
                principal, body.id, last.input(), turn_id=turn_id, agent=body.agent
            )
        following = answer(self._gateway, principal, body.id, turn_id)
        return self._respond(following, ChunkEncoder(turn_id, ai_sdk=self._ai_sdk))

    async def resume(
        self,
        request: Request,
        chat_id: str,
        answer_id: Annotated[
            str | None, Header(description="The answer that the client holds a part of.")
        ] = None,
    ) -> Response:
        """Follow the open turn from its beginning, or the one that the client has a part of."""
        principal, state = principal_of(request), "unknown"
        if turn_id := turn_answered_by(answer_id or ""):
            state = (await self._gateway.status(principal, chat_id, turn_id)).state
        if state == "unknown":
            turn_id = await self._gateway.open_turn(principal, chat_id)
        if turn_id is None:
            return Response(status_code=204)
        encoder, names = ChunkEncoder(turn_id, ai_sdk=self._ai_sdk), (principal, chat_id, turn_id)
        if state == "committed":  # its events may have gaps, which is why the client is back
            return self._respond(answer_from_history(self._gateway, *names), encoder)
        return self._respond(answer(self._gateway, *names), encoder)

    async def stop(self, request: Request, chat_id: str) -> Stopped:
        """Cancel the open turn. Nothing of it is committed."""
        found = await self._gateway.cancel(principal_of(request), chat_id, reason="stopped")
        return Stopped(stopped=found.outcome in ("cancelled", "forced", "dropped"))

    async def messages(
        self,
        request: Request,
        chat_id: str,
        count: Annotated[int, Query(ge=1, le=200, description="How many turns.")] = 50,
        before: Annotated[str | None, Query(description="That of the page before.")] = None,
    ) -> Messages:
        """What a chat begins with: the last messages, the oldest first, and what is being asked."""
        principal = principal_of(request)
        waiting = await self._gateway.waiting(principal, chat_id)  # first: what ends is in both
        page = await self._gateway.history(principal, chat_id, count, before or None)
        found = history(reversed(page.turns)) if page is not None else []
        if not before:
            known = {message["id"] for message in found}
            asked = [each for one in waiting for each in asked_messages(one.turn_id, one.input)]
            found += [message for message in asked if message["id"] not in known]
        return Messages(messages=found, before=page.before if page is not None else None)

    async def _go_on(self, principal: Principal, chat_id: str, message: Message) -> Response:
        """Decide what the client has decided, and follow what comes of it."""
        turn_id, approvals = turn_answered_by(message.id), message.decided()
        if turn_id is None or not approvals:
            raise UsageError(
                "the last message is an answer without decided approvals; send a message"
            )
        decisions = Decisions(approvals)
        await self._decide(principal, chat_id, turn_id, decisions)
        encoder = ChunkEncoder(turn_id, ai_sdk=self._ai_sdk, held=message.calls())
        following = answer(self._gateway, principal, chat_id, turn_id, decisions.after)
        return self._respond(following, encoder)

    async def _decide(
        self, principal: Principal, chat_id: str, turn_id: str, decisions: Decisions
    ) -> None:
        """Decide what is still pending. What was decided before is decided."""
        found = await pending(self._gateway, principal, chat_id, turn_id)
        asked = {approval.id for approval in found}
        approve = asked.intersection(decisions.approve)
        reject = {name: why for name, why in decisions.reject.items() if name in asked}
        if approve or reject:
            await self._gateway.decide(principal, chat_id, approve=approve, reject=reject)

    async def _send_once_more(self, principal: Principal, body: ChatRequest) -> str:
        """Send the message where the history ends before it. The turn that answers it."""
        names, said = (principal, body.id), body.last.input()
        turn_id, is_sent = await self._version(*names, body.last.id)
        is_found, before = (False, None) if is_sent else await self._before(*names, body.last.id)
        to: Any = {"turn_id": turn_id, "agent": body.agent}
        if is_found:
            await self._gateway.rewind_and_send(*names, before, said, **to)
        else:
            await self._gateway.send(*names, said, **to)
        return turn_id

    async def _version(
        self, principal: Principal, chat_id: str, message_id: str
    ) -> tuple[str, bool]:
        """The turn that answers the message once more, and whether it was sent already."""
        number = 0
        while (turn_id := version_of(message_id, number)) and (
            status := await self._gateway.status(principal, chat_id, turn_id)
        ).state != "unknown":
            if not status.finished:
                return turn_id, True  # sent twice, or it is on its way
            number += 1
        return turn_id, False

    async def _before(
        self, principal: Principal, chat_id: str, message_id: str
    ) -> tuple[bool, str | None]:
        """Whether the history has the message, and the turn that it ends with before it."""
        is_found = False
        async with aclosing(cast(Any, turns(self._gateway, principal, chat_id))) as found:
            async for turn in found:
                if is_found and turn.items:
                    return True, turn.turn_id
                is_found = is_found or (is_version_of(turn.turn_id, message_id) and turn.items)
        return bool(is_found), None

    def _respond(
        self, following: AsyncIterator[tuple[str, Event]], encoder: ChunkEncoder
    ) -> Response:
        frames = _frames(following, encoder)
        return self._gateway.streams.response(
            frames, farewell=_frame(_error(RESUME)), headers=_HEADERS
        )


async def _frames(
    following: AsyncIterator[tuple[str, Event]], encoder: ChunkEncoder
) -> AsyncIterator[str]:
    for chunk in encoder.start():
        yield _frame(chunk)
    try:
        async with aclosing(cast(Any, following)) as events:
            async for event_id, event in events:
                for chunk in encoder.encode(event_id, event):
                    yield _frame(chunk)
                if encoder.is_over:
                    break
    except (StoreUnavailable, ServerStopping):
        yield _frame(_error(RESUME))
    except TurnwiseError as error:
        yield _frame(_error(problem_of(error).detail))
    yield _DONE


def _frame(chunk: Chunk) -> str:
    text = json.dumps(chunk, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair: a model may stream such halves
        text = json.dumps(chunk, separators=(",", ":"))
    return frame(text)


def _error(text: str) -> Chunk:
    return {"type": "error", "errorText": text}
