"""What happens to turns and in their runs, as OpenTelemetry spans: one trace, whoever runs it."""

from turnwise.observe.opentelemetry.run_spans import RunSpans
from turnwise.observe.opentelemetry.traces import carried, carry, sdk_trace_id
from turnwise.observe.opentelemetry.turn_spans import TurnSpans

__all__ = ["RunSpans", "TurnSpans", "carried", "carry", "sdk_trace_id"]
