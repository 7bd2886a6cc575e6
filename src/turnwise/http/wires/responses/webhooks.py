"""`response.completed` and so on: that responses in the background are over, told by webhooks."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any

from turnwise.fleet.webhooks import PendingWebhook
from turnwise.hooks import WebhookGivenUpEvent
from turnwise.http.gateway import Gateway
from turnwise.http.principals import Principal
from turnwise.http.webhook import NotAccepted, Webhook
from turnwise.http.wires.responses.errors import OpenAIError
from turnwise.http.wires.responses.ids import ResponseId
from turnwise.http.wires.responses.items import digest
from turnwise.http.wires.responses.reading import OVER, Reading

MAX_ATTEMPTS = 84
"""After so many a webhook is given up: three days after the first."""
_PAUSE, _LONGEST_PAUSE = 1.0, 3600.0
"""Seconds between two attempts: they double, up to an hour."""
_LOOK, _LONGEST_LOOK, _LOOK_GROWTH = 1.0, 15.0, 1.25
"""Seconds between two looks at a response that is not over: more and more."""
_UNSENT = 60.0
"""Seconds after which a turn that nobody knows will not come any more: it was refused, say."""
_REST, _LONGEST_REST = 20, 5.0
"""How many times as long as it took to find what is due the deliverer rests; in seconds at most."""
_AT_ONCE = 4
_log = logging.getLogger("turnwise")


class Webhooks:
    """Tells an endpoint that responses in the background are over.

    Args:
        gateway: Knows the responses.
        webhook: The endpoint.
    """

    def __init__(self, gateway: Gateway, webhook: Webhook) -> None:
        self._gateway = gateway
        self._webhook = webhook
        self._pending = gateway.webhooks()
        self._looks: dict[str, _Look] = {}

    async def expect(self, principal: Principal, rid: ResponseId) -> None:
        """Note, before the response is asked for, that its end is to be told."""
        if rid.background:
            about = {"response": str(rid), "owner": principal.owner}
            await self._pending.add(f"evt_{digest(str(rid))}", about)

    @asynccontextmanager
    async def delivered(self, _: object) -> AsyncIterator[None]:
        """Webhooks are delivered during the block, by this process or another one."""
        delivering = asyncio.create_task(self._deliver(), name="turnwise-webhooks")
        try:
            yield
        finally:
            delivering.cancel()
            await asyncio.wait({delivering})
            await self._pending.leave()

    async def _deliver(self) -> None:
        while True:
            rest = 0.0
            try:
                if await self._pending.is_mine():
                    rest = await self._round()
            except Exception as error:  # of the store, mostly: the next round may go well
                _log.warning("webhooks are not delivered: %s: %s", type(error).__name__, error)
            await asyncio.sleep(max(_LOOK, rest))

    async def _round(self) -> float:
        """Deliver what is due; how many seconds to rest: the longer, the more there is to find."""
        began = time.monotonic()
        pending = await self._pending.list()
        rest = min(_LONGEST_REST, _REST * (time.monotonic() - began))
        known = {webhook.id for webhook in pending}
        self._looks = {name: look for name, look in self._looks.items() if name in known}
        for part in _parts(filter(self._is_due, pending)):
            await asyncio.gather(*(self._tell(webhook) for webhook in part))
            if not await self._pending.is_mine():
                break
        return rest

    def _is_due(self, webhook: PendingWebhook) -> bool:
        if webhook.failed:
            return webhook.age >= min(_LONGEST_PAUSE, _PAUSE * 2.0 ** min(32, webhook.failed - 1))
        look = self._looks.get(webhook.id)
        return look is None or look.is_due

    async def _tell(self, webhook: PendingWebhook) -> None:
        """Deliver it, if the response is over."""
        try:
            rid = ResponseId.parse(webhook.about["response"])
            event = await self._event(webhook, rid)
        except OpenAIError:  # it is not there, or not any more
            if webhook.failed or webhook.age > _UNSENT:
                await self._pending.remove(webhook)
            return
        except Exception as error:  # of the store, or in this one: the others must not wait for it
            _log.warning("webhook %s: %s: %s", webhook.id, type(error).__name__, error)
            event = None
        if event is None:
            self._looks.setdefault(webhook.id, _Look()).later()
            return
        try:
            await self._webhook.deliver(webhook.id, json.dumps(event))
        except NotAccepted as error:
            await self._failed(webhook, rid, error)
        else:
            await self._pending.remove(webhook)

    async def _event(self, webhook: PendingWebhook, rid: ResponseId) -> dict[str, Any] | None:
        """What is to be told; None while the response is not over. Raises OpenAIError."""
        principal = Principal(webhook.about.get("owner"))
        turn = await self._gateway.status(principal, rid.session_id, rid.turn_id)
        if turn.state in ("queued", "running", "retrying"):
            return None
        response = await Reading(self._gateway, principal).response(rid)
        if response["status"] not in OVER:
            return None
        return {
            "object": "event",
            "id": webhook.id,
            "type": f"response.{response['status']}",
            "created_at": int(turn.finished_at or time.time()),
            "data": {"id": str(rid)},
        }

    async def _failed(self, webhook: PendingWebhook, rid: ResponseId, error: NotAccepted) -> None:
        attempts, where = webhook.failed + 1, self._webhook.host
        if attempts < MAX_ATTEMPTS:
            _log.warning("webhook %s to %s failed %d times: %s", webhook.id, where, attempts, error)
            await self._pending.failed(webhook)
            return
        _log.error("webhook %s to %s is given up: %s", webhook.id, where, error)
        names = rid.session_id, rid.turn_id
        self._gateway.emit(WebhookGivenUpEvent(*names, webhook.id, attempts, str(error)))
        await self._pending.remove(webhook)


class _Look:
    """When a response that is not over is looked at again."""

    def __init__(self) -> None:
        self._pause, self._due = _LOOK, -math.inf

    @property
    def is_due(self) -> bool:
        return time.monotonic() >= self._due

    def later(self) -> None:
        """It was not over now."""
        self._due = time.monotonic() + self._pause
        self._pause = min(_LONGEST_LOOK, _LOOK_GROWTH * self._pause)


def _parts(webhooks: Iterable[PendingWebhook]) -> Iterator[list[PendingWebhook]]:
    """A few at a time."""
    left = iter(webhooks)
    while part := list(islice(left, _AT_ONCE)):
        yield part
