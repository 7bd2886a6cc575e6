"""Which trace the code at hand is in: OpenTelemetry's, or the Agents SDK's by the same number."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from agents.tracing import get_current_trace
from opentelemetry.context import Context, attach, get_current
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


def carry() -> dict[str, str]:
    """The trace at hand, to go on with it elsewhere: `traceparent` and `tracestate` of W3C.

    Empty outside of a trace. To be sent with a message, and given to `carried` where it is worked
    on.
    """
    trace: dict[str, str] = {}
    _W3C.inject(trace, surroundings())
    return trace


@contextmanager
def carried(trace: Mapping[str, object]) -> Iterator[None]:
    """A block of code in the trace that `carry` named. What it did not write is ignored."""
    before = get_current()
    texts = {name: text for name, text in trace.items() if isinstance(text, str)}
    attach(_W3C.extract(texts, before))
    try:
        yield
    finally:
        attach(before)


def sdk_trace_id() -> str | None:
    """The current OpenTelemetry trace as the SDK would name it; None outside of one.

    A run gets it by `RunConfig(trace_id=sdk_trace_id())`: its trace has the same id then in what
    the SDK exports.
    """
    here = get_current_span().get_span_context()
    return f"trace_{here.trace_id:032x}" if here.is_valid else None


def surroundings() -> Context:
    """The current context; without a span in it, but in a trace of the SDK, one in that trace."""
    context = get_current()
    trace = get_current_trace()
    if trace is None or is_in_trace(context):
        return context
    return within(trace.trace_id, context)


def is_in_trace(context: Context) -> bool:
    return get_current_span(context).get_span_context().is_valid


def within(sdk_trace: str, context: Context) -> Context:
    """The context, in the trace that has the SDK's id.

    Only a parent can tell a span its trace. This one is nowhere exported: like a caller's span in
    a process that exports none. It says that the trace is sampled, as the SDK does not sample.
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
    """The same in every process, for ids of the application's own too."""
    usual = re.fullmatch(r"trace_([0-9a-f]{32})", sdk_trace)
    digits = usual[1] if usual else hashlib.blake2b(sdk_trace.encode(), digest_size=16).hexdigest()
    return int(digits, 16) or 1
