"""A response is asked for: which session it belongs to, and what becomes of the input."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from turnwise.errors import HistoryChanged, SessionExists, StoreError, TurnIdReused
from turnwise.http.gateway import Gateway
from turnwise.http.principals import Principal
from turnwise.http.wires.responses.answered import Answered, answered, open_calls
from turnwise.http.wires.responses.answering import LOOK_BACK, Answering
from turnwise.http.wires.responses.answers import answers_in
from turnwise.http.wires.responses.errors import OpenAIError, invalid, locked, not_found
from turnwise.http.wires.responses.ids import Mode, ResponseId
from turnwise.http.wires.responses.items import digest
from turnwise.http.wires.responses.objects import echo_of
from turnwise.http.wires.responses.reading import Reading
from turnwise.http.wires.responses.requests import CreateResponse
from turnwise.http.wires.responses.turns import ECHO, Turns
from turnwise.http.wires.responses.webhooks import Webhooks
from turnwise.turns import mint
from turnwise.types import Info


@dataclass(frozen=True)
class Created:
    """A response that was asked for.

    Attributes:
        rid: Its id.
        echo: What it says of its request.
        is_ephemeral: Whether its session is deleted when it has been delivered.
    """

    rid: ResponseId
    echo: Mapping[str, Any]
    is_ephemeral: bool = False


class Creating:
    """Asks for one response."""

    def __init__(
        self,
        gateway: Gateway,
        principal: Principal,
        request: CreateResponse,
        key: str | None,
        webhooks: Webhooks | None = None,
    ) -> None:
        request.check()
        gateway.agent(request.model)
        self._gateway = gateway
        self._principal = principal
        self._request = request
        self._key = key
        self._webhooks = webhooks
        self._turn_id = key or mint()
        self._turns = Turns(gateway, principal)
        self._answers = answers_in(request.items)
        self._answering = Answering(gateway, principal, self._answers, request.mode, self._expect)
        self._echo = echo_of(request, int(time.time()))

    async def create(self) -> Created:
        """Send the input where it belongs.

        Raises:
            OpenAIError, TurnwiseError: Nothing was sent.
        """
        if (conversation := self._request.conversation_id) is not None:
            return await self._in_conversation(conversation)
        if self._request.previous_response_id:
            return await self._after(self._request.previous_response_id)
        return await self._in_new_session()

    async def _in_conversation(self, session_id: str) -> Created:
        info = await self._gateway.info(self._principal, session_id)
        if info is None:
            raise not_found(f"Conversation with id '{session_id}' not found.", "conversation")
        parked = _parked(info)
        if self._answers.alone:
            found = await self._answering.turn_in(session_id, info)
            if found is not None:
                return await self._answer(*found)
        if parked is not None and not await self._was_sent(session_id):
            turn = await answered(self._turns, self._first(session_id, parked))
            return await self._answer(turn, turn.parts - 1)
        return await self._send(session_id)

    async def _in_new_session(self) -> Created:
        session_id = self._new_session_id()
        if self._is_ephemeral:
            await self._turns.begin_ephemeral(session_id)
        return await self._send_first(session_id)

    async def _after(self, previous: str) -> Created:
        """Behind another response: in its session if that ends with it, else in a copy."""
        rid = await self._previous(previous)
        names = rid.session_id, rid.turn_id
        info = await self._gateway.info(self._principal, rid.session_id)
        is_parked = info is not None and _parked(info) == rid.turn_id
        if is_parked or self._answers.alone:
            turn = await answered(self._turns, rid)
            if self._answers.alone or rid.part == turn.parts - 1:
                return await self._answer(turn, rid.part)
        if is_parked or rid.part < await self._turns.times_parked(*names):
            raise _no_fork(previous)
        if info is not None and info.open_turn and info.open_turn.turn_id == rid.turn_id:
            raise locked()  # its end is not known yet
        if rid.conversation is None and self._request.mode & Mode.STORE:
            with suppress(HistoryChanged):
                return await self._send(rid.session_id, after=rid.turn_id)
        return await self._fork(rid)

    async def _previous(self, text: str) -> ResponseId:
        try:
            rid = ResponseId.parse(text)
            if await Reading(self._gateway, self._principal).exists(rid):
                return rid
        except OpenAIError:
            pass
        raise invalid(
            f"Previous response with id '{text[:200]}' not found.",
            "previous_response_id",
            "previous_response_not_found",
        )

    async def _fork(self, rid: ResponseId) -> Created:
        session_id = self._new_session_id()
        try:
            await self._gateway.copy(self._principal, rid.session_id, session_id, rid.turn_id)
        except SessionExists:
            if self._key is None:
                raise
        if self._is_ephemeral:
            await self._turns.expire(session_id)
        return await self._send_first(session_id)

    async def _send_first(self, session_id: str) -> Created:
        """Send it to a session that was made for it, and that is not left behind if it is refused.

        With a key it stays: the same request, sent again, may use it by now.
        """
        try:
            created = await self._send(session_id)
        except Exception as error:
            if self._key is None and not isinstance(error, StoreError):
                with suppress(StoreError):
                    await self._turns.forget(session_id)
            raise
        if not self._is_ephemeral:
            return created
        await self._turns.expire(session_id)  # with a ttl the message has lengthened it
        return replace(created, is_ephemeral=True)

    async def _send(self, session_id: str, after: str | None = None) -> Created:
        if self._answers.needs_call and not await self._was_sent(session_id):
            await self._check_calls(session_id)
        try:
            return await self._submit(session_id, after)
        except TurnIdReused:
            await self._take_time_of_first(session_id)
            return await self._submit(session_id, after)

    async def _check_calls(self, session_id: str) -> None:
        """Raise the error 400 for an answer to a call that is neither sent nor in the history."""
        turns = await self._turns.last(session_id, LOOK_BACK)
        calls = open_calls([item for turn in turns for item in turn.items])
        self._answers.without(calls | self._answers.calls).refuse()

    async def _was_sent(self, session_id: str) -> bool:
        """Whether this very request is known there: it is sent again."""
        if self._key is None:
            return False
        return (await self._turns.status(session_id, self._key)).state != "unknown"

    async def _submit(self, session_id: str, after: str | None) -> Created:
        request = self._request
        rid = ResponseId(session_id, self._turn_id, request.mode)
        await self._expect(rid)
        await self._gateway.send(
            self._principal,
            session_id,
            request.input,
            turn_id=rid.turn_id,
            agent=request.model,
            busy="reject",
            metadata={ECHO: self._echo},
            after=after,
            tools=request.client_tools,
        )
        return Created(rid, self._echo)

    async def _expect(self, rid: ResponseId) -> None:
        """Its end is told, whatever becomes of this process."""
        if self._webhooks is not None:
            await self._webhooks.expect(self._principal, rid)

    async def _take_time_of_first(self, session_id: str) -> None:
        """Of a request that is sent again, the response says when it was sent first."""
        sent = await self._turns.sent(session_id, self._turn_id)
        first = {} if sent is None else sent.metadata.get(ECHO, {})
        created_at = first.get("created_at", self._echo["created_at"])
        self._echo = {**self._echo, "created_at": created_at}

    async def _answer(self, turn: Answered, part: int) -> Created:
        """The input answers what a part of the turn asked."""
        rid = await self._answering.answer(turn, part)
        known = {name: turn.echo[name] for name in ("tools", "created_at") if name in turn.echo}
        return Created(rid, self._echo | {"tools": []} | known)

    @property
    def _is_ephemeral(self) -> bool:
        """Whether the session that is made for it is not to be kept."""
        return not self._request.mode & Mode.STORE

    def _first(self, session_id: str, turn_id: str) -> ResponseId:
        return ResponseId(session_id, turn_id, self._request.mode)

    def _new_session_id(self) -> str:
        """The same one when the request is sent again."""
        if self._key is None:
            return f"conv_{mint()}"
        previous = self._request.previous_response_id
        return f"conv_{digest(self._principal.owner, self._key, previous)}"


def _parked(info: Info) -> str | None:
    turn = info.open_turn
    return turn.turn_id if turn is not None and turn.state == "parked" else None


def _no_fork(previous: str) -> OpenAIError:
    return invalid(
        f"The turn of response '{previous[:200]}' has gone on since, and can be continued only "
        "from its last response.",
        "previous_response_id",
        "conversation_fork_not_supported",
    )
