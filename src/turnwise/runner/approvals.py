"""Runs that wait for approvals: taken up by any process, with what was decided about them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import agents
from agents import Agent, RunResult, RunResultStreaming, RunState

from turnwise.background import GoingOn
from turnwise.durable import install
from turnwise.durable.parked import Decisions, Parked, calls_that_wait, parked_in, parked_now
from turnwise.durable.states import items_of
from turnwise.errors import (
    AlreadyCommitted,
    NothingPending,
    TurnCancelled,
    TurnDiscarded,
)
from turnwise.pairs import output_of
from turnwise.runner.answered import Answering
from turnwise.runner.streaming import streamed
from turnwise.session import Session, TurnSession
from turnwise.turns import NOT_APPROVED, Busyness, Turn, block, end, is_over
from turnwise.types import Info

GetState = Callable[[Turn, Parked], Awaitable[RunState[Any, Any]]]


@dataclass
class Resumption:
    """One sending of decisions, to the session of this id."""

    session: Session
    session_id: str
    agent: Agent[Any]
    busy: Busyness
    timeout: float | None
    options: Mapping[str, Any]

    async def run(self, state_of: GetState) -> RunResult:
        """Go on to the end, or to the next approval."""
        turn = await self.begin()
        going_on = GoingOn(self.session.worker, turn)
        async with going_on.ending(), block(turn, "rollback"):
            parked, state = await self.restored(turn, state_of)
            await going_on.begin(parked.entry)
            before = items_of(state)
            held = TurnSession(turn, self.session.session_settings, shared=False)
            result = await agents.Runner.run(self.agent, state, session=held, **self.options)
            going_on.tell_items(result.new_items, before)
            self.answering(turn, parked, going_on).keep(turn, result)
        return result

    async def stream(self, state_of: GetState, idle_timeout: float | None) -> RunResultStreaming:
        """The same, streamed: returns once the turn is taken up."""
        turn = await self.begin()
        try:
            parked, state = await self.restored(turn, state_of)
            going_on = GoingOn(self.session.worker, turn)
            await going_on.begin(parked.entry)
        except BaseException as error:
            await end(turn, error, "rollback")
            raise
        return streamed(
            lambda held: agents.Runner.run_streamed(
                self.agent, state, session=held, **self.options
            ),
            self.session,
            self.begin,
            session_id=self.session_id,
            on_error="rollback",
            idle_timeout=idle_timeout,
            answering=self.answering(turn, parked, going_on),
            turn=turn,
        )

    async def begin(self) -> Turn:
        """Take the lease of the turn that waits. Raises NothingPending, SessionBusy."""
        install()
        turn_id = await self._open_turn()
        try:
            turn = await self.session.worker.begin(
                self.session_id, turn_id, busy=self.busy, timeout=self.timeout, resume=True
            )
        except (AlreadyCommitted, TurnCancelled, TurnDiscarded) as error:
            raise NothingPending(
                f"turn {turn_id!r} waits for no approval any more, it has ended",
                session_id=self.session_id,
            ) from error
        turn.still_pending = 0
        return turn

    async def restored(self, turn: Turn, state_of: GetState) -> tuple[Parked, RunState[Any, Any]]:
        """The turn as it was when it was parked, and its run."""
        parked = parked_in(turn.session_id, turn.turn_id, turn.journal.entries)
        turn.still_pending = len(parked.pending)
        if is_over(parked.entry) and not parked.decided.ids:
            raise NothingPending(
                "it was not approved in time: whoever begins a turn next ends it as that",
                session_id=self.session_id,
            )
        if is_over(parked.entry) and (late := parked.refuse_rest(NOT_APPROVED)) is not None:
            await turn.journal.write(late.entry())
            turn.still_pending = 0
        state = await state_of(turn, parked)
        turn.still_pending = len(parked.pending)
        turn.rewind((parked.entry["kept"], [], 0))
        await turn.add(parked.entry["items"])
        return parked, state

    async def is_of(self, state: RunState[Any, Any], turn_id: str | None) -> bool:
        """Whether a state of the application's own is of the run that waits, in this turn."""
        worker = self.session.worker
        parked = await parked_now(worker.store, worker.codec, self.session_id)
        return parked is not None and turn_id in (None, parked.turn_id) and parked.fits(state)

    async def opened(self, state: RunState[Any, Any], answering: Answering) -> Turn:
        """The turn that waits for this state's approvals, taken up."""
        turn = await self.begin()
        try:
            parked, _ = await self.restored(turn, self.own(state))
            answering.going_on = GoingOn(self.session.worker, turn)
            await answering.going_on.begin(parked.entry)
        except BaseException as error:
            await end(turn, error, "rollback")
            raise
        answering.began = parked.began
        return turn

    async def _open_turn(self) -> str:
        """The turn that waits, or that another process has taken up, if one is open."""
        found = await self.session.worker.store.info(self.session_id)
        if not isinstance(found, Info) or found.open_turn is None:
            raise NothingPending("nothing waits for an approval", session_id=self.session_id)
        return found.open_turn.turn_id

    def answering(self, turn: Turn, parked: Parked, going_on: GoingOn) -> Answering:
        return Answering(
            self.session,
            self.session_id,
            turn.turn_id,
            self.agent,
            "",
            self.options.get("run_config"),
            began=parked.began,
            going_on=going_on,
        )

    def decided(self, new: Decisions) -> GetState:
        """The run's state restored from the store, with these decisions, which are kept first."""

        async def state_of(turn: Turn, parked: Parked) -> RunState[Any, Any]:
            fresh = parked.add(new)
            state = await parked.rebuilt(self.agent, self.options.get("context"))
            if fresh is not None:
                await turn.journal.write(fresh.entry())
            return state

        return state_of

    def own(self, state: RunState[Any, Any]) -> GetState:
        """The run's state as the application restored and decided it itself."""

        async def state_of(turn: Turn, parked: Parked) -> RunState[Any, Any]:
            if not parked.fits(state):
                raise NothingPending(
                    "this state is not of the run that waits now; session.pending() tells what "
                    "waits",
                    session_id=self.session_id,
                )
            if (fresh := parked.adopt(state)) is not None:
                await turn.journal.write(fresh.entry())
            return state

        return state_of


async def check_not_decided(turn: Turn, input: object) -> None:
    """Raise NothingPending if the input is a state whose calls have their outputs already.

    Somebody else was quicker to go on with the same run, which is part of the history by now.
    """
    if not isinstance(input, RunState):
        return
    calls = calls_that_wait(input)
    outputs = {output_of(item) for item in await turn.items()} if calls else set()
    if done := calls & outputs:
        raise NothingPending(
            f"the calls that this state waits for have their outputs already: "
            f"{', '.join(map(repr, sorted(done)))}. Nothing was run",
            session_id=turn.session_id,
        )
