"""Dead letters: one stream for the whole fleet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from turnwise.errors import NewerFormat, NotASession
from turnwise.stores.dead_letters import State, state
from turnwise.stores.redis.keys import Keys
from turnwise.stores.redis.scripts import script
from turnwise.stores.redis.transport import Transport
from turnwise.types import DeadLetterEntry

Status = Callable[[str, str], Awaitable[object]]


class Letters:
    """What is in the stream. Whether it is still right, each session tells."""

    def __init__(self, transport: Transport, keys: Keys) -> None:
        self._transport = transport
        self._key = keys.dead

    async def write(self, session_id: str, turn_id: str, token: str, letter: bytes) -> str:
        """Its id; that of the first time if this was sent before."""
        _, dead_letter_id = await self._run("write", session_id, turn_id, token, letter)
        return str(dead_letter_id.decode())

    async def list(self, count: int, after: str | None, status: Status) -> list[DeadLetterEntry]:
        """As in the contract. A letter that another one of its turn replaced is removed."""
        found: dict[tuple[str, str], DeadLetterEntry] = {}
        while len(found) < count:
            _, entries = await self._run("page", f"({after}" if after else "-", count - len(found))
            if not entries:
                break
            after = entries[-1][0].decode()
            for dead_letter_id, fields in entries:
                _, session, _, turn, _, _, _, at, _, content = fields
                name, ids = dead_letter_id.decode(), (session.decode(), turn.decode())
                told = await _state(name, *ids, status)
                if told is None:
                    await self.remove(name)
                    continue
                found.pop(ids, None)
                found[ids] = DeadLetterEntry(name, *ids, int(at), content, told)
        return [*found.values()]

    async def remove(self, dead_letter_id: str) -> None:
        await self._run("remove", dead_letter_id)

    async def _run(self, name: str, *args: Any) -> Any:
        return await self._transport.run(None, script(f"dead_letters/{name}"), self._key, args)


async def _state(
    dead_letter_id: str, session_id: str, turn_id: str, status: Status
) -> State | None:
    try:
        return state(dead_letter_id, await status(session_id, turn_id))
    except (NotASession, NewerFormat):
        return "unknown"
