"""The spans of the Agents SDK, as OpenTelemetry spans in the trace of their turn."""

from __future__ import annotations

from typing import Any

from agents.tracing import Span, SpanData, Trace, TracingProcessor
from opentelemetry.context import Context, get_current
from opentelemetry.trace import Status, StatusCode, TracerProvider, get_tracer, set_span_in_context

from turnwise.observe.opentelemetry.active_spans import (
    ActiveSpan,
    activate,
    active_in,
    deactivate,
)
from turnwise.observe.opentelemetry.descriptions import content_of, described
from turnwise.observe.opentelemetry.traces import has_trace, in_trace


class RunSpans(TracingProcessor):
    """A processor for `agents.add_trace_processor`: agents, models, tools, handoffs, guardrails.

    A span's parent is its parent in the SDK, or a span of the turn or the application that was
    begun inside of that. Names and attributes follow OpenTelemetry's conventions for generative AI
    where there are any.

    Args:
        tracer_provider: Where spans go; None for the global provider.
        content: Whether spans hold inputs and outputs of models and tools, as JSON (False).
    """

    def __init__(
        self, tracer_provider: TracerProvider | None = None, *, content: bool = False
    ) -> None:
        self._tracer = get_tracer("turnwise", tracer_provider=tracer_provider)
        self._content = content
        self._bases: dict[str, Context] = {}
        self._open: dict[str, ActiveSpan] = {}

    def on_trace_start(self, trace: Trace) -> None:
        context = get_current()
        if not has_trace(context):
            context = in_trace(trace.trace_id, context)
        self._bases[trace.trace_id] = context

    def on_trace_end(self, trace: Trace) -> None:
        self._bases.pop(trace.trace_id, None)

    def on_span_start(self, span: Span[Any]) -> None:
        name, attributes = described(span.span_data)
        attributes["openai.agents.trace_id"] = span.trace_id
        started = self._tracer.start_span(name, self._parent(span), attributes=attributes)
        self._open[span.span_id] = activate(started, span.span_id)

    def on_span_end(self, span: Span[Any]) -> None:
        active = self._open.pop(span.span_id, None)
        if active is None:
            return
        self._describe(active, span)
        active.span.end()
        deactivate(active)

    def shutdown(self) -> None:
        """Does nothing: the tracer provider is the application's."""

    def force_flush(self) -> None:
        """Does nothing: the tracer provider is the application's."""

    def _parent(self, span: Span[Any]) -> Context:
        """The current context, unless its span is one of the SDK's that is not this one's parent.

        That happens if such a span ended in another task, or was begun without being made current.
        """
        context = get_current()
        active = active_in(context)
        stale = active is not None and (
            not active.is_open or active.sdk_id not in ("", span.parent_id)
        )
        if not stale and has_trace(context):
            return context
        parent = self._open.get(span.parent_id or "")
        if parent is not None:
            return set_span_in_context(parent.span, context)
        return self._bases.get(span.trace_id) or in_trace(span.trace_id, context)

    def _describe(self, active: ActiveSpan, span: Span[Any]) -> None:
        data: SpanData = span.span_data
        name, attributes = described(data)
        active.span.update_name(name)
        active.span.set_attributes(attributes)
        if self._content:
            active.span.set_attributes(content_of(data))
        if span.error is not None:
            text = span.error["message"] if self._content else None
            active.span.set_status(Status(StatusCode.ERROR, text))
