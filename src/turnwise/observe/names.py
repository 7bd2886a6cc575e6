"""The names that events, their outcomes and reasons have in logs, spans and metrics alike."""

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
    TurnStoppedEvent,
)

CALL_ID = "turnwise_call_id"
"""The attribute of a tool's span in the SDK that has the model's id of the call."""
OUTCOMES: dict[type[TurnEvent], str] = {
    TurnCommittedEvent: "committed",
    TurnRolledBackEvent: "rolled_back",
    TurnLostEvent: "lost",
    TurnCancelledEvent: "cancelled",
    TurnParkedEvent: "parked",
    TurnDeadLetteredEvent: "dead_lettered",
    TurnStoppedEvent: "stopped",
}
"""How a turn ended."""

KNOWN_REASONS = {
    asyncio.CancelledError.__name__,
    *(name for name, kind in vars(errors).items() if isinstance(kind, type)),
}


def title(kind: type[TurnEvent]) -> str:
    """`turn rolled back` for TurnRolledBackEvent."""
    name = kind.__name__.removesuffix("Event")
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()


def fields_of(event: TurnEvent) -> dict[str, object]:
    """An event's fields by name; session and turn first."""
    return {field.name: getattr(event, field.name) for field in fields(event)}


def reason_of(event: TurnEndEvent) -> str:
    """The name of the error that ended the turn; "" if none did."""
    if isinstance(
        event, TurnRolledBackEvent | TurnLostEvent | TurnDeadLetteredEvent | TurnStoppedEvent
    ):
        return event.reason
    return ""


def bounded(reason: str) -> str:
    """A reason as a label of few values: exceptions of the application are `other`."""
    return reason if not reason or reason in KNOWN_REASONS else "other"
