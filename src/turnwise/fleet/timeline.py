"""One turn: where it stands, and its steps."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from turnwise.background import find_dead_letter
from turnwise.call_pairs import Item
from turnwise.codec.elements import is_item, marker, parse_record
from turnwise.errors import TurnwiseError, UndecodableJournal
from turnwise.fleet.queues import queue_of
from turnwise.fleet.steps import Step, items_of_journal, steps_of_items, steps_of_journal
from turnwise.journal_entries import read_journal, usage_of
from turnwise.limits import READ_LIMIT
from turnwise.results import usages_in
from turnwise.turns import Runtime, check_turn_id, reason_in
from turnwise.types import (
    NO_USAGE,
    Absent,
    Duplicate,
    Info,
    OpenTurn,
    Parked,
    Queued,
    Record,
    Running,
    Stopped,
    TokenUsage,
)

TurnState = Literal[
    "queued",
    "running",
    "retrying",
    "orphaned",
    "parked",
    "stopped",
    "committed",
    "cancelled",
    "abandoned",
    "dead",
]
_FINISHED: dict[str, TurnState] = {
    "cancelled": "cancelled",
    "abandoned": "abandoned",
    "dead": "dead",
}


@dataclass(frozen=True, slots=True)
class Timeline:
    """Where a turn stands, and what it did.

    Attributes:
        session_id, turn_id: Its names.
        state: "queued": its message waits. "running". "retrying": an attempt failed, and the pause
            before the next is not over. "orphaned": its lease has ended. "parked": it waits
            for approvals. "stopped": its message failed for good, and its session is stopped at it.
            "committed", "cancelled", "abandoned" (its sender did not come back), "dead" (its
            message failed for good).
        attempt: The attempt that is at work, or was last; 0 before the first.
        worker: Who runs it, or did last.
        background: Whether a message began it; False if that is not known any more.
        failed, died: How many earlier attempts of an open turn failed, and how many workers died.
        lease_remaining: Seconds until the lease ends; None if it has none.
        cancel_mode: Set if it was asked to end.
        ended_at: In POSIX seconds; None while it is open.
        usage: What models consumed in it; of an open turn, what the journal knows.
        steps: What it did, in order. Of a turn that ended, what its items tell: they have no times,
            and of tools inside of tools they say nothing.
        error: Why it was given up or cancelled; or why its steps cannot be read here.
        items: The content: the message, and what the turn has finished.
    """

    session_id: str
    turn_id: str
    state: TurnState
    attempt: int = 0
    worker: str = ""
    background: bool = False
    failed: int = 0
    died: int = 0
    lease_remaining: float | None = None
    cancel_mode: str | None = None
    ended_at: float | None = None
    usage: TokenUsage = NO_USAGE
    steps: list[Step] = field(default_factory=list)
    error: str | None = None
    items: list[Item] = field(default_factory=list, repr=False)


async def timeline(runtime: Runtime, session_id: str, turn_id: str) -> Timeline | None:
    """See `Session.timeline`."""
    check_turn_id(session_id, turn_id)
    names = session_id, turn_id
    for _ in range(3):  # it may change its state between two calls
        status = await runtime.store.status(*names)
        if isinstance(status, Running | Parked | Stopped):
            found = await _open(runtime, names, status)
            if found is None:
                continue
            return found
        if isinstance(status, Queued):
            waiting = Timeline(*names, "queued", status.attempts, background=True)
            return replace(waiting, items=await _message(runtime, names))
        break
    return await _ended(runtime, names, status)


async def _open(
    runtime: Runtime, names: tuple[str, str], status: Running | Parked | Stopped
) -> Timeline | None:
    """The open turn; None if it is not open any more."""
    info = await runtime.store.info(names[0])
    stored = await runtime.store.open_journal(*names)
    turn = info.open_turn if isinstance(info, Info) else None
    if isinstance(stored, Absent) or turn is None or turn.turn_id != names[1]:
        return None
    found = replace(_standing(names, turn, status), items=await _message(runtime, names))
    if isinstance(status, Stopped):
        letter = await find_dead_letter(runtime, f"stopped:{names[0]}")
        return replace(found, error=None if letter is None else letter.error)
    try:
        entries = read_journal(runtime.codec, *names, stored)
    except UndecodableJournal as error:
        return replace(found, error=str(error))
    running = turn.attempt if found.state == "running" else 0
    return replace(
        found,
        usage=usage_of(entries),
        steps=steps_of_journal(entries, running_attempt=running),
        items=[*found.items, *items_of_journal(entries)],
    )


def _standing(
    names: tuple[str, str], turn: OpenTurn, status: Running | Parked | Stopped
) -> Timeline:
    state: TurnState = "stopped" if isinstance(status, Stopped) else "parked"
    if isinstance(status, Running):
        state = "running" if status.remaining_ms > 0 else "orphaned"
        state = "retrying" if status.retry_in_ms > 0 and state != "running" else state
    return Timeline(
        *(*names, state, turn.attempt, turn.worker, turn.background, turn.failed, turn.died),
        lease_remaining=turn.lease_remaining,
        cancel_mode=turn.cancel_mode,
    )


async def _message(runtime: Runtime, names: tuple[str, str]) -> list[Item]:
    """The input of the turn's message, as items; none if no message began it."""
    for entry in await queue_of(runtime, names[0], READ_LIMIT):
        if (entry.turn_id, entry.kind) == (names[1], "message"):
            said = entry.input
            return [{"role": "user", "content": said}] if isinstance(said, str) else said
    return []


async def _ended(runtime: Runtime, names: tuple[str, str], status: Any) -> Timeline | None:
    if not isinstance(status, Duplicate) or status.record is None:
        status = await find_old(runtime, names)
    if status is None or status.record is None:
        return None
    items = await runtime.reader.added(names[0], status)
    return await _of_record(runtime, names, status.record, items)


async def find_old(runtime: Runtime, names: tuple[str, str]) -> Duplicate | None:
    """A turn that ended longer ago than the retention, if the history still has it."""
    history = await runtime.store.read(names[0])
    if isinstance(history, Absent):
        return None
    elements, wanted = history.elements, marker(names[1])
    for end in range(len(elements) - 2, -1, -1):
        if elements[end] == wanted:
            first = end
            while first > 0 and is_item(elements[first - 1]):
                first -= 1
            return Duplicate(parse_record(elements[end + 1]), elements[first:end], end)
    return None


async def _of_record(
    runtime: Runtime, names: tuple[str, str], record: Record, items: Sequence[Item]
) -> Timeline:
    error = reason_in(record.payload) if record.kind == "cancelled" else None
    if record.kind == "dead":
        with suppress(TurnwiseError):
            letter = await find_dead_letter(runtime, record.payload.decode(errors="replace"))
            error = None if letter is None else letter.error
    usages = usages_in(record.payload) if record.kind == "turn" else ()
    return Timeline(
        *(*names, _FINISHED.get(record.kind, "committed"), record.attempt, record.worker),
        ended_at=record.at_ms / 1000,
        usage=record.usage,
        steps=steps_of_items(items, usages),
        error=error,
        items=list(items),
    )
