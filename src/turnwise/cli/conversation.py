"""A conversation as people read one.

What begins a turn stands at the left margin, and every line from outside is indented and escaped:
no text forges another speaker's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from turnwise.cli.output import at, tokens
from turnwise.fleet import ItemText, PastTurn, Timeline, item_texts
from turnwise.printable import printable

_CUT = 500
_INDENT = "    "


def conversation(turns: list[PastTurn]) -> Iterator[str]:
    """Its lines, the newest last."""
    for turn in turns:
        how = "" if turn.kind == "turn" else f" ({turn.kind})"
        yield f"== {at(turn.ended_at)} turn {printable(turn.turn_id)}{how}{run(turn)}"
        yield from content(turn.items)


def run(turn: PastTurn | Timeline) -> str:
    """Who ran it, and at what cost."""
    worker = printable(turn.worker) if turn.worker else None
    attempt = f"attempt {turn.attempt}" if turn.attempt > 1 else None
    known = [each for each in (worker, attempt, tokens(turn.usage)) if each]
    return f" [{', '.join(known)}]" if known else ""


def content(items: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The lines of a turn's items."""
    for item in items:
        for each in item_texts(item):
            yield from _lines(each)


def text_lines(who: str, text: str, limit: int | None = None) -> Iterator[str]:
    """A text of one speaker, which may be cut."""
    shown = text if limit is None else text[:limit]
    first, *others = shown.split("\n")
    if len(shown) < len(text):
        cut = f"… {len(text) - len(shown)} more characters"
        others.append(cut)
    yield f"  {printable(who)}: {_line(first)}"
    for line in others:
        yield f"{_INDENT}{_line(line)}"


def _lines(each: ItemText) -> Iterator[str]:
    if each.side == "call":
        return text_lines(f"call {each.call_id}", f"{each.who}({each.text})")
    if each.side == "output":
        return text_lines(f"{each.who} of {each.call_id}", each.text, _CUT)
    return text_lines(each.who, each.text, _CUT if each.side in ("reasoning", "other") else None)


def _line(text: str) -> str:
    return printable(text, len(text))
