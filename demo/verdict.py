"""What the store holds when all is done, against the recording."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from demo.comparison import difference
from demo.recording import Conversation, RecordedTurn, Recording
from demo.setup import Setup
from turnwise import connect
from turnwise.errors import AlreadyCommitted
from turnwise.session import Session

_AT_ONCE = 16


@dataclass
class Verdict:
    """`differences` are readable, the first of each conversation; none of them: all is well."""

    conversations: int = 0
    turns: int = 0
    items: int = 0
    differences: list[str] = field(default_factory=list)


class NotCommitted(Exception):
    """The store did not know a turn; what asked for it is rolled back."""


async def examine(recording: Recording, setup: Setup) -> Verdict:
    """Read everything back, with a session object that has seen none of it.

    Each conversation must equal the recording item by item. Each turn is sent once more: the
    store must refuse it as committed, with just the items that it had added.
    """
    verdict = Verdict()
    limit = asyncio.Semaphore(_AT_ONCE)
    async with connect(setup.url, lease=setup.lease) as sessions:
        await _examine_names(recording, setup, sessions, verdict)

        async def examine_one(conversation: Conversation) -> None:
            async with limit:
                await _examine(conversation, setup.session_id(conversation.id), sessions, verdict)

        await asyncio.gather(*map(examine_one, recording.conversations))
    return verdict


async def remove(recording: Recording, setup: Setup) -> None:
    """Leave the store as it was."""
    async with connect(setup.url) as sessions:
        for conversation in recording.conversations:
            await sessions.delete(setup.session_id(conversation.id))


async def tamper(recording: Recording, setup: Setup) -> None:
    """Add an item that was never recorded, for those who want to see the verdict fail."""
    async with connect(setup.url) as sessions:
        session = sessions.bind(setup.session_id(recording.conversations[-1].id))
        await session.add_items([{"role": "user", "content": "this was never said"}])


async def _examine_names(
    recording: Recording, setup: Setup, sessions: Session, verdict: Verdict
) -> None:
    expected = {setup.session_id(conversation.id) for conversation in recording.conversations}
    found = {name async for name in sessions.scan(setup.session_id("*"))}
    for name in sorted(found ^ expected):
        what = "missing" if name in expected else "not of this recording"
        verdict.differences.append(f"session {name} is {what}")


async def _examine(
    conversation: Conversation, session_id: str, sessions: Session, verdict: Verdict
) -> None:
    session = sessions.bind(session_id)
    stored = await session.get_items()
    found = difference(conversation.items, stored) or await _difference_in_turns(
        conversation.turns, session
    )
    if found is not None:
        verdict.differences.append(f"{conversation.id}: {found}")
    else:
        verdict.conversations += 1
        verdict.turns += len(conversation.turns)
        verdict.items += len(stored)


async def _difference_in_turns(turns: Sequence[RecordedTurn], session: Session) -> str | None:
    info = await session.info()
    if info is None or info.turns != len(turns):
        return f"{info.turns if info else 0} turns are stored, not {len(turns)}"
    for turn in turns:
        found = await _difference_in_turn(turn, session)
        if found is not None:
            return f"turn {turn.id}: {found}"
    return None


async def _difference_in_turn(turn: RecordedTurn, session: Session) -> str | None:
    try:
        async with session.turn(turn_id=turn.id, busy="reject"):
            raise NotCommitted
    except NotCommitted:
        return "the store does not know it"
    except AlreadyCommitted as committed:
        return difference(turn.items, committed.items)
