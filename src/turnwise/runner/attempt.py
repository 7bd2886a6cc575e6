"""A turn_id that was committed before: its run is told again instead of run again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import msgspec
from agents import (
    Agent,
    RunConfig,
    RunResult,
    RunResultStreaming,
    RunState,
    SessionSettings,
    StreamEvent,
)

from turnwise.approvals import ResumedTurn, parked_entry
from turnwise.background import ResumedEvents
from turnwise.call_pairs import paired
from turnwise.durable.digests import began_with
from turnwise.durable.sdk import tap_events
from turnwise.errors import AlreadyCommitted
from turnwise.results import RebuiltRun, pack_record
from turnwise.session import Session, effective_limit
from turnwise.turns import Commit, OnError, Outcome, Park, RollBack, Turn, failure


@dataclass
class RunAttempt:
    """One sending of a turn: what its run began with."""

    session: Session
    session_id: str
    turn_id: str | None
    agent: Agent[Any]
    input: object
    run_config: RunConfig | Mapping[str, Any] | None = None
    resumed_events: ResumedEvents | None = None
    """Whom a turn that was parked tells that it goes on."""
    resumed: ResumedTurn | None = None
    """The parked turn that the run resumes, if it does."""

    def outcome(self, turn: Turn, result: RunResult | RunResultStreaming) -> Outcome:
        """How the turn of this run ends: committed with its result, or parked.

        Nobody can send a one-shot turn again, so its result is not kept.
        """
        if result.interruptions:
            return self._park(turn, result)
        if self.resumed is not None or self.turn_id is not None:
            return Commit(pack_record(result, self._began(), turn.added()))
        return Commit()

    def failure(
        self, turn: Turn, error: BaseException, on_error: OnError, *, given_up: bool
    ) -> Outcome:
        """How the turn ends if its run failed; `given_up`: by the caller's own `cancel()`."""
        if self.resumed is not None:
            return self.resumed.failure()
        return RollBack(error) if given_up else failure(turn, error, on_error)

    async def again(self, error: AlreadyCommitted) -> RebuiltRun:
        """What the committed turn answers. Raises TurnIdReused, or `error` if it has no answer."""
        ours = self.session_id, self.turn_id
        if (error.session_id, error.turn_id) != ours or not error.payload:
            raise error
        first = error.end - len(error.items)
        before = await self.session.runtime.reader.before(self.session_id, first, self._limit)
        return RebuiltRun(error, self.agent, self.input, paired(before))

    def _park(self, turn: Turn, result: RunResult | RunResultStreaming) -> Park:
        entry = parked_entry(turn, result, self._began())
        if self.resumed_events is not None:
            entry = msgspec.structs.replace(entry, event=self.resumed_events.next_event())
        return Park(entry)

    def _began(self) -> tuple[str, str]:
        if self.resumed is not None:
            return self.resumed.parked.entry.began
        return began_with(self.agent, self.input)

    @asynccontextmanager
    async def ending(self, error: BaseException | None = None) -> AsyncIterator[None]:
        """The block in which the turn ends, after this error if there was one."""
        async with (
            nullcontext() if self.resumed_events is None else self.resumed_events.ending(error)
        ):
            yield

    def overhear(self, result: RunResultStreaming) -> None:
        """Tell what a run that goes on streams, if its turn is one that tells."""
        if self.resumed_events is not None or isinstance(self.input, RunState):
            tap_events(result, self._tell)

    def _tell(self, event: StreamEvent) -> None:
        if self.resumed_events is not None:
            self.resumed_events.put_nowait(event)

    @property
    def _limit(self) -> int | None:
        """How much of the history the run is given: as the SDK has it, the run config says last."""
        config = self.run_config or {}
        given = config if isinstance(config, Mapping) else vars(config)
        known = self.session.session_settings or SessionSettings()
        return effective_limit(None, known.resolve(given.get("session_settings")))
