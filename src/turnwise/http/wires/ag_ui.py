"""AG-UI's wire: runs of agents for CopilotKit, assistant-ui and others."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, cast

from ag_ui.core import BaseEvent, Message, RunAgentInput, RunErrorEvent, ToolMessage, UserMessage
from ag_ui.encoder import EventEncoder as Encoder
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError

from turnwise.errors import StoreUnavailable, TurnwiseError, UsageError
from turnwise.fleet import PastTurn
from turnwise.http.gateway import Gateway
from turnwise.http.principals import Authenticate, Principal, nobody
from turnwise.http.problems import ServerStopping, problem_of
from turnwise.http.routes import WireRoute, admit_stream, principal_of, problems, remember
from turnwise.http.sse import frame
from turnwise.http.wires.ag_ui_events import RECONNECT, EventEncoder
from turnwise.http.wires.ag_ui_messages import Answers, calls_in, history, input_of, messages_of
from turnwise.http.wires.answers import answer, pending, turns

_MOST = 200
"""How many turns a snapshot shows."""


def router(
    gateway: Gateway,
    authenticate: Authenticate = nobody,
    *,
    path: str = "/agui",
    agent: str | None = None,
) -> APIRouter:
    """The routes of AG-UI.

    Args:
        gateway: What they ask.
        authenticate: Says who sends a request.
        path: Where clients send their runs.
        agent: The agent that answers; None for the default.
    """
    gateway.agent(agent)
    wire = _AgUi(gateway, agent)
    routes = APIRouter(
        prefix=path, route_class=WireRoute, dependencies=[remember(authenticate)], tags=["ag-ui"]
    )
    common = problems(401, 404, 409, 413, 422, 429, 500, 503)
    routes.add_api_route(
        "",
        wire.run,
        methods=["POST"],
        response_model=None,
        responses={
            200: {"content": {"text/event-stream": {}}, "description": "The run's events"},
            **common,
        },
    )
    cancel = "/{thread_id:id}/cancel"
    routes.add_api_route(cancel, wire.cancel, methods=["POST"], responses=common)
    return routes


class Cancelled(BaseModel):
    """Whether a run was cancelled."""

    cancelled: bool


class _AgUi:
    def __init__(self, gateway: Gateway, agent: str | None) -> None:
        self._gateway = gateway
        self._agent = agent

    async def run(self, request: Request, body: RunAgentInput) -> Response:
        """Run the agent on the last message, answer interrupts, or show what is there.

        The run's id is the turn's. So it runs once, however often it is sent. A run whose last
        message is none of the user's shows the conversation, and follows what runs.
        """
        principal = principal_of(request)
        admit_stream(request, self._gateway.streams)
        if body.resume:
            return await self._resume(principal, body)
        names, last = (principal, body.thread_id), body.messages[-1] if body.messages else None
        if isinstance(last, ToolMessage) and not await self._is_known(*names, body.run_id):
            raise UsageError("the last message is a tool's: clients' tools are not supported")
        turn_id: str | None = body.run_id
        is_known = await self._is_known(*names, body.run_id)
        if isinstance(last, UserMessage):
            await self._gateway.send(*names, input_of(last), turn_id=body.run_id, agent=self._agent)
        elif not is_known:
            turn_id = await self._gateway.open_turn(*names)
        if isinstance(last, UserMessage) and not is_known:
            before = body.messages
        else:
            before = await self._before(*names, turn_id)
        version = body.protocol_version
        encoder = EventEncoder(*names[1:], body.run_id, turn_id or "", before, version=version)
        first = encoder.start(snapshot=before is not body.messages)
        return self._stream(principal, body.thread_id, turn_id, encoder, first)

    async def cancel(self, request: Request, thread_id: str) -> Cancelled:
        """Cancel the run. Nothing of it is committed."""
        found = await self._gateway.cancel(principal_of(request), thread_id, reason="cancelled")
        return Cancelled(cancelled=found.outcome in ("cancelled", "forced", "dropped"))

    async def _resume(self, principal: Principal, body: RunAgentInput) -> Response:
        """Decide what the client has answered, and follow what comes of it."""
        answers = Answers(body.resume or ())
        names = self._gateway, principal, body.thread_id, answers.turn_id
        asked = {approval.id for approval in await pending(*names)}
        approve = asked.intersection(answers.approve)
        reject = {name: why for name, why in answers.reject.items() if name in asked}
        if approve or reject:
            await self._gateway.decide(principal, body.thread_id, approve=approve, reject=reject)
        encoder = EventEncoder(
            *(body.thread_id, body.run_id, answers.turn_id, body.messages),
            held=calls_in(body.messages),
            after=answers.after,
            version=body.protocol_version,
        )
        return self._stream(
            principal, body.thread_id, answers.turn_id, encoder, encoder.start(), answers.after
        )

    async def _is_known(self, principal: Principal, thread_id: str, turn_id: str) -> bool:
        status = await self._gateway.status(principal, thread_id, turn_id)
        return status.state != "unknown"

    async def _before(
        self, principal: Principal, thread_id: str, turn_id: str | None
    ) -> list[Message]:
        """The messages before the turn's answer: all of them without a turn."""
        waiting = await self._gateway.waiting(principal, thread_id)
        asked = [m for one in waiting if one.turn_id == turn_id for m in _asked(turn_id, one.input)]
        found: list[PastTurn] = []
        async with aclosing(cast(Any, turns(self._gateway, principal, thread_id))) as past:
            async for turn in past:
                if turn.turn_id == turn_id:
                    asked = _asked(turn_id, turn.items)
                    found.clear()
                else:
                    found.append(turn)
                if len(found) == _MOST:
                    break
        return [*history(reversed(found)), *asked]

    def _stream(
        self,
        principal: Principal,
        thread_id: str,
        turn_id: str | None,
        encoder: EventEncoder,
        first: list[BaseEvent],
        after: str | None = None,
    ) -> Response:
        return self._gateway.streams.response(
            self._frames(principal, thread_id, turn_id, encoder, first, after),
            farewell=_frame(RECONNECT),
        )

    async def _frames(
        self,
        principal: Principal,
        thread_id: str,
        turn_id: str | None,
        encoder: EventEncoder,
        first: list[BaseEvent],
        after: str | None,
    ) -> AsyncIterator[str]:
        for event in first if turn_id is not None else [*first, *encoder.finish()]:
            yield _frame(event)
        if turn_id is None:
            return
        following = answer(self._gateway, principal, thread_id, turn_id, after)
        try:
            async with aclosing(cast(Any, following)) as events:
                async for event_id, event in events:
                    for encoded in encoder.encode(event_id, event):
                        yield _frame(encoded)
                    if encoder.is_over:
                        break
        except (StoreUnavailable, ServerStopping):
            yield _frame(RECONNECT)
        except TurnwiseError as error:
            problem = problem_of(error)
            yield _frame(RunErrorEvent(message=problem.detail, code=problem.code))


def _asked(turn_id: str | None, input: Any) -> list[Message]:
    """The user's part of a turn."""
    found = messages_of(turn_id or "", input)
    return [message for message in found if isinstance(message, UserMessage)]


def _frame(event: BaseEvent) -> str:
    try:
        return Encoder().encode(event)
    except PydanticSerializationError:  # half of a surrogate pair: a model may stream such halves
        return frame(json.dumps(event.model_dump(by_alias=True)))
