"""What happens to turns, as frozen events, and the protocol of those who want to know.

Every TurnBegun is followed by exactly one of TurnCommitted, TurnRolledBack and TurnLost.
Events carry ids, sizes and times (seconds), never the content of items.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

_log = logging.getLogger("turnwise")


@dataclass(frozen=True, slots=True)
class TurnEvent:
    """Something happened to a turn of a session."""

    session_id: str
    turn_id: str


@dataclass(frozen=True, slots=True)
class TurnWaited(TurnEvent):
    """The session was busy; the caller took a place in its queue behind `holder`."""

    holder: str


@dataclass(frozen=True, slots=True)
class TurnBegun(TurnEvent):
    """The turn is this worker's. Above 1, `attempt` says that it was taken over."""

    attempt: int
    items: int
    waited: float
    reloaded: bool


@dataclass(frozen=True, slots=True)
class TurnCommitted(TurnEvent):
    """The turn is part of the history."""

    items: int
    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class TurnRolledBack(TurnEvent):
    """The turn ended without a trace; `reason` names the exception, if there was one."""

    reason: str
    seconds: float


@dataclass(frozen=True, slots=True)
class TurnLost(TurnEvent):
    """The turn was ended from outside, or nobody knows how; `reason` names the error it got."""

    reason: str


class Hook(Protocol):
    """Told of every event, on the event loop: be quick. An exception is logged and ignored."""

    def __call__(self, event: TurnEvent, /) -> None: ...


def tell(hooks: Iterable[Hook], event: TurnEvent) -> None:
    for hook in hooks:
        try:
            hook(event)
        except Exception:
            _log.exception("a hook failed on %s", type(event).__name__)
