"""Resuming parked turns: `Runner.resume`, and `Runner.run` with the state of a parked run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import agents
from agents import Agent, RunResult, RunResultStreaming, RunState

from turnwise.approvals import (
    DecidedState,
    Decisions,
    ParkedTurn,
    ResumedTurn,
    begin_parked,
    find_parked,
)
from turnwise.background import ResumedEvents
from turnwise.durable import install
from turnwise.durable.sdk_states import items_of
from turnwise.runner.attempt import RunAttempt
from turnwise.runner.streaming import Reading, stream_turn
from turnwise.session import Session
from turnwise.turn_session import TurnSession
from turnwise.turns import BusyPolicy, Turn, block, end

Given = Decisions | DecidedState


@dataclass
class Resumption:
    """One call that resumes a parked turn."""

    session: Session
    session_id: str
    agent: Agent[Any]
    busy: BusyPolicy
    timeout: float | None
    options: Mapping[str, Any]

    async def run(self, given: Given) -> RunResult:
        """Run to the end, or until the turn is parked again."""
        resumed = await self._begin()
        events = ResumedEvents(resumed.turn)
        held_by = block(resumed.turn, lambda _, error: resumed.failure(error))
        async with events.ending(), held_by as turn:
            state = await self._restored(resumed, given)
            await events.begin(resumed.parked.entry)
            before = items_of(state)
            held = TurnSession(turn, self.session.session_settings)
            result = await agents.Runner.run(self.agent, state, session=held, **self.options)
            events.publish_items(result.new_items, before)
            await end(turn, self._attempt(resumed, events).outcome(turn, result))
        return result

    async def stream(self, given: Given, reading: Reading) -> RunResultStreaming:
        """The same, streamed: returns when the turn has begun."""
        resumed = await self._begin()

        async def begun() -> Turn:
            return resumed.turn

        try:
            state = await self._restored(resumed, given)
            events = ResumedEvents(resumed.turn)
            await events.begin(resumed.parked.entry)
            return stream_turn(
                lambda held: agents.Runner.run_streamed(
                    self.agent, state, session=held, **self.options
                ),
                begun,
                self._attempt(resumed, events),
                on_error="rollback",
                reading=reading,
                turn=resumed.turn,
            )
        except BaseException:
            await end(resumed.turn, resumed.failure())
            raise

    async def is_of(self, state: DecidedState, turn_id: str | None) -> bool:
        """Whether a state that the application restored is of the run that is parked here."""
        parked = await self._parked(turn_id)
        return parked is not None and parked.matches(state)

    async def given_by(self, state: DecidedState, turn_id: str | None) -> Given | None:
        """What a state says of the run that is parked here; None if it is of another run.

        Sent again after it failed here, it says nothing new: the turn goes on where it was.
        """
        parked = await self._parked(turn_id)
        if parked is None:
            return None
        if parked.matches(state):
            return state
        if not parked.was_resumed_with(state):
            return None
        if self.options.get("context") is None:
            self.options = {**self.options, "context": state.context}
        return Decisions()

    async def _parked(self, turn_id: str | None) -> ParkedTurn | None:
        parked = await find_parked(self.session.runtime, self.session_id)
        return parked if parked is not None and turn_id in (None, parked.turn_id) else None

    async def opened(self, state: DecidedState, attempt: RunAttempt) -> Turn:
        """Begin the parked turn that this state is of."""
        resumed = await self._begin()
        try:
            await self._restored(resumed, state)
            attempt.resumed_events = ResumedEvents(resumed.turn)
            await attempt.resumed_events.begin(resumed.parked.entry)
        except BaseException:
            await end(resumed.turn, resumed.failure())
            raise
        attempt.resumed = resumed
        return resumed.turn

    async def _begin(self) -> ResumedTurn:
        install()
        return await begin_parked(
            self.session.runtime, self.session_id, busy=self.busy, timeout=self.timeout
        )

    async def _restored(self, resumed: ResumedTurn, given: Given) -> RunState[Any, Any]:
        return await resumed.restore(given, self.agent, self.options.get("context"))

    def _attempt(self, resumed: ResumedTurn, events: ResumedEvents) -> RunAttempt:
        return RunAttempt(
            self.session,
            self.session_id,
            resumed.turn.turn_id,
            self.agent,
            "",
            self.options,
            resumed=resumed,
            resumed_events=events,
        )
