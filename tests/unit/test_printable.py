"""Ids, names and texts from outside, as errors show them."""

from __future__ import annotations

import pytest

from turnwise.errors import StoreUnavailable, TurnCancelled, TurnwiseError, UsageError
from turnwise.printable import printable

FORGED = [
    "s\nt\tdead",
    "s\r\x1b[2K\x1b]0;title\x07",
    "a\u2028b\u202ec",  # a line separator; what turns the direction of writing
    "\udc80",  # half of a pair, which no terminal's encoding can show
    "\x00\x7f\x9b31m",
]


@pytest.mark.parametrize("text", ["", "user-1", "Zürich 北京 🎉", "back\\slash"])
def test_what_is_printable_stays(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize("text", FORGED)
def test_what_is_not_is_escaped(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert shown.encode()
    assert shown.encode().decode("unicode_escape") == text


def test_a_long_text_is_cut() -> None:
    assert printable("x" * 3000) == "x" * 2000 + "…"
    assert printable("\n" * 3, limit=2) == "\\n\\n…"


@pytest.mark.parametrize("text", FORGED)
def test_an_error_is_one_printable_line(text: str) -> None:
    for kind in (TurnwiseError, UsageError, StoreUnavailable):
        error = kind(f"turn {text} failed", session_id=text)
        assert str(error).isprintable()
        assert error.session_id == text
    cancelled = TurnCancelled(f"cancelled ({text})", session_id="s", reason=text)
    assert str(cancelled).isprintable()
    assert cancelled.reason == text
    assert len(str(TurnwiseError(text * 10_000))) < 20_000
