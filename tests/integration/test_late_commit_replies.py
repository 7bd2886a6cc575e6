"""A commit whose reply comes late: the cache does not lose what others did meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from turnwise.session import Session
from turnwise.stores.embedded.memory import MemoryStore
from turnwise.turns import Runtime, Settings
from turnwise.types import Base, Done


class LateStore(MemoryStore):
    """The first answer to a commit is lost; before it is sent again another worker pops."""

    other: Session

    async def commit(
        self,
        session_id: str,
        turn_id: str,
        token: str,
        base: Base,
        commit_id: str,
        items: Sequence[bytes],
        **options: Any,
    ) -> Any:
        send = super().commit
        first = await send(session_id, turn_id, token, base, commit_id, items, **options)
        assert isinstance(first, Done)
        await self.other.pop_item()
        return await send(session_id, turn_id, token, base, commit_id, items, **options)


async def test_an_item_popped_before_the_commit_was_answered_is_not_read() -> None:
    store = LateStore()
    session = Session(Runtime(store, Settings(), "a"), session_id="s")
    store.other = Session(Runtime(store, Settings(), "b"), session_id="s")
    async with session.turn() as turn:
        await turn.add_items([{"role": "user", "content": "one"}])
    assert await session.get_items() == []
    await session.add_items([{"role": "user", "content": "two"}])
    assert await session.get_items() == [{"role": "user", "content": "two"}]
    assert await session.pop_item() == {"role": "user", "content": "two"}
