"""A conversation as people read one.

What begins a turn stands at the left margin, and every line from outside is indented and escaped:
no text forges another speaker's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from turnwise.cli.output import at, tokens
from turnwise.fleet import PastTurn, Timeline
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
        yield from _item(item)


def _item(item: Mapping[str, Any]) -> Iterator[str]:
    kind = str(item.get("type") or "message")
    if kind == "message":
        yield from _said(str(item.get("role")), _text(item.get("content")))
    elif kind == "reasoning":
        yield from _said("reasoning", _text(item.get("summary")), _CUT)
    elif kind.endswith("_output"):
        output = item.get("output")
        yield from _said(f"output of {item.get('call_id')}", _text(output), _CUT)
    elif kind.endswith("_call"):
        name = item.get("name") or kind
        arguments = item.get("arguments")
        if arguments is None:
            rest = {key: item[key] for key in item if key not in ("type", "id", "call_id", "name")}
            arguments = json.dumps(rest, ensure_ascii=False)
        yield from _said(f"call {item.get('call_id')}", f"{name}({arguments})")
    else:
        yield from _said(kind, json.dumps(item, ensure_ascii=False), _CUT)


def _said(who: str, text: str, limit: int | None = None) -> Iterator[str]:
    shown = text if limit is None else text[:limit]
    first, *others = shown.split("\n")
    if len(shown) < len(text):
        cut = f"… {len(text) - len(shown)} more characters"
        others.append(cut)
    yield f"  {printable(who)}: {_line(first)}"
    for line in others:
        yield f"{_INDENT}{_line(line)}"


def _line(text: str) -> str:
    return printable(text, len(text))


def _text(content: Any) -> str:
    """The text of a message or an output; what is no text, by its type."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return json.dumps(content, ensure_ascii=False)
    return "\n".join(map(_part, content))


def _part(part: Any) -> str:
    if not isinstance(part, Mapping):
        return str(part)
    text = part.get("text", part.get("refusal"))
    return text if isinstance(text, str) else f"[{part.get('type')}]"
