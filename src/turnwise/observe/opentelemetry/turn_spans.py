"""A span for each turn."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar

from opentelemetry.trace import (
    SpanKind,
    Status,
    StatusCode,
    TracerProvider,
    get_current_span,
    get_tracer,
)

from turnwise.hooks import (
    StepReplayedEvent,
    TurnBegunEvent,
    TurnCancelledEvent,
    TurnCommittedEvent,
    TurnDeadLetteredEvent,
    TurnEndEvent,
    TurnEvent,
    TurnParkedEvent,
    TurnQueuedEvent,
    TurnRefusedEvent,
    TurnSubmittedEvent,
)
from turnwise.observe.opentelemetry import traces
from turnwise.observe.opentelemetry.places import Place, enter, leave
from turnwise.observe.wording import OUTCOMES, reason_of, title

Attributes = dict[str, str | bool | int | float]

_holder: ContextVar[tuple[str, str, str] | None] = ContextVar("turnwise_holder", default=None)


class TurnSpans:
    """A hook that makes one span of each turn, from its begin to its end.

    Its parent is the current span; outside of one, the SDK's current trace gives it its id. While
    the turn runs, its span is the current one for the task that began it and those made there.
    """

    def __init__(self, tracer_provider: TracerProvider | None = None) -> None:
        self._tracer = get_tracer("turnwise", tracer_provider=tracer_provider)
        self._open: dict[tuple[str, str], Place] = {}

    def carry(self) -> Mapping[str, str]:
        return traces.carry()

    def carried(self, trace: Mapping[str, str], /) -> AbstractContextManager[None]:
        return traces.carried(trace)

    def __call__(self, event: TurnEvent, /) -> None:
        if isinstance(event, TurnBegunEvent):
            self._begun(event)
        elif isinstance(event, TurnEndEvent):
            self._ended(event)
        elif isinstance(event, TurnQueuedEvent):
            _holder.set((event.session_id, event.turn_id, event.holder))
        else:
            self._happened(event)

    def _begun(self, event: TurnBegunEvent) -> None:
        key = event.session_id, event.turn_id
        if key in self._open:  # an attempt that does not know yet that it was taken over
            self._close(self._open.pop(key), "lost", "")
        span = self._tracer.start_span(
            "turn", traces.surroundings(), SpanKind.INTERNAL, _attributes(event)
        )
        if event.waited:
            span.add_event(title(TurnQueuedEvent), _waited(event))
        if event.taken_over:
            span.add_event(
                "turn taken over",
                {"turnwise.attempt": event.attempt, "turnwise.journal": event.journal},
            )
        self._open[key] = enter(span)

    def _ended(self, event: TurnEndEvent) -> None:
        place = self._open.pop((event.session_id, event.turn_id), None)
        if place is None:
            self._happened(event)
            return
        place.span.set_attributes(_result(event))
        if isinstance(event, TurnCancelledEvent):
            place.span.add_event(title(TurnCancelledEvent), _result(event))
        self._close(place, OUTCOMES[type(event)], reason_of(event))

    def _close(self, place: Place, outcome: str, reason: str) -> None:
        place.span.set_attribute("turnwise.outcome", outcome)
        if reason:
            place.span.set_attribute("error.type", reason)
            place.span.set_status(Status(StatusCode.ERROR, reason))
        place.span.end()
        leave(place)

    def _happened(self, event: TurnEvent) -> None:
        """Told on the turn's span, or where there is none, on that of whoever brought it about."""
        place = self._open.get((event.session_id, event.turn_id))
        span = get_current_span() if place is None else place.span
        span.add_event(title(type(event)), _names(event) | _result(event))


def _names(event: TurnEvent) -> Attributes:
    return {
        "turnwise.session_id": event.session_id,
        "turnwise.turn_id": event.turn_id,
        "gen_ai.conversation.id": event.session_id,
    }


def _attributes(event: TurnBegunEvent) -> Attributes:
    return _names(event) | {
        "turnwise.attempt": event.attempt,
        "turnwise.history_items": event.items,
        "turnwise.history_reloaded": event.reloaded,
    }


def _waited(event: TurnBegunEvent) -> Attributes:
    waited: Attributes = {"turnwise.seconds": event.waited}
    match _holder.get():
        case (event.session_id, event.turn_id, holder):
            waited["turnwise.holder"] = holder
    return waited


def _result(event: TurnEvent) -> Attributes:
    """What an event tells beside the turn's name, as attributes."""
    match event:
        case TurnCommittedEvent():
            return {"turnwise.items": event.items, "turnwise.bytes": event.bytes}
        case TurnCancelledEvent():
            kept: Attributes = {"turnwise.items": event.items, "turnwise.bytes": event.bytes}
            return kept | ({"turnwise.reason": event.reason} if event.reason else {})
        case TurnParkedEvent():
            return {"turnwise.pending": event.pending, "turnwise.bytes": event.bytes}
        case TurnDeadLetteredEvent():
            return {"turnwise.attempts": event.attempts, "error.type": event.reason}
        case TurnSubmittedEvent():
            return {"turnwise.position": event.position, "turnwise.bytes": event.bytes}
        case TurnRefusedEvent():
            return {"error.type": event.reason, "turnwise.seconds": event.waited}
        case StepReplayedEvent():
            return {
                "turnwise.step": event.step,
                "gen_ai.agent.name": event.agent,
                "gen_ai.tool.name": event.tool,
            }
    return {}
