"""The spans of ours that are active in the current context.

OpenTelemetry detaches a context by a token, and only in the task that attached it. Our spans may
end in another task. So each remembers the context before it, and a span that has ended is skipped
when the context is next looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

from opentelemetry.context import Context, attach, create_key, get_current, get_value, set_value
from opentelemetry.trace import Span, get_current_span, set_span_in_context

_KEY = create_key("turnwise-active-span")


@dataclass(eq=False, slots=True)
class ActiveSpan:
    """A span of ours; `sdk_id` is its id in the SDK, "" for a turn's span."""

    span: Span
    before: Context
    sdk_id: str = ""
    is_open: bool = True


def activate(span: Span, sdk_id: str = "") -> ActiveSpan:
    """Make the span the current one."""
    active = ActiveSpan(span, get_current(), sdk_id)
    attach(set_value(_KEY, active, set_span_in_context(span, active.before)))
    return active


def deactivate(active: ActiveSpan) -> None:
    """The span has ended. Spans that were begun in it and are still open stay active."""
    active.is_open = False
    before = context = get_current()
    while (top := active_in(context)) is not None and not top.is_open:
        context = top.before
    if context is not before:
        attach(context)


def active_in(context: Context) -> ActiveSpan | None:
    """The context's current span; None if it is not one of ours."""
    active = get_value(_KEY, context)
    if isinstance(active, ActiveSpan) and get_current_span(context) is active.span:
        return active
    return None
