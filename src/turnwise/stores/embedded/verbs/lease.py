"""The open turn: who holds it, and what it means for everybody else."""

from __future__ import annotations

from turnwise.limits import READ
from turnwise.stores.embedded.state import Header, Turn
from turnwise.stores.embedded.verbs.history import history, tip, valid, write
from turnwise.stores.embedded.verbs.queue import hand_over, queued, tell_senders, ticket_of
from turnwise.stores.embedded.verbs.session import Session
from turnwise.types import Base, Busy, Grant, Parked

TOKENS = 8


def finish(header: Header, token: str) -> None:
    if token not in header.finished:
        header.finished = [*header.finished, token][-TOKENS:]


def remaining(s: Session, turn: Turn) -> int:
    """What is left of the lease; a deadline further off than it is long: the clock was set."""
    turn.deadline = min(turn.deadline, s.now + turn.lease)
    return turn.deadline - s.now


def kept_for(s: Session, turn: Turn) -> int:
    """How long the queue's turn is not taken over: its lease, and the pause after a failure."""
    return remaining(s, turn) + turn.delay


def held(s: Session, turn_id: str, token: str) -> Turn | None:
    """The open turn if it runs, is this one and this token's."""
    turn = s.header.turn
    if turn is None or turn.state != "running" or (turn.id, turn.token) != (turn_id, token):
        return None
    return turn


def may_take_over(s: Session, turn: Turn, token: str, resume: bool) -> bool:
    """Whether a begin of the same turn_id goes on with this turn."""
    if turn.state == "waiting":
        return resume and turn.token != token  # with its own token, it comes late
    if turn.parked:
        return resume and waits(s, turn)
    return not turn.background and remaining(s, turn) <= 0


def waits(s: Session, turn: Turn) -> bool:
    """Whether it waits for an approval, or does so again: who took it up died."""
    return turn.state == "waiting" or (turn.parked > 0 and remaining(s, turn) <= 0)


def excuse(s: Session, turn: Turn) -> None:
    """The open turn's attempt ends in good order, and counts against no bound."""
    turn.released += 1
    recount(s, turn)


def recount(s: Session, turn: Turn) -> None:
    """The message of the open turn, if it has one, is told the turn's attempts."""
    if turn.background and (message := queued(s, turn.id)) is not None:
        message.attempts, message.released = turn.attempt, turn.released


def drop_turn(s: Session, turn: Turn) -> None:
    """Take the open turn away, and its journal with it."""
    s.state.trim_journal()
    finish(s.header, turn.token)
    s.header.turn = None


def leave(s: Session, turn_id: str, token: str) -> bool:
    """Take a ticket out of the queue."""
    place = ticket_of(s, turn_id, token)
    if place is None:
        return False
    was_head = s.state.queue[0] is place
    s.state.queue.remove(place)
    if was_head and s.header.turn is None:
        hand_over(s)
    return True


def blocked(s: Session) -> Busy | Parked | None:
    """What the open turn means for somebody else; None when nothing stands in the way any more.

    A turn that died with nothing done is forgotten, one with a journal is discarded after a grace
    of one lease, unless nobody can send it again; one from the queue is taken over from there only.
    """
    turn = s.header.turn
    if turn is None:
        return None
    if waits(s, turn):
        return Parked(turn.id)
    left = remaining(s, turn)
    if left > 0 or turn.background:
        return Busy(turn.worker, turn.id, max(0, kept_for(s, turn)))
    half_done = bool(s.state.journal())
    if half_done and not turn.one_shot and left + turn.lease > 0:
        return Busy(turn.worker, turn.id, left + turn.lease)
    drop_turn(s, turn)
    if half_done:
        tell_senders(s, turn.id)
        write(s, turn.id, s.mint, "abandoned")
        s.refresh_expiry()
    hand_over(s)
    return None


def open_turn(
    s: Session,
    turn_id: str,
    token: str,
    worker: str,
    lease: int,
    attempt: int = 1,
    *,
    background: bool = False,
    released: int = 0,
    one_shot: bool = False,
) -> None:
    """Give the session to a worker. A takeover is still asked to stop if the turn before was."""
    header, before = s.header, s.header.turn
    stop, parked, note = None, 0, ""
    if before is not None:
        finish(header, before.token)
        stop, parked, note = before.stop, before.parked, before.note
    header.turn = Turn(
        turn_id,
        token,
        worker,
        attempt,
        s.now + lease,
        lease,
        background=background,
        stop=stop,
        released=released,
        parked=parked,
        note=note,
        one_shot=one_shot,
    )
    recount(s, header.turn)
    header.claim_by = None
    s.wake.clear()
    s.outlive(lease)
    s.keep()


def granted(s: Session, base: Base | None, message: bytes | None = None) -> Grant:
    turn = s.header.turn
    assert turn is not None
    start = valid(s, base)
    short = s.header.elements - start <= READ
    return Grant(
        incarnation=s.header.incarnation,
        turn_id=turn.id,
        attempt=turn.attempt,
        tip=tip(s),
        items=s.header.items,
        history=history(s, start, follows=start > 0) if short else None,
        journal=s.state.journal(),
        cancelled=turn.stop,
        message=message,
        released=turn.released,
        note=turn.note,
    )
