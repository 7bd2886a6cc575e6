"""Dead letters: one stream for the whole fleet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from turnwise.errors import NewerFormat, NotASession
from turnwise.stores.letters import State, state
from turnwise.stores.redis.calls import Calls
from turnwise.stores.redis.keys import Keys
from turnwise.stores.redis.scripts import script
from turnwise.types import Letter

Status = Callable[[str, str], Awaitable[object]]


class Letters:
    """What is in the stream. Whether it is still right, each session tells."""

    def __init__(self, calls: Calls, keys: Keys) -> None:
        self._calls = calls
        self._key = keys.dead

    async def write(self, session_id: str, turn_id: str, token: str, letter: bytes) -> str:
        """Its id; that of the first time if this was sent before."""
        _, letter_id = await self._run("write", session_id, turn_id, token, letter)
        return str(letter_id.decode())

    async def list(self, count: int, after: str | None, status: Status) -> list[Letter]:
        """As in the contract. A letter that another one of its turn replaced is removed."""
        found: dict[tuple[str, str], Letter] = {}
        while len(found) < count:
            _, entries = await self._run("page", f"({after}" if after else "-", count - len(found))
            if not entries:
                break
            after = entries[-1][0].decode()
            for letter_id, fields in entries:
                _, session, _, turn, _, _, _, at, _, content = fields
                name, ids = letter_id.decode(), (session.decode(), turn.decode())
                told = await _state(name, *ids, status)
                if told is None:
                    await self.remove(name)
                    continue
                found.pop(ids, None)
                found[ids] = Letter(name, *ids, int(at), content, told)
        return [*found.values()]

    async def remove(self, letter_id: str) -> None:
        await self._run("remove", letter_id)

    async def _run(self, name: str, *args: Any) -> Any:
        return await self._calls.run(None, script(f"letters/{name}"), self._key, args)


async def _state(letter_id: str, session_id: str, turn_id: str, status: Status) -> State | None:
    try:
        return state(letter_id, await status(session_id, turn_id))
    except (NotASession, NewerFormat):
        return "unknown"
