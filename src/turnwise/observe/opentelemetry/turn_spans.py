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
    TurnStoppedEvent,
    TurnSubmittedEvent,
)
from turnwise.observe.names import OUTCOMES, reason_of, title
from turnwise.observe.opentelemetry import traces
from turnwise.observe.opentelemetry.active_spans import ActiveSpan, activate, deactivate

Attributes = dict[str, str | bool | int | float]

_holder: ContextVar[tuple[str, str, str] | None] = ContextVar("turnwise_holder", default=None)


class TurnSpans:
    """A hook that makes a span of each turn, from its begin to its end.

    Its parent is the current span. If there is none, the span is in the SDK's current trace. While
    the turn runs, its span is current in the task that began it and in that task's children.

    Args:
        tracer_provider: Where spans go; None for the global provider.
    """

    def __init__(self, tracer_provider: TracerProvider | None = None) -> None:
        self._tracer = get_tracer("turnwise", tracer_provider=tracer_provider)
        self._open: dict[tuple[str, str], ActiveSpan] = {}

    def inject(self) -> Mapping[str, str]:
        return traces.inject()

    def attach(self, trace: Mapping[str, str], /) -> AbstractContextManager[None]:
        return traces.attach(trace)

    def __call__(self, event: TurnEvent, /) -> None:
        if isinstance(event, TurnBegunEvent):
            self._begun(event)
        elif isinstance(event, TurnEndEvent):
            self._ended(event)
        elif isinstance(event, TurnQueuedEvent):
            _holder.set((event.session_id, event.turn_id, event.holder))
        else:
            self._other(event)

    def _begun(self, event: TurnBegunEvent) -> None:
        key = event.session_id, event.turn_id
        if key in self._open:  # an attempt that was taken over and does not know it yet
            self._close(self._open.pop(key), "lost", "")
        span = self._tracer.start_span(
            "turn", traces.current_context(), SpanKind.INTERNAL, _attributes(event)
        )
        if event.waited:
            span.add_event(title(TurnQueuedEvent), _queued(event))
        if event.taken_over:
            span.add_event(
                "turn taken over",
                {
                    "turnwise.attempt": event.attempt,
                    "turnwise.journal_entries": event.journal_entries,
                },
            )
        self._open[key] = activate(span)

    def _ended(self, event: TurnEndEvent) -> None:
        active = self._open.pop((event.session_id, event.turn_id), None)
        if active is None:
            self._other(event)
            return
        active.span.set_attributes(_result(event))
        if isinstance(event, TurnCancelledEvent):
            active.span.add_event(title(TurnCancelledEvent), _result(event))
        self._close(active, OUTCOMES[type(event)], reason_of(event))

    def _close(self, active: ActiveSpan, outcome: str, reason: str) -> None:
        active.span.set_attribute("turnwise.outcome", outcome)
        if reason:
            active.span.set_attribute("error.type", reason)
            active.span.set_status(Status(StatusCode.ERROR, reason))
        active.span.end()
        deactivate(active)

    def _other(self, event: TurnEvent) -> None:
        """Add the event to the turn's span or, if this process has none, to the current span."""
        active = self._open.get((event.session_id, event.turn_id))
        span = get_current_span() if active is None else active.span
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


def _queued(event: TurnBegunEvent) -> Attributes:
    queued: Attributes = {"turnwise.seconds": event.waited}
    match _holder.get():
        case (event.session_id, event.turn_id, holder):
            queued["turnwise.holder"] = holder
    return queued


def _result(event: TurnEvent) -> Attributes:
    """An event's own fields as attributes."""
    match event:
        case TurnCommittedEvent():
            return {"turnwise.items": event.items, "turnwise.bytes": event.bytes}
        case TurnCancelledEvent():
            kept: Attributes = {"turnwise.items": event.items, "turnwise.bytes": event.bytes}
            return kept | ({"turnwise.reason": event.reason} if event.reason else {})
        case TurnParkedEvent():
            return {"turnwise.pending": event.pending, "turnwise.bytes": event.bytes}
        case TurnDeadLetteredEvent() | TurnStoppedEvent():
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
