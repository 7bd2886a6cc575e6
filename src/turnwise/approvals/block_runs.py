"""The runs in a `Session.turn` block: if the last one asks for approvals, the turn is parked."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from agents import Agent, RunResult, RunResultStreaming, RunState

from turnwise.approvals.parked import DecidedState, ParkedTurn, parked_entry
from turnwise.durable.digests import began_with
from turnwise.errors import UsageError
from turnwise.journal_entries import ParkedEntry
from turnwise.turns import Commit, Park, Turn

Result = RunResult | RunResultStreaming


class BlockRuns:
    """The runs of `agents.Runner` with the turn as their session, one after the other."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._began: tuple[str, str] | None = None
        self._entry: ParkedEntry | None = None
        self._last: tuple[tuple[str, str], Result] | None = None

    def begins(self, input: object) -> None:
        """A run begins. Raises UsageError if approvals are pending that it does not resume."""
        self._look()
        if self._entry is not None:
            if not isinstance(input, RunState) or not self._matches(self._entry, input):
                raise self._refusal()
            self._began = self._entry.began
        self._entry = self._last = None

    def ends(self, agent: Agent[Any], input: object, result: Result) -> None:
        """A run has ended; or one that is streamed has begun, and ends when its task is done."""
        began, self._began = self._began or began_with(agent, input), None
        self._last = began, result
        task = result.run_loop_task if isinstance(result, RunResultStreaming) else None
        if task is None:
            self._look()
        else:
            task.add_done_callback(lambda _: self._look_early())

    def check(self) -> None:
        """Raise UsageError if approvals are pending: nothing else may be added."""
        self._look()
        if self._entry is not None:
            raise self._refusal()

    def outcome(self) -> Commit | Park:
        """How the turn ends, now that its block has."""
        self._look(at_end=True)
        return Commit() if self._entry is None else Park(self._entry)

    def _look_early(self) -> None:
        with suppress(Exception):  # raised to whoever looks next
            self._look()

    def _look(self, *, at_end: bool = False) -> None:
        """Whether the last run has ended and asks for approvals."""
        if self._last is None:
            return
        began, result = self._last
        task = result.run_loop_task if isinstance(result, RunResultStreaming) else None
        if task is not None and not task.done() and not at_end:
            return
        if result.interruptions:
            self._entry = parked_entry(self._turn, result, began)
        self._last = None

    def _matches(self, entry: ParkedEntry, state: RunState[Any]) -> bool:
        return ParkedTurn(*self._turn.names, entry).matches(DecidedState(state))

    def _refusal(self) -> UsageError:
        return UsageError(
            "the last run of this turn asks for approvals, so the turn is parked at the end of its "
            "block: nothing else can be added or run in it before. Leave the block, or resume that "
            "run's state: agents.Runner.run(agent, result.to_state(), session=turn)",
            session_id=self._turn.session_id,
        )
