"""Metrics of the desk, from the SDK's traces and from Turnwise's hook events."""

import threading
from collections import Counter, defaultdict
from datetime import datetime
from typing import Any

from agents.tracing import (
    FunctionSpanData,
    GenerationSpanData,
    GuardrailSpanData,
    ResponseSpanData,
    Span,
    Trace,
    TracingProcessor,
)

from turnwise.hooks import TurnCommittedEvent, TurnEvent


class Metrics(TracingProcessor):
    """Counts events. It is a tracing processor for the SDK and a hook for Turnwise."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._lock = threading.Lock()  # sync tools end their spans in threads

    def __call__(self, event: TurnEvent) -> None:
        with self._lock:
            self.counts[type(event).__name__] += 1
            if isinstance(event, TurnCommittedEvent):
                self.counts["items committed"] += event.items

    def on_trace_start(self, trace: Trace) -> None:
        with self._lock:
            self.counts["traces"] += 1

    def on_trace_end(self, trace: Trace) -> None:
        """Traces are counted at their start."""

    def on_span_start(self, span: Span[Any]) -> None:
        """Spans are counted at their end."""

    def on_span_end(self, span: Span[Any]) -> None:
        with self._lock:
            self.counts[f"{span.span_data.type} spans"] += 1
            self.seconds[span.span_data.type] += _seconds(span)
            self.counts.update(_details(span.span_data))

    def shutdown(self) -> None:
        """Nothing is buffered."""

    def force_flush(self) -> None:
        """Nothing is buffered."""

    def summary(self) -> str:
        """One metric a line, sorted by name."""
        with self._lock:
            lines = [f"{name:28} {count:>8}" for name, count in self.counts.items()]
            lines += [
                f"{name + ' seconds':28} {seconds:>8.3f}" for name, seconds in self.seconds.items()
            ]
        return "\n".join(sorted(lines))


def _details(data: Any) -> Counter[str]:
    found: Counter[str] = Counter()
    if isinstance(data, FunctionSpanData):
        found[f"tool {data.name}"] += 1
    if isinstance(data, GuardrailSpanData) and data.triggered:
        found["guardrail rejections"] += 1
    for kind, tokens in _tokens(data).items():
        if isinstance(tokens, int):
            found[kind.replace("_", " ")] += tokens
    return found


def _tokens(data: Any) -> dict[str, Any]:
    usage: Any = None
    if isinstance(data, GenerationSpanData):
        usage = data.usage
    if isinstance(data, ResponseSpanData) and data.response is not None:
        usage = data.response.usage and data.response.usage.model_dump()
    return {kind: usage.get(kind) for kind in ("input_tokens", "output_tokens")} if usage else {}


def _seconds(span: Span[Any]) -> float:
    if not span.started_at or not span.ended_at:
        return 0.0
    began, ended = map(datetime.fromisoformat, (span.started_at, span.ended_at))
    return (ended - began).total_seconds()
