"""Text from outside, as errors, logs and tables show it."""

from __future__ import annotations

_LONGEST = 2000


def printable(text: str, limit: int = _LONGEST) -> str:
    """The text on one line: what a terminal might obey is escaped, and what is too long is cut.

    Args:
        text: Anything: ids, names and reasons of callers, an exception's text.
        limit: The most characters of it.
    """
    if len(text) <= limit and text.isprintable():
        return text
    shown = "".join(map(_escaped, text[:limit]))
    return shown if len(text) <= limit else f"{shown}…"


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode("ascii")
