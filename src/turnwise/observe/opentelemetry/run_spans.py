"""The spans of the Agents SDK, as OpenTelemetry spans in the trace of their turn."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Any

from agents.tracing import (
    AgentSpanData,
    FunctionSpanData,
    Span,
    SpanData,
    Trace,
    TracingProcessor,
    TurnSpanData,
)
from opentelemetry.context import Context, get_current
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Status, StatusCode, TracerProvider, get_tracer, set_span_in_context

from turnwise.observe.opentelemetry.active_spans import (
    ActiveSpan,
    activate,
    active_in,
    deactivate,
)
from turnwise.observe.opentelemetry.descriptions import Attributes, content_of, described
from turnwise.observe.opentelemetry.durations import Durations
from turnwise.observe.opentelemetry.traces import has_trace, in_trace


@dataclass(frozen=True, slots=True)
class _Open:
    """A span that has not ended; `agent` is the name of the agent at work in it, "" for none."""

    active: ActiveSpan
    began_ns: int
    agent: str


class RunSpans(TracingProcessor):
    """A processor for `agents.add_trace_processor`: agents, models, tools, handoffs, guardrails.

    A span's parent is its parent in the SDK, or a span of the turn or the application that was
    begun inside of that. Names and attributes follow OpenTelemetry's conventions for generative AI
    where there are any. Beside the spans it measures `gen_ai.invoke_agent.duration` and
    `gen_ai.execute_tool.duration`, in seconds.

    Args:
        tracer_provider: Where spans go; None for the global provider.
        meter_provider: Where metrics go; None for the global provider.
        content: Whether spans hold inputs and outputs of models and tools, as JSON (False).
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        *,
        meter_provider: MeterProvider | None = None,
        content: bool = False,
    ) -> None:
        self._tracer = get_tracer("turnwise", tracer_provider=tracer_provider)
        self._durations = Durations(meter_provider)
        self._content = content
        self._bases: dict[str, Context] = {}
        self._open: dict[str, _Open] = {}

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
        now = time.time_ns()
        started = self._tracer.start_span(
            name, self._parent(span), attributes=attributes, start_time=now
        )
        active = activate(started, span.span_id)
        self._open[span.span_id] = _Open(active, now, self._agent_in(span))

    def on_span_end(self, span: Span[Any]) -> None:
        ended = self._open.pop(span.span_id, None)
        if ended is None:
            return
        now, active = max(time.time_ns(), ended.began_ns), ended.active
        attributes = self._describe(active, span, ended.agent)
        seconds = (now - ended.began_ns) / 1e9
        self._durations.measure(span.span_data, seconds, attributes)
        active.span.end(now)
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
            return set_span_in_context(parent.active.span, context)
        return self._bases.get(span.trace_id) or in_trace(span.trace_id, context)

    def _agent_in(self, span: Span[Any]) -> str:
        match span.span_data:
            case AgentSpanData(name=name):
                return name
            case TurnSpanData(agent_name=name):
                return name
        parent = self._open.get(span.parent_id or "")
        return "" if parent is None else parent.agent

    def _describe(self, active: ActiveSpan, span: Span[Any], agent: str) -> Attributes:
        data: SpanData = span.span_data
        name, attributes = described(data)
        if agent and isinstance(data, FunctionSpanData):
            attributes["gen_ai.agent.name"] = agent
        active.span.update_name(name)
        if span.error is not None:
            attributes["error.type"] = _error_type()
            text = span.error["message"] if self._content else None
            active.span.set_status(Status(StatusCode.ERROR, text))
        active.span.set_attributes(attributes)
        if self._content:
            active.span.set_attributes(content_of(data))
        return attributes


def _error_type() -> str:
    """The SDK's span has a text only. An exception that ends the span is on its way now."""
    error = sys.exception()
    return "_OTHER" if error is None else type(error).__name__
