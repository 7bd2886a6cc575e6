"""Responses read again: their state, their stream, their input."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, suppress
from typing import Any, cast

from turnwise.errors import SessionGone
from turnwise.http.gateway import Gateway
from turnwise.http.principals import Principal
from turnwise.http.wires.responses.encoder import ResponseEncoder
from turnwise.http.wires.responses.errors import invalid
from turnwise.http.wires.responses.ids import ResponseId, response_not_found
from turnwise.http.wires.responses.item_events import Wire
from turnwise.http.wires.responses.items import Item, history_items
from turnwise.http.wires.responses.objects import response_object
from turnwise.http.wires.responses.turns import ECHO, Turns

OVER = ("completed", "failed", "cancelled", "incomplete")
"""The statuses in which a response ends."""
Echo = Mapping[str, Any]


class Reading:
    """One principal's responses."""

    def __init__(self, gateway: Gateway, principal: Principal) -> None:
        self._gateway = gateway
        self._principal = principal
        self._turns = Turns(gateway, principal)

    async def response(self, rid: ResponseId) -> Wire:
        """The response object as it is now.

        Raises:
            OpenAIError: 404: it was not stored, is deleted, or is still being made in the
                foreground.
        """
        found = await self._now(rid)
        if found["status"] not in OVER and not rid.background:
            raise response_not_found(str(rid))
        return found

    async def deletable(self, rid: ResponseId) -> None:
        """Raise the error for a response that cannot be deleted now."""
        if (await self.response(rid))["status"] not in OVER:
            raise invalid("Cannot delete an in-flight response.")

    async def cancellable(self, rid: ResponseId) -> bool:
        """Whether there is anything to cancel. Raises the error for what cannot be."""
        status = (await self.response(rid))["status"]
        if not rid.background:
            raise invalid("Cannot cancel a synchronous response.")
        if status in OVER and status != "cancelled":
            raise invalid(f"Cannot cancel {'an' if status[0] == 'i' else 'a'} {status} response.")
        return bool(status != "cancelled")

    async def stream(self, rid: ResponseId) -> AsyncIterator[Wire]:
        """All events of a response in the background, from the first one on."""
        await self.response(rid)
        for holds, what in ((rid.background, "background"), (rid.stream, "stream")):
            if not holds:
                raise invalid(
                    "This response cannot be streamed because it was not created with "
                    f"{what}=true.",
                    "stream",
                )
        return self.follow(rid, await self.encoder(rid))

    async def follow(self, rid: ResponseId, encoder: ResponseEncoder) -> AsyncIterator[Wire]:
        """The events of a response as they come, to its end."""
        yield encoder.created()
        names = rid.session_id, rid.turn_id
        events = cast(Any, self._gateway.follow(self._principal, *names))
        with suppress(SessionGone):  # it ended longer ago than the retention
            async with aclosing(events):
                async for event_id, event in events:
                    for wire in encoder.encode(event_id, event):
                        yield wire
                    if encoder.is_over:
                        return
        for wire in await self._rest(rid, encoder):
            yield wire

    async def input_items(self, rid: ResponseId) -> list[Item]:
        """What the turn was given, behind the history before it."""
        await self.response(rid)
        names = rid.session_id, rid.turn_id
        before = await self._turns.items_before(*names)
        if (sent := await self._turns.sent(*names)) is not None:
            given = sent.input
        else:
            ended = await self._turns.ended(*names)
            given = [] if ended is None else ended.given
        return history_items([*before, *given], rid.session_id, 0)

    async def encoder(self, rid: ResponseId) -> ResponseEncoder:
        """What encodes this response, from its first event on."""
        return encoder_of(rid, await self._echo(rid))

    async def exists(self, rid: ResponseId) -> bool:
        """Whether the id is of a turn that the principal may see, and of no deleted response."""
        names = rid.session_id, rid.turn_id
        if not rid.store:
            return False
        is_old = (await self._turns.status(*names)).state == "unknown"
        if is_old and await self._turns.ended(*names) is None:
            return False
        return not await self._turns.is_marked(*names, rid.part, old=is_old)

    async def _now(self, rid: ResponseId) -> Wire:
        if not await self.exists(rid):
            raise response_not_found(str(rid))
        status = await self._turns.status(rid.session_id, rid.turn_id)
        echo = await self._echo(rid)
        if status.state == "queued" and not rid.part:
            return response_object(rid, echo, "queued")
        encoder = encoder_of(rid, echo)
        names = rid.session_id, rid.turn_id
        async for event_id, event in self._turns.events_so_far(*names):
            encoder.encode(event_id, event)
            if encoder.is_over:
                break
        if not encoder.is_over and (status.finished or status.state == "unknown"):
            await self._rest(rid, encoder)
        elif not encoder.is_over and status.state == "stopped":
            encoder.finish("stopped")
        return encoder.response

    async def _rest(self, rid: ResponseId, encoder: ResponseEncoder) -> list[Wire]:
        """The end of a turn that has ended, whose last events were lost or have expired."""
        ended = await self._turns.ended(rid.session_id, rid.turn_id)
        if ended is None:
            return encoder.finish("dead", "Nothing is known of the turn any more.")
        wires = encoder.rebuild(ended.events) if ended.state == "committed" else []
        return wires + encoder.finish(ended.state, ended.error, ended.at)

    async def _echo(self, rid: ResponseId) -> Echo:
        names = rid.session_id, rid.turn_id
        if (sent := await self._turns.sent(*names)) is not None:
            return _echo_in(sent.metadata)
        ended = await self._turns.ended(*names)
        return _echo_in({} if ended is None else ended.metadata, ended.at if ended else 0)


def encoder_of(rid: ResponseId, echo: Echo) -> ResponseEncoder:
    """What encodes this response."""
    tools = [tool["name"] for tool in echo.get("tools", ()) if tool.get("type") == "function"]
    base = response_object(rid, echo, "in_progress")
    return ResponseEncoder(base, rid.turn_id, rid.part, tools)


def _echo_in(metadata: Mapping[str, Any], at: float = 0) -> Echo:
    """What the message says of its request. A message of another wire says nothing."""
    return {"model": "", "created_at": int(at)} | dict(metadata.get(ECHO, {}))
