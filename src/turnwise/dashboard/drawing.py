"""A turn's steps drawn to scale: where each bar begins, and how long it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from turnwise.dashboard import wording
from turnwise.fleet import Step

WIDTH = 1000.0
"""Of the drawing, in units of its own."""
ROW = 26
_LEAST = 3.0
_TICKS = 4
_MOST = 300
"""How many steps are drawn; a list has all."""


@dataclass(frozen=True)
class Bar:
    """One step.

    Attributes:
        step: The step.
        x, y, width: Where it is drawn.
        label: What it is, and how long it took.
        place: Where the label stands: behind the bar, or where there is no room, before or in it.
    """

    step: Step
    x: float
    y: int
    width: float
    label: str
    place: Literal["behind", "before", "in"]


@dataclass(frozen=True)
class Drawing:
    """All bars, and the ticks of the scale: where each stands, and its time.

    Attributes:
        bars: One a row, in order.
        ticks: From 0 to the end.
        height: Of the drawing.
    """

    bars: list[Bar]
    ticks: list[tuple[float, str]]
    height: int


def draw(steps: Sequence[Step], now: float) -> Drawing | None:
    """None if no step has a time: of a turn that ended, only their order is known.

    A step that runs lasts until now. Times are those of the workers' clocks: a bar never gets
    shorter than nothing.
    """
    known = [each for each in steps if (each.started_at or each.ended_at) is not None][:_MOST]
    if not known:
        return None
    spans = [_span(each, now) for each in known]
    start, end = min(span[0] for span in spans), max(span[1] for span in spans)
    whole = max(end - start, 0.001)
    bars = [
        _bar(each, row, (span[0] - start) / whole, (span[1] - span[0]) / whole, span)
        for row, (each, span) in enumerate(zip(known, spans, strict=True))
    ]
    ticks = [(WIDTH * part / _TICKS, _seconds(whole * part / _TICKS)) for part in range(_TICKS + 1)]
    return Drawing(bars, ticks, ROW * len(bars))


def _span(step: Step, now: float) -> tuple[float, float]:
    ended = step.ended_at if step.ended_at is not None else step.started_at
    started = step.started_at if step.started_at is not None else ended
    assert started is not None
    assert ended is not None
    return started, max(started, now if step.state == "running" else ended)


def _bar(step: Step, row: int, start: float, share: float, span: tuple[float, float]) -> Bar:
    width = max(_LEAST, WIDTH * share)
    x = min(WIDTH * start, WIDTH - width)
    took = f" {_seconds(span[1] - span[0])}" if step.started_at is not None else ""
    label = f"{wording.name(step.name or step.kind)}{took}"
    return Bar(step, x, row * ROW, width, label, _place(x, x + width))


def _place(start: float, end: float) -> Literal["behind", "before", "in"]:
    if end < WIDTH * 2 / 3:
        return "behind"
    return "before" if start > WIDTH / 3 else "in"


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
