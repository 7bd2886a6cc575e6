"""`busy="enqueue"`: a run that finds its session busy becomes a queued message."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, cast

from agents import RunState
from agents.run import DEFAULT_MAX_TURNS

from turnwise import background
from turnwise.background import Message, Receipt
from turnwise.errors import (
    ApprovalPending,
    SessionBusy,
    SessionStopped,
    TurnIdReused,
    UsageError,
)
from turnwise.runner.attempt import RunAttempt
from turnwise.turns import (
    Turn,
    begin_turn,
    check_turn_id,
    mint,
    refuse_to_wait_for_own_turn,
    session_suspended,
)
from turnwise.types import Parked, Running, Stopped


def check_can_be_queued(attempt: RunAttempt, on_error: str) -> None:
    """Raise UsageError for what a message cannot carry, whether or not the session is busy now.

    The worker that answers has agents of its own, and runs them with its policy's options.
    """
    refused = [f"{name}=" for name, value in attempt.options.items() if _is_set(name, value)]
    if on_error != "rollback":
        refused.append(f"on_error={on_error!r}")
    if isinstance(attempt.input, RunState):
        refused.append("a RunState")
    if refused:
        raise UsageError(
            "with busy='enqueue' a worker may answer, and a message cannot carry "
            f"{', '.join(refused)}. Leave that out, or use busy='wait'",
            session_id=attempt.session_id,
        )
    if attempt.turn_id is not None:
        check_turn_id(attempt.session_id, attempt.turn_id)
    background.encoded_message(attempt.session.runtime, attempt.session_id, _message(attempt))


def _is_set(name: str, value: object) -> bool:
    """Whether an option differs from its default."""
    if name == "max_turns":
        return value != DEFAULT_MAX_TURNS
    return value is not None and value is not False


def _message(attempt: RunAttempt) -> Message:
    return Message(attempt.agent.name, cast("Any", attempt.input))


async def begin_or_enqueue(attempt: RunAttempt) -> Turn:
    """Begin the turn here if the session is free; else queue it and wait for a worker's answer.

    That answer is raised, as if the committed turn had been sent again: AlreadyCommitted. Raises
    TurnCancelled, DeadLettered, ApprovalPending if the turn is parked, or SessionStopped if the
    session is stopped at it. If it is cancelled, the message stays in the queue.
    """
    runtime, session_id = attempt.session.runtime, attempt.session_id
    with suppress(SessionBusy, ApprovalPending, SessionStopped):
        return await begin_turn(
            runtime, session_id, attempt.turn_id, busy="reject", emit_busy=False
        )
    await refuse_to_wait_for_own_turn(runtime, session_id)
    turn_id = attempt.turn_id = attempt.turn_id or mint()
    while not await _is_direct_turn(attempt, turn_id):
        message = _message(attempt)
        try:
            await background.submit(runtime, session_id, message.input, message.agent, turn_id)
        except TurnIdReused:  # also raised for a direct turn that has begun since we looked
            if await _is_direct_turn(attempt, turn_id):
                break
            raise
        raise await Receipt(session_id, turn_id, runtime).ending()
    return await begin_turn(runtime, session_id, turn_id, busy="enqueue")


async def _is_direct_turn(attempt: RunAttempt, turn_id: str) -> bool:
    """Whether the turn, sent before, runs as a direct turn. Then its end is waited for."""
    session_id = attempt.session_id
    status = await attempt.session.runtime.store.status(session_id, turn_id)
    if isinstance(status, Parked | Stopped):
        raise session_suspended(session_id, status)
    return isinstance(status, Running) and not status.background
