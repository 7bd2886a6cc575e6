"""The chat wire's conversations: who can answer, the list, a copy, and taking one back."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from turnwise.errors import SessionGone, StoreError, StoreUnavailable
from turnwise.fleet import item_texts
from turnwise.http.gateway import Gateway
from turnwise.http.principals import Principal
from turnwise.http.routes import Json, principal_of, problems
from turnwise.http.wires.chat_models import (
    AgentNames,
    Conversation,
    Conversations,
    CopyAnswer,
    CopyRequest,
    RewindAnswer,
    RewindRequest,
)

_SESSION = "/chat/{session_id:id}"
_TITLE = 80
"""Characters of a title."""
_TURNS = 3
"""How far back the last thing that a user said is looked for."""


def add_conversations(routes: APIRouter, gateway: Gateway) -> None:
    """Add the routes that concern conversations as a whole."""
    wire = _Conversations(gateway)
    common = problems(400, 401, 404, 409, 413, 422, 429, 500, 503)
    for path, method, endpoint, model in (
        ("/chat/agents", "GET", wire.agents, AgentNames),
        ("/chat/sessions", "GET", wire.sessions, Conversations),
        (f"{_SESSION}/copy", "POST", wire.copy, CopyAnswer),
        (f"{_SESSION}/rewind", "POST", wire.rewind, RewindAnswer),
    ):
        routes.add_api_route(
            path, endpoint, methods=[method], response_model=model, responses=common
        )


class _Conversations:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def agents(self) -> Response:
        """Who can answer: the default first."""
        return Json(AgentNames(agents=list(self._gateway.agents)).model_dump())

    async def sessions(
        self,
        request: Request,
        cursor: Annotated[str | None, Query(description="That of the part before.")] = None,
        count: Annotated[int, Query(ge=1, le=200, description="How many to look at.")] = 50,
    ) -> Response:
        """The conversations, a part at a time, in the order of the store."""
        principal = principal_of(request)
        page = await self._gateway.sessions(principal, cursor=cursor or None, count=count)
        titles = await asyncio.gather(
            *(self._title(principal, each.session_id) for each in page.sessions)
        )
        found = list(map(Conversation.of, page.sessions, titles))
        return Json(Conversations(sessions=found, cursor=page.cursor).model_dump())

    async def copy(self, request: Request, session_id: str, body: CopyRequest) -> Response:
        """Copy a conversation, or its beginning, to a new one. Sent again, it changes nothing."""
        principal = principal_of(request)
        await self._check(principal, session_id)
        items = await self._gateway.copy(principal, session_id, body.session_id, body.at)
        return Json(CopyAnswer(session_id=body.session_id, items=items).model_dump())

    async def rewind(self, request: Request, session_id: str, body: RewindRequest) -> Response:
        """Take a conversation back to the end of a turn: what came later is removed."""
        principal = principal_of(request)
        await self._check(principal, session_id)
        removed = await self._gateway.rewind(principal, session_id, body.to)
        return Json(RewindAnswer(removed=removed).model_dump())

    async def _check(self, principal: Principal, session_id: str) -> None:
        if await self._gateway.info(principal, session_id) is None:
            raise SessionGone("there is no such session", session_id=session_id)

    async def _title(self, principal: Principal, session_id: str) -> str:
        """The beginning of the last thing that its user said; "" if it cannot be read."""
        try:
            page = await self._gateway.history(principal, session_id, _TURNS)
            past = [turn.items for turn in page.turns] if page is not None else []
            if said := next(filter(None, map(_said, past)), ""):
                return said
            waiting = await self._gateway.waiting(principal, session_id)
            return next(filter(None, (_said(each.input) for each in waiting)), "")
        except StoreUnavailable:
            raise
        except StoreError:  # one damaged conversation hides no other
            return ""


def _said(message: Any) -> str:
    """What the user says in a message, or in a turn's items."""
    items = [{"role": "user", "content": message}] if isinstance(message, str) else message or []
    texts = (text for item in items if isinstance(item, Mapping) for text in item_texts(item))
    words = next((each.text.split() for each in texts if each.side == "user"), [])
    title = " ".join(words)
    return title if len(title) <= _TITLE else f"{title[: _TITLE - 1]}…"
