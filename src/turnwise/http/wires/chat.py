"""The chat wire: a message as JSON, its answer as JSON or as a stream, from any replica."""

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Annotated, Any, cast
from urllib.parse import quote

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.encoders import jsonable_encoder
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from turnwise.background import Receipt
from turnwise.errors import (
    AlreadyCommitted,
    ApprovalPending,
    BusyTimeout,
    SessionGone,
    SessionStopped,
    TurnwiseError,
)
from turnwise.http.gateway import Gateway
from turnwise.http.principals import Authenticate, Principal, nobody
from turnwise.http.problems import problem_of
from turnwise.http.routes import (
    Json,
    WireRoute,
    admit_stream,
    principal_of,
    problems,
    remember,
)
from turnwise.http.wires.answers import Missing
from turnwise.http.wires.chat_conversations import add_conversations
from turnwise.http.wires.chat_events import FAREWELL, RETRY, chat_frame, encoded
from turnwise.http.wires.chat_models import (
    Approval,
    Approvals,
    CancelAnswer,
    CancelRequest,
    ChatAnswer,
    ChatRequest,
    Decisions,
    History,
    HistoryTurn,
    TurnView,
    Waiting,
)

_STREAM = "text/event-stream"
_SESSION = "/chat/{session_id:id}"
_TURN = f"{_SESSION}/turns/{{turn_id:id}}"
_DONE = ".done"
"""Behind the id of a turn's last event: the id of `done`."""


def router(
    gateway: Gateway, authenticate: Authenticate = nobody, *, timeout: float = 60.0
) -> APIRouter:
    """The routes of the chat wire.

    Args:
        gateway: What they ask.
        authenticate: Says who sends a request.
        timeout: Seconds that a request without a stream waits for its answer, if it does not say.
    """
    chat = _Chat(gateway, timeout)
    routes = APIRouter(route_class=WireRoute, dependencies=[remember(authenticate)], tags=["chat"])
    add = routes.add_api_route
    add(
        "/chat",
        chat.send,
        methods=["POST"],
        response_model=None,
        responses={
            200: {"model": ChatAnswer, "content": {_STREAM: {}}, "description": "The answer"},
            202: {"model": TurnView, "description": "The turn goes on"},
            **problems(400, 401, 404, 409, 413, 422, 429, 500, 503),
        },
    )
    add(
        f"{_TURN}/events",
        chat.events,
        methods=["GET"],
        response_model=None,
        responses={
            200: {"content": {_STREAM: {}}, "description": "What happens in the turn"},
            204: {"description": "The client has had `done`, and nothing follows"},
            **problems(401, 404, 422, 429, 500, 503),
        },
    )
    common = problems(400, 401, 404, 409, 413, 422, 429, 500, 503)
    for path, method, endpoint, model in (
        (f"{_SESSION}/history", "GET", chat.history, History),
        (f"{_SESSION}/approvals", "GET", chat.approvals, Approvals),
        (f"{_SESSION}/approvals", "POST", chat.decide, Approvals),
        (f"{_SESSION}/cancel", "POST", chat.cancel, CancelAnswer),
        (_TURN, "GET", chat.turn, TurnView),
    ):
        add(path, endpoint, methods=[method], response_model=model, responses=common)
    add_conversations(routes, gateway)
    return routes


