"""The ladder of endings: what becomes of a turn, by the outcome that its code hands over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from tests.integration.fault_lab import HookRecorder
from tests.integration.stores import Sessions, new_sessions_of
from turnwise.errors import LeaseLost, ReplayMismatch, TurnCancelled
from turnwise.hooks import TurnParkedEvent
from turnwise.journal_entries import AttemptFailedEntry, ParkedEntry
from turnwise.session import Session
from turnwise.turns import (
    Commit,
    DeadLetter,
    Outcome,
    Park,
    Release,
    RollBack,
    StayParked,
    Turn,
    begin_turn,
    end,
    next_turn,
)
from turnwise.types import Parked, PendingApproval, Queued, Running

sessions = new_sessions_of(["memory", "sqlite", "valkey"])

ASKED = PendingApproval("1", "pay", "", "a", "c", "t")
PARK = Park(ParkedEntry(approvals=[ASKED], kept=0, items=[], began=("a", ""), state={}))
ITEM = {"role": "user", "content": "hi"}
MISMATCH = ReplayMismatch("it goes another way", session_id="s", tools=[])

Make = Callable[[Session], Awaitable[Turn]]


async def direct(session: Session) -> Turn:
    turn = await begin_turn(session.runtime, "s", "t")
    await turn.add([ITEM])
    return turn


async def journaled(session: Session) -> Turn:
    turn = await direct(session)
    await turn.journal.write(AttemptFailedEntry())
    return turn


async def resumed(session: Session) -> Turn:
    await end(await direct(session), PARK)
    return await begin_turn(session.runtime, "s", "t", resume=True)


async def message(session: Session) -> Turn:
    await session.submit("s", "hi", agent="a", turn_id="t")
    turn = await next_turn(session.runtime, "s")
    assert isinstance(turn, Turn)
    return turn


async def mismatched(turn: Turn) -> None:
    turn.fail(MISMATCH)


async def cancelled(turn: Turn) -> None:
    await turn.runtime.store.cancel("s", "t")
    await turn.lease.renew()


async def lost(turn: Turn) -> None:
    """Another worker has taken it over."""
    await turn.runtime.store.release("s", "t", turn.token)
    await turn.lease.renew()


async def held(turn: Turn) -> None:
    """Nothing happens to it."""


LADDER: list[tuple[Make, Callable[[Turn], Awaitable[None]], Outcome, str]] = [
    (direct, held, Commit(), "TurnCommittedEvent"),
    (direct, held, RollBack(), "TurnRolledBackEvent"),
    (direct, held, PARK, "TurnParkedEvent"),
    (journaled, held, Release(), "TurnRolledBackEvent"),
    (resumed, held, Commit(), "TurnCommittedEvent"),
    (resumed, held, PARK, "TurnParkedEvent"),
    (resumed, held, StayParked(1), "TurnParkedEvent"),
    (resumed, held, RollBack(), "TurnParkedEvent"),
    (resumed, held, Release(), "TurnParkedEvent"),
    (message, held, Commit(), "TurnCommittedEvent"),
    (message, held, Release(), "TurnRolledBackEvent"),
    (message, held, DeadLetter(b"{}", 1, "why"), "TurnDeadLetteredEvent"),
    (direct, mismatched, RollBack(), "TurnLostEvent"),
    (direct, mismatched, Commit(), "TurnLostEvent"),
    (resumed, mismatched, Commit(), "TurnLostEvent"),
    (resumed, mismatched, StayParked(1), "TurnLostEvent"),
    (message, mismatched, DeadLetter(b"{}", 1, "why"), "TurnDeadLetteredEvent"),
    (direct, cancelled, Commit(), "TurnCancelledEvent"),
    (direct, cancelled, RollBack(), "TurnCancelledEvent"),
    (direct, cancelled, PARK, "TurnCancelledEvent"),
    (resumed, cancelled, StayParked(1), "TurnCancelledEvent"),
    (message, cancelled, Release(), "TurnCancelledEvent"),
    (message, cancelled, DeadLetter(b"{}", 1, "why"), "TurnCancelledEvent"),
    (journaled, lost, Commit(), "TurnLostEvent"),
    (journaled, lost, Release(), "TurnLostEvent"),
    (message, lost, Release(), "TurnLostEvent"),
    (message, lost, DeadLetter(b"{}", 1, "why"), "TurnLostEvent"),
]
AFTERWARDS = {
    "TurnCommittedEvent": "turn",
    "TurnCancelledEvent": "cancelled",
    "TurnDeadLetteredEvent": "dead",
}


@pytest.mark.parametrize(
    ("make", "happens", "outcome", "event"),
    LADDER,
    ids=lambda value: getattr(value, "__name__", None) or type(value).__name__,
)
async def test_a_turn_ends_as_the_ladder_says_with_one_event(
    sessions: Sessions,
    make: Make,
    happens: Callable[[Turn], Awaitable[None]],
    outcome: Outcome,
    event: str,
) -> None:
    recorder = HookRecorder()
    session = sessions.worker(hooks=(recorder,), lease=30.0)
    turn = await make(session)
    await happens(turn)
    recorder.events = [one for one in recorder.events if type(one).__name__ == "TurnLostEvent"]
    must_succeed = isinstance(outcome, Commit | Park | DeadLetter)
    if must_succeed and event in ("TurnLostEvent", "TurnCancelledEvent"):
        with pytest.raises((LeaseLost, TurnCancelled, ReplayMismatch)):
            await end(turn, outcome)
    else:
        await end(turn, outcome)
    assert recorder.names == [event]
    status = await session.runtime.store.status("s", "t")
    assert getattr(getattr(status, "record", None), "kind", None) == AFTERWARDS.get(event)
    if make is resumed and event not in AFTERWARDS:
        assert isinstance(status, Parked)
    if make is message and event == "TurnRolledBackEvent":
        assert isinstance(status, Running | Queued)
    await end(turn, RollBack())  # a second end does nothing
    assert recorder.names == [event]


async def test_a_one_shot_turn_that_changed_nothing_leaves_no_trace(sessions: Sessions) -> None:
    recorder = HookRecorder()
    session = sessions.worker(hooks=(recorder,))
    turn = await begin_turn(session.runtime, "s")
    await end(turn, Commit())
    assert recorder.names == ["TurnBegunEvent", "TurnRolledBackEvent"]
    assert await session.info("s") is None


async def test_a_turn_that_stays_parked_counts_what_is_pending(sessions: Sessions) -> None:
    recorder = HookRecorder()
    session = sessions.worker(hooks=(recorder,))
    await end(await resumed(session), StayParked(1))
    parked = [one for one in recorder.events if isinstance(one, TurnParkedEvent)]
    assert [one.pending for one in parked] == [1, 1]
    assert [one.bytes > 0 for one in parked] == [True, False]
