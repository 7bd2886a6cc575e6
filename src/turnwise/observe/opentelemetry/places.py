"""Where in a trace the code at hand is, as far as our spans go.

OpenTelemetry restores a context by a token, in the task that set it only. Our spans are told of
their end from wherever it comes, in another task as well; so each remembers what was before it, and
what has ended is left by whoever comes upon it.
"""

from __future__ import annotations

from dataclasses import dataclass

from opentelemetry.context import Context, attach, create_key, get_current, get_value, set_value
from opentelemetry.trace import Span, get_current_span, set_span_in_context

_PLACE = create_key("turnwise-place")


@dataclass(eq=False, slots=True)
class Place:
    """A span of ours that code runs in; `sdk_id` is its name in the SDK, "" for a turn's."""

    span: Span
    before: Context
    sdk_id: str = ""
    is_open: bool = True


def enter(span: Span, sdk_id: str = "") -> Place:
    """Let the code from here on be in this span."""
    place = Place(span, get_current(), sdk_id)
    attach(set_value(_PLACE, place, set_span_in_context(span, place.before)))
    return place


def leave(place: Place) -> None:
    """The span has ended. Other spans begun in it, and not ended, are left alone."""
    place.is_open = False
    before = context = get_current()
    while (top := at(context)) is not None and not top.is_open:
        context = top.before
    if context is not before:
        attach(context)


def at(context: Context) -> Place | None:
    """The place that the context's own span is; None if that is not one of ours."""
    place = get_value(_PLACE, context)
    if isinstance(place, Place) and get_current_span(context) is place.span:
        return place
    return None
