"""A session, and one turn of it, as somebody sees it who changes nothing."""

from __future__ import annotations

from turnwise.limits import READ
from turnwise.stores.embedded.state import Turn
from turnwise.stores.embedded.verbs.lease import waits
from turnwise.stores.embedded.verbs.session import Session
from turnwise.types import Info, OpenTurn, Parked, Running


def info(s: Session, session_id: str) -> Info:
    header = s.header
    return Info(
        session_id=session_id,
        incarnation=header.incarnation,
        items=header.items,
        turns=header.commits,
        bytes=header.bytes,
        queued=len(s.state.queue),
        journal=len(s.state.journal()),
        created=header.created,
        updated=header.updated,
        ttl=None if header.expires is None else header.expires - s.now,
        open_turn=_open_turn(s, header.turn),
    )


def running(s: Session, turn: Turn) -> Running | Parked:
    """What the open turn is to whoever asks for it."""
    if waits(s, turn):
        return Parked(turn.id, s.state.journal()[turn.parked - 1 :][:READ])
    left = min(turn.deadline - s.now, turn.lease)
    return Running(turn.id, turn.worker, turn.attempt, left, turn.stop, turn.background)


def _open_turn(s: Session, turn: Turn | None) -> OpenTurn | None:
    if turn is None:
        return None
    return OpenTurn(
        turn_id=turn.id,
        attempt=turn.attempt,
        worker=turn.worker,
        state=turn.state,
        remaining=min(turn.deadline - s.now, turn.lease),
        cancelled=turn.stop,
        background=turn.background,
    )
