"""Checks what the store holds at the end against the recording."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from demo.comparison import difference
from demo.config import Config
from demo.recording import Conversation, RecordedTurn, Recording
from turnwise import connect
from turnwise.errors import AlreadyCommitted
from turnwise.session import Session

_MAX_CONCURRENT_CHECKS = 16


@dataclass
class CheckResult:
    """Counts what is as recorded. `differences` describes the first one of each conversation."""

    conversations: int = 0
    turns: int = 0
    items: int = 0
    differences: list[str] = field(default_factory=list)


class NotCommitted(Exception):
    """The store does not know a turn. Raised to roll back the turn that was opened to find out."""


async def check_store(recording: Recording, config: Config) -> CheckResult:
    """Read everything back through a new session object, with an empty cache.

    Each conversation must equal the recording item by item. Each turn is retried: the store must
    refuse it as already committed and return the items that it added.
    """
    result = CheckResult()
    limit = asyncio.Semaphore(_MAX_CONCURRENT_CHECKS)
    async with connect(config.url, lease=config.lease) as sessions:
        await _check_session_ids(recording, config, sessions, result)

        async def check(conversation: Conversation) -> None:
            session_id = config.session_id(conversation.id)
            async with limit:
                await _check_conversation(conversation, sessions.bind(session_id), result)

        await asyncio.gather(*map(check, recording.conversations))
    return result


async def delete_sessions(recording: Recording, config: Config) -> None:
    """Leave the store as the demo found it, and no record in its audit, as an operator would."""
    async with connect(config.url) as sessions:
        for conversation in recording.conversations:
            await sessions.runtime.store.delete(config.session_id(conversation.id))


async def tamper(recording: Recording, config: Config) -> None:
    """Add an item that is not in the recording, to show that the checks fail."""
    async with connect(config.url) as sessions:
        session = sessions.bind(config.session_id(recording.conversations[-1].id))
        await session.add_items([{"role": "user", "content": "this was never said"}])


async def _check_session_ids(
    recording: Recording, config: Config, sessions: Session, result: CheckResult
) -> None:
    expected = {config.session_id(conversation.id) for conversation in recording.conversations}
    found = {session_id async for session_id in sessions.scan(config.session_id("*"))}
    for session_id in sorted(found ^ expected):
        problem = "missing" if session_id in expected else "not in the recording"
        result.differences.append(f"session {session_id} is {problem}")


async def _check_conversation(
    conversation: Conversation, session: Session, result: CheckResult
) -> None:
    stored = await session.get_items()
    found = difference(conversation.items, stored)
    found = found or await _difference_in_turns(conversation.turns, session)
    if found is not None:
        result.differences.append(f"{conversation.id}: {found}")
    else:
        result.conversations += 1
        result.turns += len(conversation.turns)
        result.items += len(stored)


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
        return "it is not committed"
    except AlreadyCommitted as committed:
        return difference(turn.items, committed.items)
