"""A run that a busy session's queue takes: left there as a message, answered by a worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from agents import RunState
from agents.run import DEFAULT_MAX_TURNS

from turnwise import background
from turnwise.background import Message
from turnwise.errors import TurnIdReused, UsageError
from turnwise.runner.attempt import RunAttempt
from turnwise.turns import (
    Turn,
    approval_pending,
    begin_turn,
    begin_turn_if_free,
    check_turn_id,
    mint,
)
from turnwise.types import Parked, Running


def check_can_be_left(run_attempt: RunAttempt, on_error: str, options: Mapping[str, Any]) -> None:
    """Raise UsageError for what cannot travel, whether or not the session is busy now.

    The worker that answers has agents of its own, and runs them with the options that it was told.
    """
    said = [f"{name}=" for name, value in options.items() if _means_something(name, value)]
    if on_error != "rollback":
        said.append(f"on_error={on_error!r}")
    if isinstance(run_attempt.input, RunState):
        said.append("a RunState")
    elif not isinstance(run_attempt.input, str | list):
        said.append(f"an input of type {type(run_attempt.input).__name__}")
    if said:
        raise UsageError(
            f"busy='enqueue' may leave the run with another process, which cannot be given "
            f"{', '.join(said)}. Leave that out, or wait in line with busy='wait'",
            session_id=run_attempt.session_id,
        )
    if run_attempt.turn_id is not None:
        check_turn_id(run_attempt.session_id, run_attempt.turn_id)
    background.checked(run_attempt.session.runtime, run_attempt.session_id, _message(run_attempt))


def _means_something(name: str, value: object) -> bool:
    """Whether an option says more than leaving it out."""
    if name == "max_turns":
        return value != DEFAULT_MAX_TURNS
    return value is not None and value is not False


def _message(run_attempt: RunAttempt) -> Message:
    return Message(run_attempt.agent.name, cast("Any", run_attempt.input))


async def begin_or_leave(run_attempt: RunAttempt) -> Turn:
    """A turn of this process where the session is free; else leave the run with its queue.

    Once a worker has answered it this raises what sending a committed turn again does:
    AlreadyCommitted. Raises TurnCancelled, DeadLettered, ApprovalPending if it asks for an
    approval. Cancelled, it leaves the message where it is.
    """
    runtime, session_id = run_attempt.session.runtime, run_attempt.session_id
    turn = await begin_turn_if_free(runtime, session_id, run_attempt.turn_id)
    if turn is not None:
        return turn
    turn_id = run_attempt.turn_id = run_attempt.turn_id or mint()
    while not await _runs_directly(run_attempt, turn_id):
        message = _message(run_attempt)
        try:
            receipt = await background.submit(
                runtime, session_id, message.input, message.agent, turn_id
            )
        except TurnIdReused:  # also of a direct turn that has begun since we looked
            if await _runs_directly(run_attempt, turn_id):
                break
            raise
        raise await receipt.ending()
    return await begin_turn(runtime, session_id, turn_id, busy="enqueue")


async def _runs_directly(run_attempt: RunAttempt, turn_id: str) -> bool:
    """Whether this very turn, sent before, runs as a direct one: its end is waited for in line."""
    session_id = run_attempt.session_id
    status = await run_attempt.session.runtime.store.status(session_id, turn_id)
    if isinstance(status, Parked):
        raise approval_pending(session_id, status)
    return isinstance(status, Running) and not status.background
