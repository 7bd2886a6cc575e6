"""Dead letters: one stream for the whole fleet."""

from __future__ import annotations

from typing import Any

from turnwise.stores.redis.calls import Calls
from turnwise.stores.redis.keys import Keys
from turnwise.stores.redis.scripts import script
from turnwise.stores.verbs.session import NewLetter

Page = list[tuple[str, NewLetter]]


class Letters:
    """What is in the stream; whether it is still right, the sessions tell."""

    def __init__(self, calls: Calls, keys: Keys) -> None:
        self._calls = calls
        self._key = keys.dead

    async def write(self, session_id: str, turn_id: str, token: str, letter: bytes) -> str:
        """Its id; that of the first time if this was sent before."""
        _, letter_id = await self._run("write", session_id, turn_id, token, letter)
        return str(letter_id.decode())

    async def page(self, after: str | None, count: int) -> Page:
        _, entries = await self._run("page", f"({after}" if after else "-", count)
        return [_letter(entry) for entry in entries]

    async def remove(self, letter_id: str) -> None:
        await self._run("remove", letter_id)

    async def _run(self, name: str, *args: Any) -> Any:
        return await self._calls.run(None, script(f"letters/{name}"), self._key, args)


def _letter(entry: Any) -> tuple[str, NewLetter]:
    letter_id, fields = entry
    _, session_id, _, turn_id, _, _, _, at, _, content = fields
    letter = NewLetter(letter_id.decode(), turn_id.decode(), int(at), content)
    return session_id.decode(), letter
