"""What is accepted can be read: at the largest size that reading allows, and one byte above it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.approval_lab import Clerk, asks
from tests.integration.background_lab import QUICK, echo
from tests.integration.stores import Sessions, new_sessions_of
from tests.scripted import says
from turnwise import Runner
from turnwise.background import Policy
from turnwise.codec import MAX_TEXT, Codec, EncodedTooLarge
from turnwise.errors import DeadLettered, ItemTooLarge, TurnTooLarge
from turnwise.session import Session
from turnwise.turns import begin_turn

GIBIBYTE = 1024**3
RAISED = {"max_item_bytes": GIBIBYTE, "max_turn_bytes": GIBIBYTE, "lease": 60.0}
"""Bounds far above what can be read."""

sessions = new_sessions_of(["memory", "sqlite", "valkey"])


def sized(size: int, **more: Any) -> Any:
    """An item of so many bytes of JSON."""
    item = {"role": "user", "content": "", **more}
    item["content"] = "x" * (size - len(Codec().text(item)))
    assert len(str(item["content"])) > size - 1000
    return item


@pytest.mark.parametrize("compression", [True, False])
def test_the_codec(compression: bool) -> None:
    codec = Codec(compression=compression)
    largest = sized(MAX_TEXT)
    assert codec.decode(codec.encode(largest)) == largest
    with pytest.raises(EncodedTooLarge) as caught:
        codec.encode(sized(MAX_TEXT + 1))
    assert (caught.value.size, caught.value.most) == (MAX_TEXT + 1, MAX_TEXT)


@pytest.mark.parametrize("in_turn", [False, True])
async def test_an_item(sessions: Sessions, in_turn: bool) -> None:
    ours = sessions.worker(**RAISED)

    async def add(session: Session, item: Any) -> None:
        if in_turn:
            async with session.turn("s") as turn:
                await turn.add_items([item])
        else:
            await session.bind("s").add_items([item])

    largest = sized(MAX_TEXT)
    await add(ours, largest)
    with pytest.raises(ItemTooLarge, match=f"{MAX_TEXT}, the most that can be read"):
        await add(ours, sized(MAX_TEXT + 1))
    with pytest.raises(ItemTooLarge, match="max_item_bytes=10, the most|max_item_bytes=10;"):
        await add(sessions.worker(max_item_bytes=10), sized(MAX_TEXT + 1))
    assert await sessions.worker(**RAISED).bind("s").get_items() == [largest]


async def test_a_journal_entry(sessions: Sessions) -> None:
    ours, other = sessions.worker(**RAISED), sessions.worker(**RAISED)
    turn = await begin_turn(ours.runtime, "s", "t")
    largest = sized(MAX_TEXT, k="decided")
    await turn.journal.write(largest)
    await ours.runtime.release("s", "t", turn.token)
    turn.end_here()
    turn = await begin_turn(other.runtime, "s", "t")
    assert turn.journal.entries == [largest]
    for entry in (sized(MAX_TEXT + 1), {"k": "decided"}):  # nor what comes behind it
        with pytest.raises(TurnTooLarge, match="'t'.*journal"):
            await turn.journal.write(entry)
    await turn.roll_back(None)
    async with ours.turn("s", timeout=30):
        pass


async def _asks_to_pay(session: Session, clerk: Clerk, size: int) -> None:
    agent = clerk.agent(asks("look"), asks("pay"))
    state = {"context": {"note": "x" * size}}
    await Runner.run(agent, "go", session=session, session_id="s", turn_id="t", **state)


async def test_a_parked_state(sessions: Sessions) -> None:
    """Exactly at the bound: the state is measured with a note of a known size first."""
    ours, other, clerk = sessions.worker(**RAISED), sessions.worker(**RAISED), Clerk()
    sizes: list[int] = []
    text = Codec.text

    def measured(codec: Codec, item: Any) -> bytes:
        try:
            sizes.append(len(element := text(codec, item)) * (item.get("k") == "park"))
        except EncodedTooLarge as error:
            sizes.append(error.size)
            raise
        return element

    def spare() -> int:
        """What is left by the largest state since the last look."""
        largest = max(sizes)
        sizes.clear()
        return MAX_TEXT - largest

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Codec, "text", measured)
        await _asks_to_pay(ours, clerk, 1000)
        size = 1000 + spare()
        await ours.cancel("s")
        for more in range(1, 200):  # times and ids in the state differ in length by a little
            with pytest.raises(TurnTooLarge, match="can be read"):
                await _asks_to_pay(ours, clerk, size + 100)
            over = -spare()
            if over == 100:
                break
            size += 100 - over
            assert more < 10
        async with other.turn("s", timeout=30):
            pass
        await ours.cancel("s")
