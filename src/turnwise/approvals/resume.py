"""Resuming a parked turn, in any process."""

from __future__ import annotations

from typing import Any

from agents import Agent, RunState

from turnwise.approvals.decisions import Decisions
from turnwise.approvals.parked import DecidedState, ParkedTurn
from turnwise.call_pairs import output_of
from turnwise.errors import (
    AlreadyCommitted,
    DeadLettered,
    NoPendingApproval,
    TurnAbandoned,
    TurnCancelled,
)
from turnwise.turns import (
    NOT_APPROVED,
    BusyPolicy,
    Commit,
    Runtime,
    Savepoint,
    StayParked,
    Turn,
    begin_turn,
    end,
    is_expired,
    is_lasting,
)
from turnwise.types import Info


class ResumedTurn:
    """A parked turn that this worker holds again, until it ends or is parked again.

    Raises NoPendingApproval if the turn's journal does not park it.
    """

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self.parked = ParkedTurn.in_journal(*turn.names, turn.journal.entries)

    async def restore(
        self, given: Decisions | DecidedState, agent: Agent[Any], context: object
    ) -> RunState[Any, Any]:
        """Journal what is decided, and restore the turn and its run as they were parked.

        Args:
            given: decisions; or the run's state, restored and decided by the application.
            agent: the agent that the turn began with. Not used if a state is given.
            context: the run's context, if it was not stored. Not used if a state is given.

        Returns:
            The run's state, with all that is decided.

        Raises:
            NoPendingApproval: the approvals expired, or what is decided is not pending.
            NotResumable, UsageError: see `ParkedTurn.restored_state`.
            TurnError, StoreError: the decisions could not be journaled.
        """
        parked = self.parked
        expired = is_expired(parked.entry)
        if expired and not parked.decided.ids:
            raise NoPendingApproval(
                "it was not approved within approval_timeout; the next turn to begin ends it",
                session_id=self.turn.session_id,
            )
        if expired and (late := parked.reject_pending(NOT_APPROVED)) is not None:
            await self.turn.journal.write(late.entry())
        before = set(parked.decided.ids)
        if isinstance(given, DecidedState):
            state = given.state
            parked.decide_as_in(given)
        else:
            parked.decide(given)
            state = await parked.restored_state(agent, context)
        if (new := parked.decided.without(before)).ids:
            await self.turn.journal.write(new.entry())
        self.turn.restore(Savepoint(parked.entry.kept))
        await self.turn.add(parked.entry.items)
        return state

    def failure(self, error: BaseException | None = None) -> Commit | StayParked:
        """How the turn ends if it cannot be restored (without `error`), or if its run raised one.

        It is parked again, unless every resumption would end with the error.
        """
        has_run = self.turn.lost is None and self.turn.replay is not None
        if has_run and error is not None and is_lasting(self.turn, error):
            return Commit(error=error)
        return StayParked(len(self.parked.pending), error)


def resumed_turn(turn: Turn) -> ResumedTurn | None:
    """The turn of a message, if it was parked before this attempt; None if not."""
    try:
        return ResumedTurn(turn)
    except NoPendingApproval:
        return None


async def begin_parked(
    runtime: Runtime, session_id: str, *, busy: BusyPolicy, timeout: float | None
) -> ResumedTurn:
    """Begin the session's parked turn; if another process has resumed it, when that is over.

    Args:
        runtime: the process's store, codec, cache and settings.
        session_id: the session.
        busy: what to do while another process runs the turn.
        timeout: seconds to wait in the queue; None waits for ever.

    Raises:
        NoPendingApproval: no turn is parked, or not any more.
        SessionBusy, BusyTimeout: another process runs it.
        UndecodableJournal: another version parked it.
        StoreError: the store did not answer, or refused.
    """
    found = await runtime.store.info(session_id)
    if not isinstance(found, Info) or found.open_turn is None:
        raise NoPendingApproval("it has no parked turn", session_id=session_id)
    turn_id = found.open_turn.turn_id
    try:
        turn = await begin_turn(
            runtime, session_id, turn_id, busy=busy, timeout=timeout, resume=True
        )
    except (AlreadyCommitted, DeadLettered, TurnCancelled, TurnAbandoned) as error:
        raise NoPendingApproval(
            f"turn {turn_id!r} has no pending approvals any more: it has ended",
            session_id=session_id,
        ) from error
    try:
        return ResumedTurn(turn)
    except BaseException:
        await end(turn, StayParked(0))
        raise


async def check_not_decided(turn: Turn, state: DecidedState) -> None:
    """Raise NoPendingApproval if the calls of a state have their outputs already.

    Then somebody else resumed the same run, and it is part of the history by now.
    """
    calls = {(*call.path, call.item.call_id)[0] for call in state.calls}
    outputs = {output_of(item) for item in await turn.items()} if calls else set()
    if done := calls & outputs - {None}:
        raise NoPendingApproval(
            f"the calls that this state wants to be approved have their outputs already: "
            f"{', '.join(sorted(map(repr, done)))}. Nothing was run",
            session_id=turn.session_id,
        )
