"""A run that a busy session's queue takes: left there as a message, answered by a worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from agents import RunState
from agents.run import DEFAULT_MAX_TURNS

from turnwise import background
from turnwise.background import Message
from turnwise.errors import TurnIdReused, UsageError
from turnwise.runner.answered import Answering
from turnwise.turns import Turn, check_turn_id, mint, session_waiting
from turnwise.types import Running, Waiting


def check_can_be_left(answering: Answering, on_error: str, options: Mapping[str, Any]) -> None:
    """Raise UsageError for what cannot travel, whether or not the session is busy now.

    The worker that answers has agents of its own, and runs them with the options that it was told.
    """
    said = [f"{name}=" for name, value in options.items() if _means_something(name, value)]
    if on_error != "rollback":
        said.append(f"on_error={on_error!r}")
    if isinstance(answering.input, RunState):
        said.append("a RunState")
    elif not isinstance(answering.input, str | list):
        said.append(f"an input of type {type(answering.input).__name__}")
    if said:
        raise UsageError(
            f"busy='enqueue' may leave the run with another process, which cannot be given "
            f"{', '.join(said)}. Leave that out, or wait in line with busy='wait'",
            session_id=answering.session_id,
        )
    if answering.turn_id is not None:
        check_turn_id(answering.session_id, answering.turn_id)
    background.checked(answering.session.worker, answering.session_id, _message(answering))


def _means_something(name: str, value: object) -> bool:
    """Whether an option says more than leaving it out."""
    if name == "max_turns":
        return value != DEFAULT_MAX_TURNS
    return value is not None and value is not False


def _message(answering: Answering) -> Message:
    return Message(answering.agent.name, cast("Any", answering.input))


async def begin_or_leave(answering: Answering) -> Turn:
    """A turn of this process where the session is free; else leave the run with its queue.

    Once a worker has answered it this raises what sending a committed turn again does:
    AlreadyCommitted. Raises TurnCancelled, DeadLettered, SessionWaiting if it asks for an approval.
    Cancelled, it leaves the message where it is.
    """
    worker, session_id = answering.session.worker, answering.session_id
    turn = await worker.begin_if_free(session_id, answering.turn_id)
    if turn is not None:
        return turn
    turn_id = answering.turn_id = answering.turn_id or mint()
    while not await _runs_directly(answering, turn_id):
        message = _message(answering)
        try:
            receipt = await background.submit(
                worker, session_id, message.input, message.agent, turn_id
            )
        except TurnIdReused:  # also of a direct turn that has begun since we looked
            if await _runs_directly(answering, turn_id):
                break
            raise
        raise await receipt.ending()
    return await worker.begin(session_id, turn_id, busy="enqueue")


async def _runs_directly(answering: Answering, turn_id: str) -> bool:
    """Whether this very turn, sent before, runs as a direct one: its end is waited for in line."""
    session_id = answering.session_id
    status = await answering.session.worker.store.status(session_id, turn_id)
    if isinstance(status, Waiting):
        raise session_waiting(session_id, status)
    return isinstance(status, Running) and not status.background
