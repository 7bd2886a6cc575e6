"""The ids of a turn's events, and what a reader who names one of them is answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from turnwise.types import Event, Events

PAGE = 256
"""The most events in one answer."""


def token(session_id: str, turn_id: str) -> str:
    """What wakes those who wait for events of this turn."""
    return f"events {session_id}\0{turn_id}"


def event_id(attempt: int, number: int) -> str:
    return f"{attempt}-{number}"


def parse(event: str) -> tuple[int, int]:
    """Attempt and number of an event. What is no id of ours is before all."""
    attempt, _, number = event.partition("-")
    if not (attempt.isdigit() and number.isdigit()):
        return 0, 0
    return int(attempt), int(number)


@dataclass(slots=True)
class Log:
    """The events of one turn that are kept: numbers `first` to (without) `next`, of one attempt."""

    attempt: int
    first: int
    next: int
    ended: bool = False
    expires: int = 0


def after(log: Log | None, place: str | None, load: Callable[[int, int], list[bytes]]) -> Events:
    """The answer to a reader whose last event is `place`; `load` gives events by numbers."""
    if log is None:
        return Events([], reset=place is not None)
    attempt, number = (log.attempt, log.first - 1) if place is None else parse(place)
    reset = attempt != log.attempt or not log.first - 1 <= number < log.next
    start = log.first if reset else number + 1
    end = min(start + PAGE, log.next)
    events = [
        Event(event_id(log.attempt, number), content)
        for number, content in enumerate(load(start, end), start)
    ]
    return Events(events, reset, log.ended and end == log.next)
