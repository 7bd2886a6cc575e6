"""One call of `Runner.run` or `run_streamed`: what its turn begins with, and how it is recorded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
from agents import Agent, RunResult, RunResultStreaming, SessionSettings, StreamEvent

from turnwise.approvals import DecidedState, ResumedTurn, parked_entry, times_parked
from turnwise.background import ResumedEvents
from turnwise.durable.digests import began_with
from turnwise.durable.sdk import tap_events
from turnwise.errors import AlreadyCommitted
from turnwise.results import RebuiltRun, pack_record
from turnwise.session import Session
from turnwise.turn_session import effective_limit
from turnwise.turns import Commit, OnError, Outcome, Park, RollBack, Turn, failure


@dataclass
class RunAttempt:
    """One call that runs a turn.

    Attributes:
        session: The session object of the call.
        session_id: The session.
        turn_id: The caller's turn_id; None if the turn is one-shot.
        agent: The starting agent.
        input: The run's input.
        options: The SDK's options of the run.
        state: The input, if it is the state of an interrupted run, as the caller hands it over.
        resumed: The parked turn that the run resumes; None if it begins a turn.
        resumed_events: Publishes the events of a turn that resumes.
    """

    session: Session
    session_id: str
    turn_id: str | None
    agent: Agent[Any]
    input: object
    options: Mapping[str, Any]
    state: DecidedState | None = None
    resumed: ResumedTurn | None = None
    resumed_events: ResumedEvents | None = None

    def outcome(self, turn: Turn, result: RunResult | RunResultStreaming) -> Outcome:
        """How the turn of this run ends: committed with its result, or parked.

        Nobody can send a one-shot turn again, so its result is not recorded.
        """
        if result.interruptions:
            return self._park(turn, result)
        if self.resumed is not None or self.turn_id is not None:
            given = partial(turn.loaded, self._limit)
            record = pack_record(
                *(result, self.agent, self._began(), turn.added(), given), parked=times_parked(turn)
            )
            return Commit(record)
        return Commit()

    def failure(
        self, turn: Turn, error: BaseException, on_error: OnError, *, given_up: bool
    ) -> Outcome:
        """How the turn ends if its run failed; `given_up`: by the caller's own `cancel()`."""
        if self.resumed is not None:
            return self.resumed.failure(error)
        return RollBack(error) if given_up else failure(turn, error, on_error)

    async def rebuilt(self, error: AlreadyCommitted) -> RebuiltRun:
        """The run of the committed turn, built again from its record.

        Raises TurnIdReused, or `error` if the record holds no result.
        """
        ours = self.session_id, self.turn_id
        if (error.session_id, error.turn_id) != ours or not error.payload:
            raise error
        first = error.end - len(error.items)
        before = await self.session.runtime.reader.before(
            self.session_id, first, self._limit, error.items
        )
        return RebuiltRun(error, self.agent, self.input, before)

    def _began(self) -> tuple[str, str]:
        """The agent and the input's digest that the turn began with."""
        if self.resumed is not None:
            return self.resumed.parked.entry.began
        return began_with(self.agent, self.input)

    def _park(self, turn: Turn, result: RunResult | RunResultStreaming) -> Park:
        entry = parked_entry(turn, result, self._began())
        if self.resumed_events is not None:
            entry = msgspec.structs.replace(entry, event=self.resumed_events.cursor())
        return Park(entry)

    @asynccontextmanager
    async def ending(self, error: BaseException | None = None) -> AsyncIterator[None]:
        """The block that ends the turn, after `error` if there was one."""
        events = self.resumed_events
        async with nullcontext() if events is None else events.ending(error):
            yield

    def publish_stream(self, result: RunResultStreaming) -> None:
        """Publish the run's stream as the run makes it, if its turn resumes a background turn."""
        if self.resumed_events is not None or self.state is not None:
            tap_events(result, self._publish)

    def _publish(self, event: StreamEvent) -> None:
        if self.resumed_events is not None:
            self.resumed_events.publish(event)

    @property
    def _limit(self) -> int | None:
        """How much of the history the run sees; as in the SDK, the run config has the last word."""
        config = self.options.get("run_config") or {}
        given = config if isinstance(config, Mapping) else vars(config)
        known = self.session.session_settings or SessionSettings()
        return effective_limit(None, known.resolve(given.get("session_settings")))
