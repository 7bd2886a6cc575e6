"""The runs in a block that is a turn: where the last one waits for approvals, the turn does."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Protocol

from agents import Agent, RunResult, RunResultStreaming, RunState

from turnwise.durable.digests import began_with
from turnwise.durable.parked import ParkedTurn, parked_entry
from turnwise.errors import UsageError
from turnwise.journal_entries import ParkedEntry

Result = RunResult | RunResultStreaming


class Holding(Protocol):
    """What is to be known of the turn."""

    session_id: str
    turn_id: str
    kept: int
    """How many items of before it the turn keeps."""

    def added(self) -> list[Any]:
        """The items that were added to it."""


class BlockRuns:
    """What `agents.Runner` runs with the turn as its session, one run after the other.

    Acks `timeout` seconds the turn waits in vain.
    """

    def __init__(self, turn: Holding, timeout: float | None) -> None:
        self._turn = turn
        self._timeout = timeout
        self._began: tuple[str, str] | None = None
        self._entry: ParkedEntry | None = None
        self._last: tuple[tuple[str, str], Result] | None = None

    def begins(self, input: object) -> None:
        """A run begins. Raises UsageError if the turn waits, and this is not what it waits for."""
        self._settle()
        if self._entry is not None:
            if not isinstance(input, RunState) or not self._fits(input):
                raise self._refusal()
            self._began = self._entry.began
        self._entry = self._last = None

    def ends(self, agent: Agent[Any], input: object, result: Result) -> None:
        """It has ended; a streamed one has begun, and will have when its task is done."""
        began, self._began = self._began or began_with(agent, input), None
        self._last = began, result
        task = result.run_loop_task if isinstance(result, RunResultStreaming) else None
        if task is None:
            self._settle()
        else:
            task.add_done_callback(lambda _: self._settle_early())

    def check(self) -> None:
        """Raise UsageError if the turn waits: nothing is mixed in."""
        self._settle()
        if self._entry is not None:
            raise self._refusal()

    def entry(self) -> ParkedEntry | None:
        """The journal's last entry if the turn waits at the end of the block; None if not."""
        self._settle(at_end=True)
        return self._entry

    def _settle_early(self) -> None:
        with suppress(Exception):  # told where somebody waits for it
            self._settle()

    def _settle(self, *, at_end: bool = False) -> None:
        if self._last is None:
            return
        began, result = self._last
        task = result.run_loop_task if isinstance(result, RunResultStreaming) else None
        if task is not None and not task.done() and not at_end:
            return
        if result.interruptions:
            self._entry = parked_entry(
                result,
                self._turn.turn_id,
                kept=self._turn.kept,
                items=self._turn.added(),
                began=began,
                timeout=self._timeout,
            )
        self._last = None

    def _fits(self, state: RunState[Any]) -> bool:
        assert self._entry is not None
        return ParkedTurn(self._turn.session_id, self._turn.turn_id, self._entry).fits(state)

    def _refusal(self) -> UsageError:
        return UsageError(
            "the last run of this turn waits for approvals, and so does the turn from the end of "
            "its block on: nothing else can be added or run in it before. Leave the block, or go "
            "on with that run's state: agents.Runner.run(agent, result.to_state(), session=turn)",
            session_id=self._turn.session_id,
        )
