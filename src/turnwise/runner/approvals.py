"""Runs that wait for approvals: taken up by any process, with what was decided about them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import agents
from agents import Agent, RunResult, RunResultStreaming, RunState

from turnwise.background import ResumedEvents
from turnwise.call_pairs import output_of
from turnwise.durable import install
from turnwise.durable.parked import Decisions, ParkedTurn, calls_that_wait, parked_in, parked_now
from turnwise.durable.states import items_of
from turnwise.errors import (
    AlreadyCommitted,
    NoPendingApproval,
    TurnAbandoned,
    TurnCancelled,
)
from turnwise.runner.attempt import RunAttempt
from turnwise.runner.streaming import streamed
from turnwise.session import Session, TurnSession
from turnwise.turns import (
    NOT_APPROVED,
    BusyPolicy,
    Savepoint,
    StayParked,
    Turn,
    begin_turn,
    block,
    end,
    is_expired,
)
from turnwise.types import Info

GetState = Callable[[Turn, ParkedTurn], Awaitable[RunState[Any, Any]]]


@dataclass
class Resumption:
    """One sending of decisions, to the session of this id."""

    session: Session
    session_id: str
    agent: Agent[Any]
    busy: BusyPolicy
    timeout: float | None
    options: Mapping[str, Any]
    parked: ParkedTurn | None = None

    async def run(self, state_of: GetState) -> RunResult:
        """Go on to the end, or to the next approval."""
        turn = await self.begin()
        resumed_events = ResumedEvents(self.session.runtime, turn)
        async with resumed_events.ending(), block(turn, lambda *_: self.failure()):
            parked, state = await self.restored(turn, state_of)
            await resumed_events.begin(parked.entry)
            before = items_of(state)
            held = TurnSession(turn, self.session.session_settings, shared=False)
            result = await agents.Runner.run(self.agent, state, session=held, **self.options)
            resumed_events.tell_items(result.new_items, before)
            await end(turn, self.run_attempt(turn, parked, resumed_events).outcome(turn, result))
        return result

    async def stream(self, state_of: GetState, idle_timeout: float | None) -> RunResultStreaming:
        """The same, streamed: returns once the turn is taken up."""
        turn = await self.begin()
        try:
            parked, state = await self.restored(turn, state_of)
            resumed_events = ResumedEvents(self.session.runtime, turn)
            await resumed_events.begin(parked.entry)
            return streamed(
                lambda held: agents.Runner.run_streamed(
                    self.agent, state, session=held, **self.options
                ),
                self.session,
                self.begin,
                session_id=self.session_id,
                on_error="rollback",
                idle_timeout=idle_timeout,
                run_attempt=self.run_attempt(turn, parked, resumed_events),
                turn=turn,
            )
        except BaseException:
            await end(turn, self.failure())
            raise

    def failure(self) -> StayParked:
        """How the turn ends if the resumed run fails."""
        return StayParked(0 if self.parked is None else len(self.parked.pending))

    async def begin(self) -> Turn:
        """Take the lease of the turn that waits. Raises NoPendingApproval, SessionBusy."""
        install()
        turn_id = await self._open_turn()
        try:
            turn = await begin_turn(
                self.session.runtime,
                self.session_id,
                turn_id,
                busy=self.busy,
                timeout=self.timeout,
                resume=True,
            )
        except (AlreadyCommitted, TurnCancelled, TurnAbandoned) as error:
            raise NoPendingApproval(
                f"turn {turn_id!r} waits for no approval any more, it has ended",
                session_id=self.session_id,
            ) from error
        return turn

    async def restored(
        self, turn: Turn, state_of: GetState
    ) -> tuple[ParkedTurn, RunState[Any, Any]]:
        """The turn as it was when it was parked, and its run."""
        parked = self.parked = parked_in(turn.session_id, turn.turn_id, turn.journal.entries)
        if is_expired(parked.entry) and not parked.decided.ids:
            raise NoPendingApproval(
                "it was not approved in time: whoever begins a turn next ends it as that",
                session_id=self.session_id,
            )
        if is_expired(parked.entry) and (late := parked.refuse_rest(NOT_APPROVED)) is not None:
            await turn.journal.write(late.entry())
        state = await state_of(turn, parked)
        turn.restore(Savepoint(parked.entry.kept))
        await turn.add(parked.entry.items)
        return parked, state

    async def is_of(self, state: RunState[Any, Any], turn_id: str | None) -> bool:
        """Whether a state of the application's own is of the run that waits, in this turn."""
        worker = self.session.runtime
        parked = await parked_now(worker.store, worker.codec, self.session_id)
        return parked is not None and turn_id in (None, parked.turn_id) and parked.fits(state)

    async def opened(self, state: RunState[Any, Any], run_attempt: RunAttempt) -> Turn:
        """The turn that waits for this state's approvals, taken up."""
        turn = await self.begin()
        try:
            parked, _ = await self.restored(turn, self.own(state))
            run_attempt.resumed_events = ResumedEvents(self.session.runtime, turn)
            await run_attempt.resumed_events.begin(parked.entry)
        except BaseException:
            await end(turn, self.failure())
            raise
        run_attempt.began, run_attempt.parked = parked.began, parked
        return turn

    async def _open_turn(self) -> str:
        """The turn that waits, or that another process has taken up, if one is open."""
        found = await self.session.runtime.store.info(self.session_id)
        if not isinstance(found, Info) or found.open_turn is None:
            raise NoPendingApproval("nothing waits for an approval", session_id=self.session_id)
        return found.open_turn.turn_id

    def run_attempt(
        self, turn: Turn, parked: ParkedTurn, resumed_events: ResumedEvents
    ) -> RunAttempt:
        return RunAttempt(
            self.session,
            self.session_id,
            turn.turn_id,
            self.agent,
            "",
            self.options.get("run_config"),
            began=parked.began,
            resumed_events=resumed_events,
            parked=parked,
        )

    def decided(self, new: Decisions) -> GetState:
        """The run's state restored from the store, with these decisions, which are kept first."""

        async def state_of(turn: Turn, parked: ParkedTurn) -> RunState[Any, Any]:
            fresh = parked.add(new)
            state = await parked.rebuilt(self.agent, self.options.get("context"))
            if fresh is not None:
                await turn.journal.write(fresh.entry())
            return state

        return state_of

    def own(self, state: RunState[Any, Any]) -> GetState:
        """The run's state as the application restored and decided it itself."""

        async def state_of(turn: Turn, parked: ParkedTurn) -> RunState[Any, Any]:
            if not parked.fits(state):
                raise NoPendingApproval(
                    "this state is not of the run that waits now; session.pending_approvals() "
                    "tells what "
                    "waits",
                    session_id=self.session_id,
                )
            if (fresh := parked.adopt(state)) is not None:
                await turn.journal.write(fresh.entry())
            return state

        return state_of


async def check_not_decided(turn: Turn, input: object) -> None:
    """Raise NoPendingApproval if the input is a state whose calls have their outputs already.

    Somebody else was quicker to go on with the same run, which is part of the history by now.
    """
    if not isinstance(input, RunState):
        return
    calls = calls_that_wait(input)
    outputs = {output_of(item) for item in await turn.items()} if calls else set()
    if done := calls & outputs:
        raise NoPendingApproval(
            f"the calls that this state waits for have their outputs already: "
            f"{', '.join(map(repr, sorted(done)))}. Nothing was run",
            session_id=turn.session_id,
        )
