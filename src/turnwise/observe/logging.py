"""What happens to turns, as structured log records."""

from __future__ import annotations

import logging

from turnwise.hooks import (
    StepReplayedEvent,
    TurnBegunEvent,
    TurnCancelledEvent,
    TurnCommittedEvent,
    TurnDeadLetteredEvent,
    TurnEvent,
    TurnLostEvent,
    TurnParkedEvent,
    TurnRolledBackEvent,
    TurnStoppedEvent,
    WebhookGivenUpEvent,
)
from turnwise.observe.names import fields_of, title

_LEVELS: dict[type[TurnEvent], int] = {
    StepReplayedEvent: logging.INFO,
    TurnCommittedEvent: logging.INFO,
    TurnCancelledEvent: logging.INFO,
    TurnParkedEvent: logging.INFO,
    TurnLostEvent: logging.WARNING,
    TurnDeadLetteredEvent: logging.ERROR,
    TurnStoppedEvent: logging.ERROR,
    WebhookGivenUpEvent: logging.ERROR,
}


def level(event: TurnEvent) -> int:
    """How much an operator should care; frequent events without trouble are DEBUG."""
    if isinstance(event, TurnBegunEvent) and event.taken_over:
        return logging.WARNING
    if isinstance(event, TurnRolledBackEvent) and event.reason:
        return logging.WARNING
    return _LEVELS.get(type(event), logging.DEBUG)


class TurnLog:
    """A hook that logs a record for each event.

    The message is the event's name (`turn committed`) and its fields. The record has the fields as
    attributes, for formatters that write JSON: `event`, `session_id`, `turn_id`, and the event's
    own (see `turnwise.hooks`). Neither holds content of items.

    Args:
        logger: Where to log; None for the logger `turnwise`.
    """

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logging.getLogger("turnwise") if logger is None else logger

    def __call__(self, event: TurnEvent, /) -> None:
        severity = level(event)
        if not self._logger.isEnabledFor(severity):
            return
        name, fields = title(type(event)), fields_of(event)
        text = " ".join(f"{key}={_short(value)}" for key, value in fields.items())
        self._logger.log(severity, f"{name}: %s", text, extra={"event": name, **fields})  # noqa: G004  # the name is of a fixed few: they group the records


def _short(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else repr(value)
