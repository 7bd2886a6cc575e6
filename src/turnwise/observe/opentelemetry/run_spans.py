"""The spans of the Agents SDK, as OpenTelemetry spans in the trace of their turn."""

from __future__ import annotations

from typing import Any

from agents.tracing import Span, SpanData, Trace, TracingProcessor
from opentelemetry.context import Context, get_current
from opentelemetry.trace import Status, StatusCode, TracerProvider, get_tracer, set_span_in_context

from turnwise.observe.opentelemetry.descriptions import content_of, described
from turnwise.observe.opentelemetry.places import Place, at, enter, leave
from turnwise.observe.opentelemetry.traces import is_in_trace, within


class RunSpans(TracingProcessor):
    """A processor for `agents.add_trace_processor`: agents, models, tools, handoffs, guardrails.

    The parent of a span is what it is in the SDK, or the turn's or the application's span if that
    was begun inside of it. Names and attributes are those of OpenTelemetry's conventions for
    generative AI where there are some. With `content` they hold what models and tools were given
    and what they answered, as JSON.
    """

    def __init__(
        self, tracer_provider: TracerProvider | None = None, *, content: bool = False
    ) -> None:
        self._tracer = get_tracer("turnwise", tracer_provider=tracer_provider)
        self._content = content
        self._bases: dict[str, Context] = {}
        self._open: dict[str, Place] = {}

    def on_trace_start(self, trace: Trace) -> None:
        context = get_current()
        if not is_in_trace(context):
            context = within(trace.trace_id, context)
        self._bases[trace.trace_id] = context

    def on_trace_end(self, trace: Trace) -> None:
        self._bases.pop(trace.trace_id, None)

    def on_span_start(self, span: Span[Any]) -> None:
        name, attributes = described(span.span_data)
        attributes["openai.agents.trace_id"] = span.trace_id
        started = self._tracer.start_span(name, self._parent(span), attributes=attributes)
        self._open[span.span_id] = enter(started, span.span_id)

    def on_span_end(self, span: Span[Any]) -> None:
        place = self._open.pop(span.span_id, None)
        if place is None:
            return
        self._tell(place, span)
        place.span.end()
        leave(place)

    def shutdown(self) -> None:
        """Nothing is kept here: the tracer provider is the application's."""

    def force_flush(self) -> None:
        """Nothing is kept here: the tracer provider is the application's."""

    def _parent(self, span: Span[Any]) -> Context:
        """The current context, unless its span is one of the SDK's that is not this one's parent.

        Such a span has ended in another task, or was begun without being made current.
        """
        context = get_current()
        place = at(context)
        astray = place is not None and (
            not place.is_open or place.sdk_id not in ("", span.parent_id)
        )
        if not astray and is_in_trace(context):
            return context
        above = self._open.get(span.parent_id or "")
        if above is not None:
            return set_span_in_context(above.span, context)
        return self._bases.get(span.trace_id) or within(span.trace_id, context)

    def _tell(self, place: Place, span: Span[Any]) -> None:
        data: SpanData = span.span_data
        name, attributes = described(data)
        place.span.update_name(name)
        place.span.set_attributes(attributes)
        if self._content:
            place.span.set_attributes(content_of(data))
        if span.error is not None:
            text = span.error["message"] if self._content else None
            place.span.set_status(Status(StatusCode.ERROR, text))
