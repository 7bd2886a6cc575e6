"""How long agents and tools take, as the metrics that the conventions for generative AI name."""

from __future__ import annotations

from agents.tracing import AgentSpanData, FunctionSpanData, SpanData
from opentelemetry.metrics import Histogram, MeterProvider, get_meter

from turnwise.observe.opentelemetry.descriptions import Attributes

_AGENT_SECONDS = [0.1 * 2**power for power in range(13)]
_TOOL_SECONDS = [0.01 * 2**power for power in range(14)]
"""The boundaries of buckets that the conventions ask for."""
_AGENT = ("gen_ai.agent.name", "error.type")
_TOOL = ("gen_ai.agent.name", "gen_ai.tool.name", "gen_ai.tool.type", "error.type")


class Durations:
    """Measures what `RunSpans` has spans of. No label grows with the traffic."""

    def __init__(self, provider: MeterProvider | None) -> None:
        meter = get_meter("turnwise", meter_provider=provider)

        def histogram(name: str, text: str, boundaries: list[float]) -> Histogram:
            return meter.create_histogram(
                name, "s", text, explicit_bucket_boundaries_advisory=boundaries
            )

        self._agents = histogram(
            "gen_ai.invoke_agent.duration", "Duration of one agent invocation.", _AGENT_SECONDS
        )
        self._tools = histogram(
            "gen_ai.execute_tool.duration", "Duration of one tool execution.", _TOOL_SECONDS
        )

    def measure(self, data: SpanData, seconds: float, attributes: Attributes) -> None:
        """A span of the SDK has ended, and has these attributes."""
        match data:
            case AgentSpanData():
                self._agents.record(seconds, _some(attributes, _AGENT))
            case FunctionSpanData():
                self._tools.record(seconds, _some(attributes, _TOOL))


def _some(attributes: Attributes, names: tuple[str, ...]) -> Attributes:
    return {name: attributes[name] for name in names if name in attributes}
