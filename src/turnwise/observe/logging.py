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
)
from turnwise.observe.wording import details, title

_LEVELS: dict[type[TurnEvent], int] = {
    StepReplayedEvent: logging.INFO,
    TurnCommittedEvent: logging.INFO,
    TurnCancelledEvent: logging.INFO,
    TurnParkedEvent: logging.INFO,
    TurnLostEvent: logging.WARNING,
    TurnDeadLetteredEvent: logging.ERROR,
}


def level(event: TurnEvent) -> int:
    """How much an operator should care: the rest of what happens often is DEBUG."""
    if isinstance(event, TurnBegunEvent) and event.taken_over:
        return logging.WARNING
    if isinstance(event, TurnRolledBackEvent) and event.reason:
        return logging.WARNING
    return _LEVELS.get(type(event), logging.DEBUG)


class TurnLog:
    """A hook that writes a record for each event to `logger`, `turnwise` by default.

    The message is the event's name (`turn committed`), then all that it tells. The record has the
    same as attributes, for formatters that write JSON: `event`, `session_id`, `turn_id`, and the
    event's own (see `turnwise.hooks`); times are seconds. Content of items is in neither.
    """

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logging.getLogger("turnwise") if logger is None else logger

    def __call__(self, event: TurnEvent, /) -> None:
        importance = level(event)
        if not self._logger.isEnabledFor(importance):
            return
        name, told = title(type(event)), details(event)
        text = " ".join(f"{key}={_short(value)}" for key, value in told.items())
        self._logger.log(importance, f"{name}: %s", text, extra={"event": name, **told})  # noqa: G004  # the name is of a fixed few: they group the records


def _short(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else repr(value)
