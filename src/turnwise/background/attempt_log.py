"""What the log says of attempts at messages: one line for each that fails or takes over."""

from __future__ import annotations

import logging

from turnwise.background.dead_letters import error_text
from turnwise.printable import printable
from turnwise.turns import Turn

_log = logging.getLogger("turnwise")


def log_failed(
    turn: Turn, error: BaseException, follows: str, level: int = logging.WARNING
) -> None:
    """An attempt failed, why, and what follows. At DEBUG the traceback comes with it.

    The error's text is what a dead letter shows. It has content of items only if the application's
    own exceptions quote some.
    """
    why = printable(error_text(error))
    text = "attempt %d of turn %r of session %r failed, %s: %s"
    fields = {"event": "attempt failed", "error": why} | _fields(turn)
    traceback = error if _log.isEnabledFor(logging.DEBUG) else None
    _log.log(level, text, *_names(turn), follows, why, extra=fields, exc_info=traceback)


def log_taken_over(turn: Turn) -> None:
    """An attempt continues what workers left that died."""
    text = "attempt %d of turn %r of session %r takes over: workers that died in it: %d, "
    text += "entries in its journal: %d"
    entries = len(turn.grant.journal)
    fields = {"event": "attempt takes over", "deaths": turn.deaths, "journal_entries": entries}
    _log.warning(text, *_names(turn), turn.deaths, entries, extra=fields | _fields(turn))


def _names(turn: Turn) -> tuple[int, str, str]:
    return turn.attempt, turn.turn_id, turn.session_id


def _fields(turn: Turn) -> dict[str, object]:
    return {"session_id": turn.session_id, "turn_id": turn.turn_id, "attempt": turn.attempt}
