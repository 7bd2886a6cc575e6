"""`/v1/responses`: OpenAI's Responses API over agents."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response

from turnwise.errors import TurnwiseError
from turnwise.http.gateway import Gateway
from turnwise.http.principals import Authenticate
from turnwise.http.routes import Json, admit_stream, principal_of, remember
from turnwise.http.sse import frame
from turnwise.http.waits import left_behind
from turnwise.http.wires.responses import conversations
from turnwise.http.wires.responses.creating import Created, Creating
from turnwise.http.wires.responses.errors import (
    OpenAIError,
    OpenAIRoute,
    no_repeat_without,
    not_found,
    of_error,
)
from turnwise.http.wires.responses.ids import ResponseId
from turnwise.http.wires.responses.item_events import Wire
from turnwise.http.wires.responses.jsons import as_json
from turnwise.http.wires.responses.objects import deleted_response, response_object
from turnwise.http.wires.responses.openapi import ERRORS, STREAM
from turnwise.http.wires.responses.output import ATTEMPT_STEP
from turnwise.http.wires.responses.pages import page
from turnwise.http.wires.responses.reading import Reading, encoder_of
from turnwise.http.wires.responses.requests import CreateResponse
from turnwise.http.wires.responses.turns import Turns
from turnwise.http.wires.responses.webhooks import Webhooks

_RESPONSE = "/responses/{response_id}"
Limit = Annotated[int, Query(ge=1, le=100)]
Order = Literal["asc", "desc"]


def router(gateway: Gateway, authenticate: Authenticate) -> APIRouter:
    """The routes of the Responses and the Conversations API, below `/v1`.

    While their app runs, webhooks are delivered.

    Args:
        gateway: What they ask.
        authenticate: Says who sends a request.
    """
    webhooks = None if gateway.webhook is None else Webhooks(gateway, gateway.webhook)
    responses = _Responses(gateway, webhooks)
    routes = APIRouter(
        prefix="/v1",
        route_class=OpenAIRoute,
        dependencies=[remember(authenticate)],
        responses=ERRORS,
        tags=["responses"],
        lifespan=None if webhooks is None else webhooks.delivered,
    )
    add = routes.add_api_route
    streamed: Any = {"response_model": None, "responses": STREAM}
    add("/responses", responses.create, methods=["POST"], **streamed)
    add(_RESPONSE, responses.retrieve, methods=["GET"], **streamed)
    add(_RESPONSE, responses.delete, methods=["DELETE"], response_model=None)
    add(f"{_RESPONSE}/cancel", responses.cancel, methods=["POST"], response_model=None)
    add(f"{_RESPONSE}/input_items", responses.input_items, methods=["GET"], response_model=None)
    for path in ("/responses/compact", "/responses/input_tokens"):
        add(path, _not_offered, methods=["POST"], include_in_schema=False)
    conversations.add_routes(routes, gateway)
    return routes


class _Responses:
    def __init__(self, gateway: Gateway, webhooks: Webhooks | None) -> None:
        self._gateway = gateway
        self._webhooks = webhooks

    async def create(
        self,
        request: Request,
        body: CreateResponse,
        idempotency_key: Annotated[str | None, Header(min_length=1, max_length=256)] = None,
    ) -> Response:
        """Ask an agent for a response. `model` names the agent."""
        principal = principal_of(request)
        creating = Creating(self._gateway, principal, body, idempotency_key, self._webhooks)
        if body.stream:
            admit_stream(request, self._gateway.streams)
        with no_repeat_without(idempotency_key):
            created = await creating.create()
            if created.rid.stream:
                return self._streamed(self._delivered(request, created))
            if created.rid.background:
                return Json(response_object(created.rid, created.echo, "queued"))
            last: Wire = {}
            async with self._gateway.waits.until_end(created.rid.session_id):
                async for wire in self._delivered(request, created):
                    last = wire
        return Json(last["response"])

    async def retrieve(
        self,
        request: Request,
        response_id: str,
        stream: bool = False,
        starting_after: Annotated[int | None, Query(ge=0)] = None,
    ) -> Response:
        """A response as it is now; or, of one in the background, its stream from any point on."""
        reading, rid = self._reading(request), ResponseId.parse(response_id)
        if stream:
            return self._streamed(await reading.stream(rid), starting_after)
        return Json(await reading.response(rid))

    async def cancel(self, request: Request, response_id: str) -> Response:
        """Cancel a response in the background. Cancelling it twice does no harm."""
        reading, rid = self._reading(request), ResponseId.parse(response_id)
        if await reading.cancellable(rid):
            await self._gateway.cancel(principal_of(request), rid.session_id, rid.turn_id)
        return Json(await reading.response(rid))

    async def delete(self, request: Request, response_id: str) -> Response:
        """Delete a response. Later ones that go on from it keep what they know of it."""
        reading, rid = self._reading(request), ResponseId.parse(response_id)
        await reading.deletable(rid)
        turns = Turns(self._gateway, principal_of(request))
        if rid.conversation is None and await turns.is_only(rid.session_id):
            await self._gateway.delete(principal_of(request), rid.session_id)
        else:
            await turns.mark(rid.session_id, rid.turn_id, rid.part)
        return Json(deleted_response(response_id))

    async def input_items(
        self,
        request: Request,
        response_id: str,
        limit: Limit = 20,
        order: Order = "desc",
        after: str | None = None,
        before: str | None = None,
    ) -> Response:
        """What the response was made of: the history before it, and its input."""
        rid = ResponseId.parse(response_id)
        items = await self._reading(request).input_items(rid)
        return Json(page(items, limit, order, after, before))

    def _reading(self, request: Request) -> Reading:
        return Reading(self._gateway, principal_of(request))

    async def _delivered(self, request: Request, created: Created) -> AsyncIterator[Wire]:
        """The events of a new response; then its session is deleted if it was not to be stored."""
        encoder = encoder_of(created.rid, created.echo)
        async for wire in self._reading(request).follow(created.rid, encoder):
            yield wire
        if created.is_ephemeral:
            await Turns(self._gateway, principal_of(request)).forget(created.rid.session_id)

    def _streamed(self, wires: AsyncIterator[Wire], after: int | None = None) -> Response:
        frames = _Frames(wires, after)
        return self._gateway.streams.response(frames.all(), farewell=frames.farewell)


async def _not_offered() -> None:
    raise not_found("This server does not offer this endpoint.")


class _Frames:
    """A response's events as text, from behind the one with the number `after`."""

    def __init__(self, wires: AsyncIterator[Wire], after: int | None) -> None:
        self._wires = wires
        self._last = -1 if after is None else after

    async def all(self) -> AsyncIterator[str]:
        """The frames. An error is an event too: the status is sent by now."""
        try:
            async with aclosing(cast(Any, self._wires)):
                async for wire in self._behind(self._wires):
                    self._last = wire["sequence_number"]
                    yield _frame(wire)
        except (OpenAIError, TurnwiseError) as error:
            yield self._error(error)

    async def _behind(self, wires: AsyncIterator[Wire]) -> AsyncIterator[Wire]:
        """Those behind `after`.

        If the events of its attempt are gone, nothing tells which items of it are void: all are,
        and the response is created once more.
        """
        attempt, is_known, created = max(0, self._last) // ATTEMPT_STEP, self._last < 0, Wire()
        async for wire in wires:
            number = wire["sequence_number"]
            if wire["type"] == "response.created":
                created = wire
            elif not is_known and number // ATTEMPT_STEP > attempt:
                yield created | {"sequence_number": number // ATTEMPT_STEP * ATTEMPT_STEP - 1}
                is_known = True
            else:
                is_known = True
            if number > self._last:
                yield wire

    def farewell(self) -> str:
        """What tells the client to ask for the rest."""
        return self._error(left_behind())

    def _error(self, error: Exception) -> str:
        """An error that is among the events makes OpenAI's clients raise, whoever reads them.

        Its number is that of the event before it: who goes on from there misses nothing.
        """
        body = of_error(error).body
        flat = {name: body[name] for name in ("code", "message", "param")}
        number = {"sequence_number": max(0, self._last)}
        return _frame({"type": "error", "error": body} | flat | number)


def _frame(wire: Wire) -> str:
    return frame(as_json(wire), event=wire["type"])
