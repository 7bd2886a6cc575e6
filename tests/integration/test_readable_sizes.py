"""What is accepted can be read: at the largest size that reading allows, and one byte above it."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable
from typing import Any, cast

import pytest

from tests.integration.approval_lab import Clerk, asks
from tests.integration.background_lab import echo, output
from tests.integration.stores import Sessions, new_sessions_of
from turnwise import Runner
from turnwise.background import Message, Policy
from turnwise.background.message import stored_form
from turnwise.background.submit import MAX_MESSAGE_BYTES
from turnwise.codec import MAX_RAW, Codec, EncodedTooLarge
from turnwise.errors import DeadLettered, InvalidItem, ItemTooLarge, TurnTooLarge
from turnwise.journal_entries import DecidedEntry, Entry, ParkedEntry, encode_entry
from turnwise.session import Session
from turnwise.turns import Park, RollBack, begin_turn, end
from turnwise.types import PendingApproval

GIBIBYTE = 1024**3
RAISED = {"max_item_bytes": GIBIBYTE, "max_turn_bytes": GIBIBYTE, "lease": 60.0}
"""Bounds far above what can be read."""

sessions = new_sessions_of(["memory", "sqlite", "valkey"])


def sized(size: int, **more: Any) -> Any:
    """An item of so many bytes of JSON."""
    item = {"role": "user", "content": "", **more}
    item["content"] = "x" * (size - len(Codec().dump(item)))
    assert len(str(item["content"])) > size - 1000
    return item


@pytest.mark.parametrize("compression", [True, False])
def test_the_codec(compression: bool) -> None:
    codec = Codec(compression=compression)
    largest = sized(MAX_RAW)
    assert codec.decode(codec.encode(largest)) == largest
    with pytest.raises(EncodedTooLarge) as caught:
        codec.encode(sized(MAX_RAW + 1))
    assert (caught.value.size, caught.value.limit) == (MAX_RAW + 1, MAX_RAW)


@pytest.mark.parametrize("in_turn", [False, True])
async def test_an_item(sessions: Sessions, in_turn: bool) -> None:
    ours = sessions.worker(**RAISED)

    async def add(session: Session, item: Any) -> None:
        if in_turn:
            async with session.turn("s") as turn:
                await turn.add_items([item])
        else:
            await session.bind("s").add_items([item])

    largest = sized(MAX_RAW)
    await add(ours, largest)
    with pytest.raises(ItemTooLarge, match=f"{MAX_RAW}, the most that is readable"):
        await add(ours, sized(MAX_RAW + 1))
    with pytest.raises(ItemTooLarge, match="max_item_bytes=10;"):
        await add(sessions.worker(max_item_bytes=10), sized(MAX_RAW + 1))
    assert await sessions.worker(**RAISED).bind("s").get_items() == [largest]


async def test_a_journal_entry(sessions: Sessions) -> None:
    ours, other = sessions.worker(**RAISED), sessions.worker(**RAISED)
    turn = await begin_turn(ours.runtime, "s", "t")
    largest = decided(MAX_RAW)
    await turn.journal.write(largest)
    await ours.runtime.release("s", "t", turn.token)
    turn.close()
    turn = await begin_turn(other.runtime, "s", "t")
    assert turn.journal.entries == [largest]
    for entry in (decided(MAX_RAW + 1), decided(100)):  # nor what comes behind it
        with pytest.raises(TurnTooLarge, match=r"'t'.*journal"):
            await turn.journal.write(entry)
    await end(turn, RollBack())
    async with ours.turn("s", timeout=30):
        pass


def entry_of(size: int, make: Callable[[str], Entry]) -> Entry:
    """An entry that takes so many bytes of JSON."""
    return make("x" * (size - len(encode_entry(Codec(compression=False), make("")))))


def decided(size: int) -> Entry:
    return entry_of(size, lambda text: DecidedEntry(approve=[text], reject={}))


def waits(size: int) -> Park:
    asked = PendingApproval("1", "pay", "", "a", "c", "t")

    def parked(text: str) -> ParkedEntry:
        return ParkedEntry(approvals=[asked], kept=0, items=[], began=("a", text), state={})

    return Park(cast(ParkedEntry, entry_of(size, parked)))


async def test_a_parked_state(sessions: Sessions) -> None:
    ours, other = sessions.worker(**RAISED), sessions.worker(**RAISED)
    turn = await begin_turn(ours.runtime, "s", "t")
    with pytest.raises(TurnTooLarge, match=f"over {MAX_RAW}, the most that is readable"):
        await end(turn, waits(MAX_RAW + 1))
    turn = await begin_turn(other.runtime, "s", "t")
    await end(turn, waits(MAX_RAW))
    assert [asked.tool_name for asked in await ours.pending_approvals("s")] == ["pay"]
    turn = await begin_turn(ours.runtime, "s", "t", resume=True)
    assert turn.journal.entries == [waits(MAX_RAW).entry]
    await end(turn, RollBack())


async def test_a_run_that_cannot_be_parked(sessions: Sessions) -> None:
    """It fails, and the session is free."""
    ours, clerk = sessions.worker(**RAISED), Clerk()
    context = {"note": "x" * (MAX_RAW + 1)}
    with pytest.raises(TurnTooLarge, match="is readable"):
        await Runner.run(
            clerk.agent(asks("look"), asks("pay")), "go", session=ours.bind("s"), context=context
        )
    async with sessions.worker().turn("s", timeout=30):
        pass


def sized_message(size: int) -> str:
    return "x" * (size - len(Codec().dump(stored_form(Message("echo", "")))))


async def test_a_message_and_its_dead_letter(sessions: Sessions) -> None:
    """The largest one can be given up, stop its session, be read in its letter, and be retried."""
    ours, other = sessions.worker(**RAISED), sessions.worker(**RAISED)
    with pytest.raises(TurnTooLarge, match=f"limit of {MAX_MESSAGE_BYTES}"):
        await ours.submit("s", sized_message(MAX_MESSAGE_BYTES + 1), agent="echo")
    largest = sized_message(MAX_MESSAGE_BYTES)
    receipt = await ours.submit("s", largest, agent="echo")

    async def fail(_: str) -> None:
        raise RuntimeError("\0" * 1000)

    await ours.drain("s", [echo(fail)], Policy(max_attempts=1))
    with pytest.raises(DeadLettered):
        await receipt.result(0)
    (letter,) = await other.dead_letters()
    assert letter.input == largest
    await other.retry_dead_letter(letter)
    assert (await receipt.status()).state == "queued"


async def test_a_session_stopped_at_a_message_as_large_as_one_may_be(sessions: Sessions) -> None:
    ours, other = sessions.worker(**RAISED), sessions.worker(**RAISED)
    noise = random.Random(1).randbytes(MAX_MESSAGE_BYTES * 3 // 4 - 1000)
    largest = base64.b64encode(noise).decode()
    one = await ours.submit("s", largest, agent="nobody")
    two = await ours.submit("s", "two", agent="echo")
    await ours.drain("s", [echo()], Policy(max_attempts=1, on_dead="stop", deploy_timeout=0))
    assert (await one.status()).state == "stopped"
    (letter,) = [letter async for letter in other.stopped_sessions()]
    assert letter.input == largest
    await other.retry_dead_letter(letter)
    assert (await one.status()).state == "queued"
    await ours.drain("s", [echo()], Policy(max_attempts=1, deploy_timeout=0))
    assert await output(two) == "re: two"
    assert (await one.status()).state == "dead"


async def test_a_message_nested_as_deeply_as_one_may_be(sessions: Sessions) -> None:
    """Its letter would be nested deeper by one."""
    ours = sessions.worker()
    nested: Any = "x"
    with pytest.raises(InvalidItem):
        while True:
            await ours.submit("other", "hi", agent="echo", metadata={"m": [nested]})
            nested = [nested]
    nested = nested[0]
    one = await ours.submit("s", "hi", agent="nobody", metadata={"m": [nested]})
    two = await ours.submit("s", "two", agent="echo")
    await ours.drain("s", [echo()], Policy(max_attempts=1, deploy_timeout=0))
    assert (await one.status()).state == "dead"
    assert await output(two) == "re: two"
    (letter,) = await ours.dead_letters()
    assert (letter.input, letter.metadata) == ("hi", {"m": [nested]})
    await ours.retry_dead_letter(letter)
    assert (await one.status()).state == "queued"
