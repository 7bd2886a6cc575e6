"""Webhooks that are still to be delivered: the store has a note of each until it was accepted.

A note is written before the message that leads to it is submitted, so it outlives whoever dies. One
process delivers for all. If two do for a moment, or one dies between the receiver's answer and the
removal of the note, the receiver gets the same webhook again, under the same id.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec

from turnwise.errors import StoreError
from turnwise.turns import Runtime, mint
from turnwise.types import RegistryEntry

SILENT_MS = 30_000
"""If the process that delivers says nothing for so long, another one takes its place."""
_SAY_SO_MS = 5_000
_DELIVERER = "deliverer"


@dataclass(frozen=True, slots=True)
class PendingWebhook:
    """A webhook that was not delivered yet.

    Attributes:
        id: What names it at its receiver.
        about: What it is to tell of, as JSON: whoever noted it knows the form.
        failed: How many attempts failed.
        age: Seconds since it was noted, or since the last attempt.
    """

    id: str
    about: dict[str, Any]
    failed: int
    age: float


class _Stored(msgspec.Struct, omit_defaults=True):
    """A webhook as it is stored."""

    about: dict[str, Any]
    failed: int = 0


_decoder = msgspec.json.Decoder(_Stored)


class PendingWebhooks:
    """The webhooks of a fleet that are still to be delivered, in its store.

    Args:
        runtime: That of a session object that stands for all sessions of the store.

    Raises:
        UsageError: The session object is bound to the sessions of one owner.
    """

    def __init__(self, runtime: Runtime) -> None:
        runtime.check_unowned("a webhook")
        self._runtime = runtime
        self._registry = runtime.store.webhooks
        self._id = mint()

    @property
    def _me(self) -> bytes:
        return f"{self._runtime.name} {self._id}".encode()

    async def add(self, webhook_id: str, about: dict[str, Any]) -> None:
        """Note a webhook. One of the same id is noted once, and begins anew."""
        await self._registry.write(webhook_id, msgspec.json.encode(_Stored(about)))

    async def failed(self, webhook: PendingWebhook) -> None:
        """An attempt at it failed."""
        stored = _Stored(webhook.about, webhook.failed + 1)
        await self._registry.write(webhook.id, msgspec.json.encode(stored))

    async def remove(self, webhook: PendingWebhook) -> None:
        """It was delivered, or is given up."""
        await self._registry.remove(webhook.id)

    async def list(self) -> list[PendingWebhook]:
        """All of them. What another version wrote in another form is left to it."""
        found = map(_pending, await self._registry.list())
        return [webhook for webhook in found if webhook is not None]

    async def is_mine(self) -> bool:
        """Whether this process delivers. Ask again, more often than every SILENT_MS.

        Of two that begin at the same moment, the one that said so last finds it confirmed.
        """
        entry, me = await self._registry.read(_DELIVERER), self._me
        is_mine = entry is not None and entry.record == me
        if entry is not None and not is_mine and entry.age_ms < SILENT_MS:
            return False
        if entry is None or not is_mine or entry.age_ms >= _SAY_SO_MS:
            await self._registry.write(_DELIVERER, me)
        return is_mine

    async def leave(self) -> None:
        """Let another process deliver at once. If the store does not answer, it waits a little."""
        with suppress(StoreError):
            entry = await self._registry.read(_DELIVERER)
            if entry is not None and entry.record == self._me:
                await self._registry.remove(_DELIVERER)


def _pending(entry: RegistryEntry) -> PendingWebhook | None:
    if entry.name == _DELIVERER:
        return None
    try:
        stored = _decoder.decode(entry.record)
    except msgspec.MsgspecError:
        return None
    return PendingWebhook(entry.name, stored.about, stored.failed, entry.age_ms / 1000)
