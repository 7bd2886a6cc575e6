"""The block in which a turn lives: committed at its end, rolled back on an exception."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal, get_args

from turnwise.errors import UsageError
from turnwise.turns.leaving import leave, may_go_on
from turnwise.turns.turn import Turn
from turnwise.turns.waiting import hand_back, park

OnError = Literal["rollback", "keep"]
"""What an exception does to the turn: leave no trace of it, or commit what it had added."""


def check_on_error(session_id: str, on_error: object) -> None:
    if on_error not in get_args(OnError):
        raise UsageError(
            f"on_error={on_error!r} is not one of {', '.join(map(repr, get_args(OnError)))}",
            session_id=session_id,
        )


async def end(
    turn: Turn, error: BaseException | None, on_error: OnError, *, given_up: bool = False
) -> None:
    """End a turn as its work ended. A cancellation never commits it.

    One that waits for an approval is parked. One that was taken up again after that, and did not
    come to its end, waits again. One that was kept from going on by its store, or by the
    cancellation of its sender, leaves its journal for who sends it again, unless it is given up.
    """
    if turn.still_pending is not None and (error is not None or turn.lost is not None):
        await hand_back(turn, turn.still_pending)
        if error is None and turn.lost is not None:
            raise turn.lost
    elif error is None and turn.parking is not None:
        await park(turn, turn.parking)
    elif error is None or (on_error == "keep" and isinstance(error, Exception) and not turn.lost):
        await turn.commit()
    elif not given_up and may_go_on(turn, error):
        await leave(turn, error)
    else:
        await turn.roll_back(error)


@asynccontextmanager
async def block(turn: Turn, on_error: OnError) -> AsyncIterator[Turn]:
    """Run the block as this turn. If the turn is lost meanwhile, the block is cancelled.

    Raises what the block raised, what `Turn.commit` raises, or `Turn.lost`.
    """
    interruption = Interruption()
    turn.on_lost = interruption.interrupt
    try:
        try:
            yield turn
        except BaseException as error:
            await end(turn, error, on_error)
            raise
        await end(turn, None, on_error)
    except asyncio.CancelledError as cancellation:
        if interruption.taken_back() and turn.lost is not None:
            raise turn.lost from cancellation
        raise
    finally:
        interruption.taken_back()


class Interruption:
    """A cancellation of the current task that is ours: as in asyncio.timeout, it is taken back."""

    def __init__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._before = task.cancelling()
        self._pending = False

    def interrupt(self) -> None:
        self._pending = self._task.cancel()

    def taken_back(self) -> bool:
        """Take it back; whether nobody else asked the task to stop too."""
        if not self._pending:
            return False
        self._pending = False
        return self._task.uncancel() <= self._before
