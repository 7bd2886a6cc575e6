"""Dead letters: one stream for all sessions."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from turnwise.errors import NewerFormat, NotASession
from turnwise.stores.dead_letters import State, no_letter_id, state_of
from turnwise.stores.redis.keys import Keys
from turnwise.stores.redis.scripts import script
from turnwise.stores.redis.transport import Transport
from turnwise.types import DeadLetterEntry

Status = Callable[[str, str], Awaitable[object]]
_ID = re.compile(r"[0-9]{1,19}-[0-9]{1,19}")
"""What the server takes as an entry's id: two numbers of 64 bits, of which ours are far off."""


class DeadLetters:
    """The stream. Whether a letter is still right, its session knows."""

    def __init__(self, transport: Transport, keys: Keys) -> None:
        self._transport = transport
        self._key = keys.dead_letters

    async def write(self, session_id: str, turn_id: str, token: str, letter: bytes) -> str:
        """The letter's id; a resend answers that of the first call."""
        _, dead_letter_id = await self._run("write", session_id, turn_id, token, letter)
        return str(dead_letter_id.decode())

    async def list(self, count: int, after: str | None, status: Status) -> list[DeadLetterEntry]:
        """As in the contract. Letters that a later one of their turn replaced are removed."""
        found: dict[tuple[str, str], DeadLetterEntry] = {}
        if after is not None and not _is_id(after):
            raise no_letter_id(after)
        while len(found) < count:
            start = f"({after}" if after else "-"
            _, entries = await self._run("page", start, count - len(found))
            if not entries:
                break
            after = entries[-1][0].decode()
            for dead_letter_id, fields in entries:
                _, session_id, _, turn_id, _, _, _, at_ms, _, content = fields
                name, turn = dead_letter_id.decode(), (session_id.decode(), turn_id.decode())
                state = await _state(name, *turn, status)
                if state is None:
                    await self.remove(name)
                    continue
                found.pop(turn, None)
                found[turn] = DeadLetterEntry(name, *turn, int(at_ms), content, state)
        return [*found.values()]

    async def count(self) -> int:
        _, count = await self._run("count")
        return int(count)

    async def remove(self, dead_letter_id: str) -> None:
        if _is_id(dead_letter_id):
            await self._run("remove", dead_letter_id)

    async def _run(self, name: str, *args: Any) -> Any:
        return await self._transport.run(script(f"dead_letters/{name}"), self._key, args)


def _is_id(given: object) -> bool:
    return isinstance(given, str) and _ID.fullmatch(given) is not None


async def _state(
    dead_letter_id: str, session_id: str, turn_id: str, status: Status
) -> State | None:
    try:
        return state_of(dead_letter_id, await status(session_id, turn_id))
    except (NotASession, NewerFormat):
        return "unknown"
