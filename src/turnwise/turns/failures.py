"""What an exception does to the turn whose code raised it.

What a tool did is not forgotten. As long as a retry of the turn_id may get past the error, the
journal stays. If every attempt would end with it, the turn is committed with what it had finished.
"""

from __future__ import annotations

from typing import Literal, get_args

from turnwise.errors import LimitError, ReplayMismatch, UnreadableMessage, UsageError
from turnwise.turns.cancelled import Work
from turnwise.turns.outcomes import Commit, Outcome, Release, RollBack
from turnwise.turns.turn import Turn

OnError = Literal["rollback", "keep"]
"""What an exception does to the turn: roll it back, or commit what it has finished."""

_LASTING = (LimitError, ReplayMismatch, UnreadableMessage)


def check_on_error(session_id: str, on_error: object) -> None:
    """Raise UsageError unless it is an `OnError`."""
    if on_error not in get_args(OnError):
        raise UsageError(
            f"on_error={on_error!r} is not one of {', '.join(map(repr, get_args(OnError)))}",
            session_id=session_id,
        )


def is_lasting(turn: Turn, error: BaseException) -> bool:
    """Whether every attempt at the turn would end with this error."""
    if isinstance(error, _LASTING):
        return True
    return isinstance(turn.replay, Work) and turn.replay.is_lasting(error)


def failure(turn: Turn, error: BaseException, on_error: OnError = "rollback") -> Outcome:
    """How a turn ends whose code raised `error`. A cancellation never commits it.

    A one-shot turn, or one that has nothing in its journal, is rolled back or kept as `on_error`
    says: nobody can continue it.
    """
    if turn.lost is None:
        if on_error == "keep" and isinstance(error, Exception):
            return Commit()
        if can_continue(turn):
            if not is_lasting(turn, error):
                return Release(error)
            if isinstance(turn.replay, Work) and (turn.resumed or turn.replay.has_run_tools):
                return Commit(error=error)
    return RollBack(error)


def can_continue(turn: Turn) -> bool:
    """Whether a later attempt at the turn continues from its journal."""
    return turn.journal.was_used and not turn.one_shot
