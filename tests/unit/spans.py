"""What was exported as OpenTelemetry spans, and the SDK's tracing switched on for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from agents.tracing import TracingProcessor, get_trace_provider, set_trace_provider
from agents.tracing.provider import DefaultTraceProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


class Exported:
    """Providers whose finished spans and metrics are kept."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._reader = InMemoryMetricReader()
        self.meters = MeterProvider([self._reader], shutdown_on_exit=False)

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.spans]

    def one(self, name: str) -> ReadableSpan:
        (found,) = [span for span in self.spans if span.name == name]
        return found

    def path(self, span: ReadableSpan) -> list[str]:
        """The names of the spans around it and its own, as far out as they were exported."""
        by_id = {known.context.span_id: known for known in self.spans}
        path = [span.name]
        while span.parent is not None and span.parent.span_id in by_id:
            span = by_id[span.parent.span_id]
            path.insert(0, span.name)
        return path

    def measured(self, name: str) -> list[HistogramDataPoint]:
        """The points of a histogram, one for each set of attributes; its unit is seconds."""
        data = self._reader.get_metrics_data()
        scopes = data.resource_metrics[0].scope_metrics if data is not None else []
        found = [m for scope in scopes for m in scope.metrics if m.name == name]
        points = [point for metric in found for point in metric.data.data_points]
        assert {metric.unit for metric in found} <= {"s"}
        return [point for point in points if isinstance(point, HistogramDataPoint)]

    @property
    def traces(self) -> set[int]:
        return {span.context.trace_id for span in self.spans}


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


@contextmanager
def sdk_tracing(*processors: TracingProcessor) -> Iterator[None]:
    """The SDK's tracing, told to these processors only: nothing is sent anywhere."""
    before = get_trace_provider()
    provider = DefaultTraceProvider()
    provider.set_disabled(False)
    provider.set_processors(list(processors))
    set_trace_provider(provider)
    try:
        yield
    finally:
        set_trace_provider(before)
