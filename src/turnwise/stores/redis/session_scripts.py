"""The scripts that run on the key of one session."""

from __future__ import annotations

import secrets
from typing import Any

from turnwise.limits import Limits
from turnwise.stores.header import newer
from turnwise.stores.redis import replies
from turnwise.stores.redis.header import elsewhere, foreign
from turnwise.stores.redis.keys import Keys
from turnwise.stores.redis.owned import OwnedSessions
from turnwise.stores.redis.scripts import script
from turnwise.stores.redis.transport import Transport

_CREATING = frozenset({"begin", "append", "restore", "submit"})


class SessionScripts:
    """Runs verbs, each with what all of them take.

    With an `owner`, there are no sessions but those of this owner, and what may create one is noted
    in `owned` first.
    """

    def __init__(
        self,
        transport: Transport,
        keys: Keys,
        limits: Limits,
        owned: OwnedSessions,
        owner: str | None,
    ) -> None:
        self._transport = transport
        self._keys = keys
        self._limits = limits
        self._owned = owned
        self._owner = owner

    async def answer(self, verb: str, session_id: str, *args: Any) -> Any:
        """The verb's answer, as the contract has it."""
        return replies.answer(await self.run(verb, session_id, *args))

    async def run(self, verb: str, session_id: str, *args: Any) -> replies.Reply:
        """What the script replied. Raises NotASession, NewerFormat."""
        if self._owner is not None and verb in _CREATING:
            await self._owned.note(self._owner, session_id)
        key, limits = self._keys.session(session_id), self._limits
        new_id = secrets.token_urlsafe(12)
        shared = (
            *(self._keys.wake_channel, new_id, limits.ttl_ms or 0, limits.retention_ms),
            *(limits.max_bytes, limits.max_queue, self._owner or ""),
        )
        reply: replies.Reply = await self._transport.run(
            script(verb), key, (*shared, *args), session_id
        )
        if reply[0] == b"foreign":
            raise foreign(session_id, key)
        if reply[0] == b"elsewhere":
            raise elsewhere(session_id, key, reply[1].decode())
        if reply[0] == b"newer":
            raise newer(session_id, reply[1])
        return reply
