"""Turns and their runs as OpenTelemetry spans, in one trace whichever process runs them."""

from turnwise.observe.opentelemetry.run_spans import RunSpans
from turnwise.observe.opentelemetry.traces import attach, inject, sdk_trace_id
from turnwise.observe.opentelemetry.turn_spans import TurnSpans

__all__ = ["RunSpans", "TurnSpans", "attach", "inject", "sdk_trace_id"]
