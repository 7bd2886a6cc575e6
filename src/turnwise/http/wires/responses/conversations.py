"""`/v1/conversations`: a conversation is a session, its id the session's."""

from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response

from turnwise.http.gateway import Gateway
from turnwise.http.routes import Json, principal_of
from turnwise.http.wires.responses.errors import OpenAIError, locked, not_found
from turnwise.http.wires.responses.history import History
from turnwise.http.wires.responses.items import as_history_item, digest, history_items
from turnwise.http.wires.responses.objects import conversation_object, list_object
from turnwise.http.wires.responses.pages import page
from turnwise.http.wires.responses.requests import (
    ConversationUpdate,
    NewConversation,
    NewItems,
    check_items,
)
from turnwise.turns import mint
from turnwise.types import Info

_CONVERSATION = "/conversations/{conversation_id}"
_ITEMS = f"{_CONVERSATION}/items"
_ITEM = f"{_ITEMS}/{{item_id}}"


def add_routes(routes: APIRouter, gateway: Gateway) -> None:
    """Add the routes of the Conversations API."""
    conversations = _Conversations(gateway)
    for path, method, endpoint in (
        ("/conversations", "POST", conversations.create),
        (_CONVERSATION, "GET", conversations.retrieve),
        (_CONVERSATION, "POST", conversations.update),
        (_CONVERSATION, "DELETE", conversations.delete),
        (_ITEMS, "POST", conversations.add_items),
        (_ITEMS, "GET", conversations.list_items),
        (_ITEM, "GET", conversations.retrieve_item),
        (_ITEM, "DELETE", conversations.delete_item),
    ):
        routes.add_api_route(path, endpoint, methods=[method], response_model=None)


class _Conversations:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def create(
        self,
        request: Request,
        body: NewConversation | None = None,
        idempotency_key: Annotated[str | None, Header(min_length=1, max_length=256)] = None,
    ) -> Response:
        """Create a conversation, with items or without; one key of an owner creates one."""
        body, principal = body or NewConversation(), principal_of(request)
        check_items(body.items or [], "items")
        is_new = idempotency_key is None
        name = mint() if is_new else digest(principal.owner, idempotency_key)
        history = self._history(request, f"conv_{name}")
        if is_new or await self._gateway.info(principal, history.session_id) is None:
            await self._gateway.admit_items(principal, history.session_id, body.items or [])
            await history.create(body.items or [], body.metadata)
        return await self._conversation(request, history.session_id)

    async def retrieve(self, request: Request, conversation_id: str) -> Response:
        """A conversation without its items."""
        return await self._conversation(request, conversation_id)

    async def update(
        self, request: Request, conversation_id: str, body: ConversationUpdate
    ) -> Response:
        """Replace its metadata."""
        await self._info(request, conversation_id)
        await self._history(request, conversation_id).set_metadata(body.metadata or {})
        return await self._conversation(request, conversation_id)

    async def delete(self, request: Request, conversation_id: str) -> Response:
        """Delete a conversation, with all its items."""
        await self._info(request, conversation_id)
        await self._history(request, conversation_id).delete()
        return Json({"id": conversation_id, "object": "conversation.deleted", "deleted": True})

    async def add_items(self, request: Request, conversation_id: str, body: NewItems) -> Response:
        """Add items at the end, all or none."""
        check_items(body.items, "items")
        info = await self._info(request, conversation_id)
        if info.open_turn is not None and info.open_turn.state == "running":
            raise locked()
        await self._gateway.admit_items(principal_of(request), conversation_id, body.items)
        first = await self._history(request, conversation_id).add(body.items)
        return Json(list_object(history_items(body.items, conversation_id, first)))

    async def list_items(
        self,
        request: Request,
        conversation_id: str,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        order: Annotated[str, Query(pattern="^(asc|desc)$")] = "desc",
        after: str | None = None,
    ) -> Response:
        """Its items, a part at a time."""
        await self._info(request, conversation_id)
        items = await self._history(request, conversation_id).items()
        return Json(page(history_items(items, conversation_id, 0), limit, order, after))

    async def retrieve_item(self, request: Request, conversation_id: str, item_id: str) -> Response:
        """One item."""
        await self._info(request, conversation_id)
        items = await self._history(request, conversation_id).items()
        place = _place(items, conversation_id, item_id)
        return Json(as_history_item(items[place], conversation_id, place))

    async def delete_item(self, request: Request, conversation_id: str, item_id: str) -> Response:
        """Remove one item; the answer is the conversation."""
        await self._info(request, conversation_id)
        await self._history(request, conversation_id).remove(
            lambda items: _place(items, conversation_id, item_id)
        )
        return await self._conversation(request, conversation_id)

    def _history(self, request: Request, session_id: str) -> History:
        return History(self._gateway, principal_of(request), session_id)

    async def _info(self, request: Request, session_id: str) -> Info:
        with suppress(OpenAIError):
            info = await self._gateway.info(principal_of(request), session_id)
            if info is not None:
                return info
        raise not_found(f"Conversation with id '{session_id[:200]}' not found.", "conversation_id")

    async def _conversation(self, request: Request, session_id: str) -> Response:
        info = await self._info(request, session_id)
        metadata = await self._history(request, session_id).metadata()
        return Json(conversation_object(session_id, info.created_at, metadata))


def _place(items: list[dict[str, Any]], session_id: str, item_id: str) -> int:
    """Where the item is. Raises the error 404."""
    for place in range(len(items) - 1, -1, -1):
        if as_history_item(items[place], session_id, place)["id"] == item_id:
            return place
    raise not_found(f"Item with id '{item_id[:200]}' not found.", "item_id")
