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


def without_password(url: str) -> str:
    """A URL as it may be shown and recorded."""
    scheme, _, rest = url.partition("://")
    # An unquoted password may hold "/", "?" and "@".
    login, at, address = rest.rpartition("@")
    user, colon, _ = login.partition(":")
    shown = f"{user}:***{at}" if colon else login + at
    address, query, _ = address.partition("?")
    return f"{scheme}://{shown}{address}{'?...' if query else ''}"


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode("ascii")
