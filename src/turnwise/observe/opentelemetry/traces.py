"""The current trace: OpenTelemetry's, or that of the Agents SDK under the same number."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from agents.tracing import get_current_trace
from opentelemetry.context import Context, get_current
from opentelemetry.context import attach as attach_context
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_W3C = TraceContextTextMapPropagator()
_NO_TRACE = "no-op"


def inject() -> dict[str, str]:
    """The current trace, for another process: W3C's `traceparent` and `tracestate`.

    Send it with a job, and pass it to `attach` where the job runs.

    Returns:
        The headers by name; empty outside of a trace.
    """
    trace: dict[str, str] = {}
    _W3C.inject(trace, current_context())
    return trace


@contextmanager
def attach(trace: Mapping[str, object]) -> Iterator[None]:
    """Run the block in another process's trace.

    Args:
        trace: What `inject` returned there. Anything else in it is ignored.
    """
    before = get_current()
    headers = {name: text for name, text in trace.items() if isinstance(text, str)}
    attach_context(_W3C.extract(headers, before))
    try:
        yield
    finally:
        attach_context(before)


def sdk_trace_id() -> str | None:
    """The id of the current OpenTelemetry trace, in the SDK's form; None outside of a trace.

    With `RunConfig(trace_id=sdk_trace_id())` a run's trace has the same id in the SDK's own export.
    """
    current = get_current_span().get_span_context()
    return f"trace_{current.trace_id:032x}" if current.is_valid else None


def current_context() -> Context:
    """The current context. If it has no trace but the SDK has one, a context in that trace."""
    context = get_current()
    trace = get_current_trace()
    if trace is None or has_trace(context):
        return context
    return in_trace(trace.trace_id, context)


def has_trace(context: Context) -> bool:
    return get_current_span(context).get_span_context().is_valid


def in_trace(sdk_trace: str, context: Context) -> Context:
    """The context, in the trace that has the SDK's id.

    A span gets its trace from its parent. This parent is never exported, like the span of a caller
    that exports nothing. It is marked as sampled, since the SDK does not sample.
    """
    if sdk_trace == _NO_TRACE:
        return context
    number = _number(sdk_trace)
    parent = SpanContext(
        trace_id=number,
        span_id=(number & 0xFFFF_FFFF_FFFF_FFFF) or 1,
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )
    return set_span_in_context(NonRecordingSpan(parent), context)


def _number(sdk_trace: str) -> int:
    """A trace id as a number, the same in every process; also for custom ids."""
    standard = re.fullmatch(r"trace_([0-9a-f]{32})", sdk_trace)
    if standard:
        return int(standard[1], 16) or 1
    return int(hashlib.blake2b(sdk_trace.encode(), digest_size=16).hexdigest(), 16) or 1
