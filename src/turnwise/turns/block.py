"""The block of code that runs a turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from turnwise.enclosing import PartOf
from turnwise.process import EXITS
from turnwise.turns.ends import end, end_interrupted
from turnwise.turns.failures import failure
from turnwise.turns.outcomes import Commit, Outcome
from turnwise.turns.turn import Turn


@asynccontextmanager
async def block(
    turn: Turn, on_failure: Callable[[Turn, BaseException], Outcome] = failure
) -> AsyncIterator[Turn]:
    """The block of code that runs a turn. If the turn is lost meanwhile, the block is cancelled.

    At its end the turn is committed, unless the block has ended it otherwise.

    Args:
        turn: a turn that this worker holds.
        on_failure: how the turn ends if the block raises.

    Raises:
        TurnError, StoreError: what `end` raises, or what the turn was lost by.
    """
    interruption = _Interruption()
    turn.interrupt_with(interruption.interrupt)
    try:
        try:
            with PartOf(lambda: turn, asyncio.current_task(), turn.runtime.origin):
                yield turn
        except BaseException as error:
            if turn.is_ours:  # a forked child that leaves the block ends nothing of its parent
                await end(turn, on_failure(turn, error))
            raise
        await end(turn, Commit())
    except EXITS as struck:
        if turn.is_ours:
            await end_interrupted(turn, on_failure(turn, struck))
        raise
    except asyncio.CancelledError as cancellation:
        if interruption.taken_back() and turn.lost is not None:
            raise turn.lost from cancellation
        raise
    finally:
        interruption.taken_back()


class _Interruption:
    """A cancellation of the current task by the turn. As in asyncio.timeout, it is taken back."""

    def __init__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._before = task.cancelling()
        self._pending = False

    def interrupt(self) -> None:
        self._pending = self._task.cancel()

    def taken_back(self) -> bool:
        """Take it back; whether nobody else cancelled the task too."""
        if not self._pending:
            return False
        self._pending = False
        return self._task.uncancel() <= self._before
