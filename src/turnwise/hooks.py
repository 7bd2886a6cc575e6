"""Hooks: callables that receive what happens to turns, as frozen events.

Each TurnBegunEvent is followed by exactly one event that ends the turn in this process
(`TurnEndEvent`). Each TurnQueuedEvent is followed by a TurnBegunEvent or a TurnRefusedEvent.
Events carry ids, names, sizes and durations (seconds), never the content of items.
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


# Before the turn begins.


@dataclass(frozen=True, slots=True)
class TurnSubmittedEvent(TurnEvent):
    """A message was accepted for a background worker.

    Attributes:
        position: How many messages and callers are ahead of it in the session's queue.
        bytes: Its size as stored.
    """

    position: int
    bytes: int


@dataclass(frozen=True, slots=True)
class TurnQueuedEvent(TurnEvent):
    """The session was busy; the caller waits in its queue.

    Attributes:
        holder: The worker that runs the session's current turn.
    """

    holder: str


@dataclass(frozen=True, slots=True)
class TurnRefusedEvent(TurnEvent):
    """The turn did not begin.

    Attributes:
        reason: The type of the error that the caller got; AlreadyCommitted where a committed turn
            was sent again.
        waited: Seconds in the session's queue.
    """

    reason: str
    waited: float


# While it runs.


@dataclass(frozen=True, slots=True)
class TurnBegunEvent(TurnEvent):
    """This worker began the turn. Emitted in the task that runs it.

    Attributes:
        attempt: Counts from 1. Above 1 the turn was taken over, unless it is `resumed`.
        items: Items in the history.
        waited: Seconds in the session's queue.
        reloaded: Whether the new part of the history was too long for one answer of the store.
        journal_entries: How many entries earlier attempts left in the journal.
        resumed: Whether all earlier attempts ended gracefully: parked, or released.
    """

    attempt: int
    items: int
    waited: float
    reloaded: bool
    journal_entries: int = 0
    resumed: bool = False

    @classmethod
    def of(cls, session_id: str, grant: Grant, waited: float = 0.0) -> TurnBegunEvent:
        """The event for this grant."""
        return cls(
            session_id,
            grant.turn_id,
            attempt=grant.attempt,
            items=grant.items,
            waited=waited,
            reloaded=grant.history is None,
            journal_entries=len(grant.journal),
            resumed=0 < grant.released == grant.attempt - 1,
        )

    @property
    def taken_over(self) -> bool:
        """Whether an earlier worker died or lost its lease in this turn."""
        return self.attempt > 1 and not self.resumed


@dataclass(frozen=True, slots=True)
class StepReplayedEvent(TurnEvent):
    """A step was answered from the journal instead of running again.

    Attributes:
        step: A model's "response", or a "tool" call.
        agent: The agent's name.
        tool: The tool's name; "" for a response.
    """

    step: Literal["response", "tool"]
    agent: str
    tool: str = ""


# How it ends. `seconds` is the time since the turn began in this process.


@dataclass(frozen=True, slots=True)
class TurnCommittedEvent(TurnEvent):
    """The turn is part of the history.

    Attributes:
        items: Items that it added.
        bytes: Their size as stored.
        seconds: Since it began.
    """

    items: int
    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class TurnRolledBackEvent(TurnEvent):
    """The turn ended in this process, and the history is as before.

    Attributes:
        reason: The type of the exception that ended it; "" if there was none.
        seconds: Since it began.
    """

    reason: str
    seconds: float


@dataclass(frozen=True, slots=True)
class TurnLostEvent(TurnEvent):
    """The turn was ended from outside, or its outcome is unknown.

    Attributes:
        reason: The type of the error that the caller got, LeaseLost for example.
        seconds: Since it began.
    """

    reason: str
    seconds: float


@dataclass(frozen=True, slots=True)
class TurnCancelledEvent(TurnEvent):
    """The turn was cancelled on request.

    Emitted by its worker, or by the canceller if no worker ran it.

    Attributes:
        items: Items that were committed all the same (`busy="interrupt"`).
        bytes: Their size as stored.
        seconds: Since it began; 0 if no worker ran it.
        reason: The first cancel request's reason; "" if it gave none.
    """

    items: int
    bytes: int
    seconds: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class TurnParkedEvent(TurnEvent):
    """The turn is parked until its approvals are decided.

    Attributes:
        pending: How many approvals are pending.
        bytes: The size of the parked state; 0 if it was parked before and stays as it was.
        seconds: Since it began.
    """

    pending: int
    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class TurnDeadLetteredEvent(TurnEvent):
    """The turn's message failed for good and is a dead letter.

    Attributes:
        attempts: How many attempts there were.
        reason: The type of the last error.
        seconds: Since it began.
    """

    attempts: int
    reason: str
    seconds: float


@dataclass(frozen=True, slots=True)
class TurnStoppedEvent(TurnEvent):
    """Its session stops at the turn: its message failed for good, after `attempts`.

    `reason` names the last error.
    """

    attempts: int
    reason: str
    seconds: float


@dataclass(frozen=True, slots=True)
class WebhookGivenUpEvent(TurnEvent):
    """That a response of the turn is over was not told: its webhook was never accepted.

    Emitted by the server that tried last.

    Attributes:
        webhook_id: What names it at its receiver.
        attempts: How many attempts there were.
        reason: Why the last one failed.
    """

    webhook_id: str
    attempts: int
    reason: str


TurnEndEvent = (
    TurnCommittedEvent
    | TurnRolledBackEvent
    | TurnLostEvent
    | TurnCancelledEvent
    | TurnParkedEvent
    | TurnDeadLetteredEvent
    | TurnStoppedEvent
)


class Hook(Protocol):
    """Receives every event, on the event loop: be quick. An exception is logged and ignored."""

    def __call__(self, event: TurnEvent, /) -> None: ...


def emit(hooks: Iterable[Hook], event: TurnEvent) -> None:
    """Call every hook with the event; log what a hook raises."""
    for hook in hooks:
        try:
            hook(event)
        except Exception:
            _log.exception(
                "hook %r failed on %s of turn %r of session %r",
                hook,
                type(event).__name__,
                event.turn_id,
                event.session_id,
            )


@runtime_checkable
class TracePropagator(Protocol):
    """A hook that runs a background turn in the trace in which its message was submitted."""

    def inject(self) -> Mapping[str, str]:
        """The current trace, as the message carries it; empty outside of a trace."""

    def attach(self, trace: Mapping[str, str], /) -> AbstractContextManager[None]:
        """Run the block in the trace that `inject` returned. Unknown keys are ignored."""


def inject(hooks: Iterable[Hook]) -> dict[str, str]:
    """The current trace according to all these hooks."""
    trace: dict[str, str] = {}
    for hook in hooks:
        if isinstance(hook, TracePropagator):
            trace.update(hook.inject())
    return trace


@contextmanager
def attach(hooks: Iterable[Hook], trace: Mapping[str, str]) -> Iterator[None]:
    """Run the block in this trace, for each hook that propagates traces."""
    with ExitStack() as stack:
        for hook in hooks:
            if isinstance(hook, TracePropagator):
                stack.enter_context(hook.attach(trace))
        yield
