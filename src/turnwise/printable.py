"""Text from outside, as errors, logs and tables show it."""

from __future__ import annotations

import shlex

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


def quoted(word: str) -> str:
    """The text as a word of a command that is shown: one line, which a shell reads as the text.

    What a terminal might obey stands in `$'...'`, which bash and zsh know.
    """
    if word.isprintable():
        return shlex.quote(word)
    escaped = "".join(
        character if character.isprintable() and character not in "\\'" else _bytes_of(character)
        for character in word
    )
    return f"$'{escaped}'"


def without_password(url: str) -> str:
    """A URL as it may be shown and recorded."""
    scheme, _, rest = url.partition("://")
    # An unquoted password may hold "/", "?" and "@".
    login, at, address = rest.rpartition("@")
    user, colon, _ = login.partition(":")
    shown = f"{user}:***{at}" if colon else login + at
    address, query, _ = address.partition("?")
    return f"{scheme}://{shown}{address}{'?...' if query else ''}"


def _bytes_of(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode())


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode("ascii")