class _Chat:
    def __init__(self, gateway: Gateway, timeout: float) -> None:
        self._gateway = gateway
        self._timeout = timeout

    async def send(
        self,
        request: Request,
        body: ChatRequest,
        accept: Annotated[str, Header()] = "",
        idempotency_key: Annotated[str | None, Header()] = None,
        last_event_id: Annotated[str | None, Header()] = None,
    ) -> Response:
        """Send a message, and get the answer.

        The turn does not depend on the connection. Sent again with the same id, a message is
        answered once.
        """
        principal, streams = principal_of(request), _STREAM in accept
        if streams:
            admit_stream(request, self._gateway.streams)
        receipt = await self._gateway.send(
            principal,
            body.session_id,
            body.message,
            turn_id=_turn_id(body.turn_id, idempotency_key),
            agent=body.agent,
            busy=body.busy,
            metadata=body.metadata,
        )
        if streams:
            return self._stream(principal, receipt.session_id, receipt.turn_id, last_event_id)
        timeout = self._timeout if body.timeout is None else body.timeout
        return await self._answer(principal, receipt, self._gateway.agent(body.agent), timeout)

    async def _answer(
        self, principal: Principal, receipt: Receipt, agent: str, timeout: float
    ) -> Response:
        names = receipt.session_id, receipt.turn_id
        headers = _headers(receipt.turn_id)
        try:
            output = await self._gateway.output(principal, *names, timeout, agent=agent)
        except (BusyTimeout, ApprovalPending, SessionStopped):
            view = await self._view(principal, *names)
            return _json(view, 202, headers)
        return Json({"response": jsonable_encoder(output)}, headers=headers)

    async def events(
        self,
        request: Request,
        session_id: str,
        turn_id: str,
        after: Annotated[str | None, Query(description="Follow from behind this event.")] = None,
        last_event_id: Annotated[str | None, Header()] = None,
    ) -> Response:
        """Follow a turn, from any replica: from the beginning, or from behind an event.

        Who names `done`, the last event, is told with 204 to stay away.
        """
        principal, cursor = principal_of(request), last_event_id or after
        status = await self._gateway.status(principal, session_id, turn_id)
        if status.state == "unknown":
            raise _unknown(session_id, turn_id)
        if status.finished and await self._is_at_end(principal, session_id, turn_id, cursor):
            return Response(status_code=204)
        return self._stream(principal, session_id, turn_id, cursor)

    async def turn(self, request: Request, session_id: str, turn_id: str) -> Response:
        """Where a turn stands, and its answer."""
        return _json(await self._view(principal_of(request), session_id, turn_id))

    async def history(
        self,
        request: Request,
        session_id: str,
        count: Annotated[int, Query(ge=1, le=200, description="How many turns.")] = 20,
        before: Annotated[str | None, Query(description="That of the page before.")] = None,
    ) -> Response:
        """A conversation's turns, the newest first."""
        principal = principal_of(request)
        # First: a turn that ends meanwhile is in the history then, or waits still.
        queue = await self._gateway.waiting(principal, session_id)
        page = await self._gateway.history(principal, session_id, count, before or None)
        if page is None:
            raise SessionGone("there is no such session", session_id=session_id)
        ended = {turn.turn_id for turn in page.turns}
        waiting = [Waiting.of(each) for each in queue if each.turn_id not in ended]
        return _json(
            History(
                turns=[HistoryTurn.of(turn) for turn in page.turns],
                before=page.before,
                open_turn=waiting[0].turn_id if waiting else None,
                waiting=waiting,
            )
        )

    async def approvals(self, request: Request, session_id: str) -> Response:
        """The tool calls that wait for a decision."""
        found = await self._gateway.approvals(principal_of(request), session_id)
        return _json(Approvals(approvals=list(map(Approval.of, found))))

    async def decide(self, request: Request, session_id: str, body: Decisions) -> Response:
        """Decide. A worker goes on with the turn when all is decided. What still waits."""
        found = await self._gateway.decide(principal_of(request), session_id, **body.model_dump())
        return _json(Approvals(approvals=list(map(Approval.of, found))))

    async def cancel(self, request: Request, session_id: str, body: CancelRequest) -> Response:
        """Cancel a turn: it ends, and nothing of it is committed."""
        found = await self._gateway.cancel(
            principal_of(request), session_id, body.turn_id, body.reason
        )
        if found.outcome == "absent":
            raise SessionGone("there is no such turn", session_id=session_id)
        return _json(CancelAnswer(turn_id=found.turn_id, outcome=found.outcome))

    async def _view(self, principal: Principal, session_id: str, turn_id: str) -> TurnView:
        status = await self._gateway.status(principal, session_id, turn_id)
        if status.state == "unknown":
            raise _unknown(session_id, turn_id)
        view = TurnView.of(status)
        if status.state == "parked":
            view.approvals = await self._pending(principal, session_id, turn_id)
        if status.state == "committed":
            view.response = await self._response(principal, session_id, turn_id)
        return view

    async def _response(self, principal: Principal, session_id: str, turn_id: str) -> Any:
        """The final output of a committed turn; None if it has none."""
        try:
            output = await self._gateway.output(principal, session_id, turn_id, 0)
        except AlreadyCommitted:
            return None
        return jsonable_encoder(output)

    async def _pending(self, principal: Principal, session_id: str, turn_id: str) -> list[Approval]:
        found = await self._gateway.approvals(principal, session_id)
        return [Approval.of(each) for each in found if each.turn_id == turn_id]

    async def _is_at_end(
        self, principal: Principal, session_id: str, turn_id: str, cursor: str | None
    ) -> bool:
        """Whether the client has got `done`, and nothing follows: an operator may retry a turn.

        The one event of a turn whose end is missing is made by `Receipt.events`: it is none.
        """
        if not cursor or not cursor.endswith(_DONE):
            return False
        following = self._gateway.follow(principal, session_id, turn_id, _event_of(cursor))
        async with aclosing(cast(Any, following)) as events:
            found = await anext(events, None)
            return found is None or "incomplete" in found[1]

    def _stream(
        self, principal: Principal, session_id: str, turn_id: str, after: str | None
    ) -> Response:
        frames = self._frames(principal, session_id, turn_id, _event_of(after))
        return self._gateway.streams.response(frames, farewell=FAREWELL, headers=_headers(turn_id))

    async def _frames(
        self, principal: Principal, session_id: str, turn_id: str, after: str | None
    ) -> AsyncIterator[str]:
        yield chat_frame("turn", {"session_id": session_id, "turn_id": turn_id}, retry=RETRY)
        names, last, missing = (principal, session_id, turn_id), after, Missing(after)
        try:
            async with aclosing(cast(Any, self._gateway.follow(*names, after))) as events:
                async for event_id, event in events:
                    last = event_id
                    missing.note(event_id, event)
                    if text := encoded(event_id, event):
                        yield text
                    elif (view := await self._waits(*names, event["type"])) is not None:
                        yield chat_frame(view.state, view.model_dump(mode="json"), event_id)
                        return
            view = await self._view(*names)
            if missing.found and view.state == "committed":
                yield chat_frame("reset", {})  # the response says all
            yield chat_frame("done", view.model_dump(mode="json"), f"{last or ''}{_DONE}")
        except TurnwiseError as error:
            yield chat_frame("error", problem_of(error).as_dict())

    async def _waits(
        self, principal: Principal, session_id: str, turn_id: str, event: str
    ) -> TurnView | None:
        """How the turn stands, if it waits for people since this event; None if it goes on."""
        if event not in ("turn.parked", "turn.stopped"):
            return None
        view = await self._view(principal, session_id, turn_id)
        waits = view.state == "stopped" or (view.state == "parked" and bool(view.approvals))
        return view if waits else None


def _event_of(cursor: str | None) -> str | None:
    """The turn's event from behind which a client goes on; None for the beginning."""
    return (cursor or "").removesuffix(_DONE) or None


def _turn_id(given: str | None, header: str | None) -> str | None:
    """The id in the body or in Idempotency-Key, which may have quotes around it."""
    key = header.strip('"') if header else None
    if given is not None and key is not None and given != key:
        raise HTTPException(422, "turn_id and Idempotency-Key differ; send one of them")
    return given if given is not None else key


def _json(
    model: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    return Json(model.model_dump(), status, headers)


def _headers(turn_id: str) -> dict[str, str]:
    """A turn id may hold what a header may not."""
    return {"Turn-Id": quote(turn_id, safe=":/")}


def _unknown(session_id: str, turn_id: str) -> SessionGone:
    return SessionGone(f"there is no turn {turn_id!r}", session_id=session_id)
