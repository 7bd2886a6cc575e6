"""A turn that waits for an approval: kept open without a lease, and taken up again."""

from __future__ import annotations

import logging
from functools import partial

from turnwise.codec import EncodedTooLarge, EncodeError
from turnwise.errors import (
    InvalidItem,
    ReplayMismatch,
    StoreError,
    StoreUnavailable,
    TurnTooLarge,
    TurnwiseError,
)
from turnwise.hooks import TurnLostEvent, TurnParkedEvent
from turnwise.journal_entries import encode_entry
from turnwise.turns import errors
from turnwise.turns.parking import Parking
from turnwise.turns.shielding import resend_if_cancelled, shielded
from turnwise.turns.turn import Turn
from turnwise.types import Done

_log = logging.getLogger("turnwise")


async def park(turn: Turn, parking: Parking) -> None:
    """Give the session's lease back with the turn still open, also if the caller is cancelled.

    Raises LeaseLost, SessionGone, OutcomeUnknown, StoreRefused, TurnCancelled, TurnTooLarge; the
    turn has ended then too.
    """
    if turn.lost is not None:
        await turn.roll_back(turn.lost)
        raise turn.lost
    try:
        state = _state(turn, parking)
    except Exception as error:
        await turn.roll_back(error)
        raise
    turn.end_here()
    await resend_if_cancelled(partial(_park, turn, state, parking.pending))


def _state(turn: Turn, parking: Parking) -> bytes:
    """The last entry of its journal. Raises TurnTooLarge, also for what nobody could read again."""
    most = turn.runtime.settings.max_turn_bytes
    try:
        state = encode_entry(turn.runtime.codec, parking.entry)
    except EncodedTooLarge as error:
        raise _too_large(
            turn, f"{error.size} bytes, over {error.most}, the most that can be read"
        ) from None
    except EncodeError as error:
        raise InvalidItem(
            f"the state with which turn {turn.turn_id!r} is to wait for approvals is not JSON "
            f"({error}); it was rolled back",
            session_id=turn.session_id,
        ) from None
    if len(state) > most:
        raise _too_large(turn, f"{len(state)} bytes, over max_turn_bytes={most}")
    return state


def can_park(turn: Turn, parking: Parking) -> bool:
    """Whether what it is to wait by is small enough."""
    try:
        _state(turn, parking)
    except TurnTooLarge as error:
        _log.warning("%s", error)
        return False
    return True


def _too_large(turn: Turn, what: str) -> TurnTooLarge:
    return TurnTooLarge(
        f"the state with which turn {turn.turn_id!r} is to wait for approvals takes {what}; it was "
        "rolled back",
        session_id=turn.session_id,
    )


async def _park(turn: Turn, state: bytes, pending: int) -> None:
    await turn.quiet()
    store, error = turn.runtime.store, None
    try:
        answer = await store.park(turn.session_id, turn.turn_id, turn.token, state)
    except StoreUnavailable as unavailable:
        error = errors.unknown_outcome(turn.session_id, turn.turn_id)
        error.__cause__ = unavailable
    except StoreError as refused:
        raise await _undone(turn, refused) from None
    except Exception as unforeseen:
        await turn.gone_wrong(unforeseen)
        raise
    else:
        if isinstance(answer, Done):
            turn.runtime.emit(
                TurnParkedEvent(turn.session_id, turn.turn_id, pending, len(state), turn.seconds)
            )
            return
        raise _lost(turn, await turn.why_lost(answer))
    raise _lost(turn, error)


def _lost(turn: Turn, error: TurnwiseError) -> TurnwiseError:
    name = type(error).__name__
    turn.runtime.emit(TurnLostEvent(turn.session_id, turn.turn_id, name, turn.seconds))
    return error


async def _undone(turn: Turn, error: StoreError) -> StoreError:
    """The store refused it: the session is given free, with its history as it was."""
    await turn.runtime.abort(turn.session_id, turn.turn_id, turn.token)
    _lost(turn, error)
    return error


async def hand_back(turn: Turn, pending: int) -> None:
    """A turn that was taken up waits again, with all that its journal holds. Never raises.

    `pending` approvals are still to be given. So does one that does not fit its journal: the code
    that it was taken up with before may yet come back.
    """
    if turn.ended:
        return
    if turn.lost is not None and not isinstance(turn.lost, ReplayMismatch):
        await turn.roll_back(turn.lost)
        return
    turn.end_here()
    await shielded(_hand_back(turn, pending))


async def _hand_back(turn: Turn, pending: int) -> None:
    await turn.quiet()
    try:
        await turn.runtime.store.release(turn.session_id, turn.turn_id, turn.token)
    except Exception as error:
        name, why = turn.turn_id, errors.shown(error)
        _log.warning("turn %r waits again when its lease runs out: %s", name, why)
    if turn.lost is None:
        turn.runtime.emit(TurnParkedEvent(turn.session_id, turn.turn_id, pending, 0, turn.seconds))
