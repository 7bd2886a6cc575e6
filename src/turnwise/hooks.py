"""What happens to turns, as frozen events, and the protocol of those who want to know.

Every TurnBegunEvent is followed by exactly one event that ends the turn here (`TurnEndEvent`).
TurnQueuedEvent is followed by TurnBegunEvent or TurnRefusedEvent. Events carry ids, names, sizes
and times (seconds), never the content of items.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from turnwise.types import Grant

_log = logging.getLogger("turnwise")


@dataclass(frozen=True, slots=True)
class TurnEvent:
    """Something happened to a turn of a session."""

    session_id: str
    turn_id: str


# Before it begins.


@dataclass(frozen=True, slots=True)
class TurnSubmittedEvent(TurnEvent):
    """A message of `bytes` waits for a background worker, `position` others before it."""

    position: int
    bytes: int


@dataclass(frozen=True, slots=True)
class TurnQueuedEvent(TurnEvent):
    """The session was busy; the caller took a place in its queue behind `holder`."""

    holder: str


@dataclass(frozen=True, slots=True)
class TurnRefusedEvent(TurnEvent):
    """The turn did not begin. `reason` names the error that its caller got instead.

    AlreadyCommitted among them: its answer is told again. `waited` is how long it stood in line.
    """

    reason: str
    waited: float


# While it runs.


@dataclass(frozen=True, slots=True)
class TurnBegunEvent(TurnEvent):
    """The turn is this worker's. Told in the task that runs it.

    Above 1, `attempt` says that it was taken over, unless it is `resumed`: earlier attempts ended
    in good order (parked, or given back). `items` is the length of the history, `reloaded` says
    that more of it was new than one answer brings, `waited` how long its caller stood in line,
    `journal` how many entries earlier attempts left.
    """

    attempt: int
    items: int
    waited: float
    reloaded: bool
    journal: int = 0
    resumed: bool = False

    @classmethod
    def of(cls, session_id: str, grant: Grant, waited: float = 0.0) -> TurnBegunEvent:
        """What this grant begins."""
        return cls(
            session_id,
            grant.turn_id,
            attempt=grant.attempt,
            items=grant.items,
            waited=waited,
            reloaded=grant.history is None,
            journal=len(grant.journal),
            resumed=0 < grant.released == grant.attempt - 1,
        )

    @property
    def taken_over(self) -> bool:
        return self.attempt > 1 and not self.resumed


@dataclass(frozen=True, slots=True)
class StepReplayedEvent(TurnEvent):
    """One step was answered from the journal, not done again: by `agent`'s model, or a `tool`.

    `tool` is "" for a response.
    """

    step: Literal["response", "tool"]
    agent: str
    tool: str = ""


# How it ends.


@dataclass(frozen=True, slots=True)
class TurnCommittedEvent(TurnEvent):
    """The turn is part of the history."""

    items: int
    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class TurnRolledBackEvent(TurnEvent):
    """The turn ended without a trace; `reason` names the exception, if there was one."""

    reason: str
    seconds: float


@dataclass(frozen=True, slots=True)
class TurnLostEvent(TurnEvent):
    """The turn was ended from outside, or nobody knows how; `reason` names the error it got.

    LeaseLost among them.
    """

    reason: str
    seconds: float


@dataclass(frozen=True, slots=True)
class TurnCancelledEvent(TurnEvent):
    """The turn was asked to stop, and has ended; `items` of it were kept.

    Told by its worker, or by who asked if nobody ran it (then `seconds` is 0). `reason` is what the
    first said who asked, in words of the application; "" if nothing.
    """

    items: int
    bytes: int
    seconds: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class TurnParkedEvent(TurnEvent):
    """The turn waits for `pending` approvals; its state, of `bytes`, is in the store."""

    pending: int
    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class TurnDeadLetteredEvent(TurnEvent):
    """The turn's message was given up after `attempts`; `reason` names the last error."""

    attempts: int
    reason: str
    seconds: float


TurnEndEvent = (
    TurnCommittedEvent
    | TurnRolledBackEvent
    | TurnLostEvent
    | TurnCancelledEvent
    | TurnParkedEvent
    | TurnDeadLetteredEvent
)


class Hook(Protocol):
    """Told of every event, on the event loop: be quick. An exception is logged and ignored."""

    def __call__(self, event: TurnEvent, /) -> None: ...


def emit(hooks: Iterable[Hook], event: TurnEvent) -> None:
    for hook in hooks:
        try:
            hook(event)
        except Exception:
            _log.exception("a hook failed on %s", type(event).__name__)


@runtime_checkable
class Carrier(Protocol):
    """A hook that lets a background turn go on in the trace in which it was submitted."""

    def carry(self) -> Mapping[str, str]:
        """What names the trace at hand, to travel with the message; empty outside of one."""

    def carried(self, trace: Mapping[str, str], /) -> AbstractContextManager[None]:
        """A block of code that is in the trace which `carry` named. Unknown text is ignored."""


def carry(hooks: Iterable[Hook]) -> dict[str, str]:
    """What these hooks want to travel with a message (its metadata's `trace`)."""
    trace: dict[str, str] = {}
    for hook in hooks:
        if isinstance(hook, Carrier):
            trace.update(hook.carry())
    return trace


@contextmanager
def carried(hooks: Iterable[Hook], trace: Mapping[str, str]) -> Iterator[None]:
    """A block of code that is where the message came from, as these hooks see it."""
    with ExitStack() as stack:
        for hook in hooks:
            if isinstance(hook, Carrier):
                stack.enter_context(hook.carried(trace))
        yield
