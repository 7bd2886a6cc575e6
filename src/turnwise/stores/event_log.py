"""What the event logs of all stores have in common."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from turnwise.contracts import Waiter
from turnwise.types import Event, Events

_EVENT_ID = re.compile(r"([0-9]{1,15})-([0-9]{1,15})")
PAGE = 256
"""The most events in one answer."""


def wake_token(session_id: str, turn_id: str) -> str:
    """What wakes the readers of this turn's events in an embedded store."""
    return f"events {session_id}\0{turn_id}"


def event_id(attempt: int, number: int) -> str:
    return f"{attempt}-{number}"


def parse_event_id(text: str) -> tuple[int, int]:
    """Attempt and number. A text that is no event id counts as one before all."""
    known = _EVENT_ID.fullmatch(text)
    return (int(known[1]), int(known[2])) if known else (0, 0)


@dataclass(slots=True)
class Log:
    """One turn's events: numbers `first` up to, and without, `next`, of one attempt.

    `expires` is when they are removed, in ms. `owner` is the owner of the turn's session.
    """

    attempt: int
    first: int
    next: int
    ended: bool = False
    expires: int = 0
    owner: str | None = None


def visible(log: Log | None, owner: str | None) -> Log | None:
    """The log, if this owner may see it; None stands for who may see all."""
    return log if log is None or owner in (None, log.owner) else None


def events_after(
    log: Log | None, cursor: str | None, load: Callable[[int, int], list[bytes]]
) -> Events:
    """The answer to a reader. `load` gives the events from a number up to, and without, another."""
    if log is None:
        return Events([], reset=cursor is not None)
    attempt, number = (log.attempt, log.first - 1) if cursor is None else parse_event_id(cursor)
    reset = attempt != log.attempt or not log.first - 1 <= number < log.next
    start = log.first if reset else number + 1
    end = min(start + PAGE, log.next)
    events = [
        Event(event_id(log.attempt, number), content)
        for number, content in enumerate(load(start, end), start)
    ]
    return Events(events, reset, log.ended and end == log.next)


async def wait_for_events(
    read: Callable[[], Awaitable[Events]], waiter: Waiter, timeout: float
) -> Events:
    """Read until there is something to answer, or `timeout` seconds are over."""
    deadline = time.monotonic() + timeout
    while True:
        answer = await read()
        left = deadline - time.monotonic()
        if answer.events or answer.reset or answer.ended or left <= 0:
            return answer
        await waiter.wait(left)
