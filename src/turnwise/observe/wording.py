"""How an event is named and told, alike in logs, spans and metrics."""

from __future__ import annotations

import asyncio
import re
from dataclasses import fields

from turnwise import errors
from turnwise.hooks import (
    TurnCancelledEvent,
    TurnCommittedEvent,
    TurnDeadLetteredEvent,
    TurnEndEvent,
    TurnEvent,
    TurnLostEvent,
    TurnParkedEvent,
    TurnRolledBackEvent,
)

OUTCOMES: dict[type[TurnEvent], str] = {
    TurnCommittedEvent: "committed",
    TurnRolledBackEvent: "rolled_back",
    TurnLostEvent: "lost",
    TurnCancelledEvent: "cancelled",
    TurnParkedEvent: "parked",
    TurnDeadLetteredEvent: "dead_lettered",
}
"""The word for each way in which a turn ends."""

KNOWN_REASONS = {
    asyncio.CancelledError.__name__,
    *(name for name, kind in vars(errors).items() if isinstance(kind, type)),
}


def title(kind: type[TurnEvent]) -> str:
    """`turn rolled back` for TurnRolledBackEvent."""
    name = kind.__name__.removesuffix("Event")
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()


def details(event: TurnEvent) -> dict[str, object]:
    """All that an event tells, by name; session and turn first."""
    return {field.name: getattr(event, field.name) for field in fields(event)}


def reason_of(event: TurnEndEvent) -> str:
    """The name of the error that ended the turn; "" if none did."""
    if isinstance(event, TurnRolledBackEvent | TurnLostEvent | TurnDeadLetteredEvent):
        return event.reason
    return ""


def bounded(reason: str) -> str:
    """A reason as one of few: the application's own exceptions are `other`."""
    return reason if not reason or reason in KNOWN_REASONS else "other"
