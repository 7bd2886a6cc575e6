"""The open turn: who holds it, and what it means for everybody else."""

from __future__ import annotations

from turnwise.limits import FINISHED_TOKENS, READ_LIMIT
from turnwise.stores.embedded.state import Entry
from turnwise.stores.embedded.verbs.history import history, tip, valid_position, write_turn
from turnwise.stores.embedded.verbs.queue import (
    find_message,
    find_ticket,
    offer_to_head,
    wake_senders,
)
from turnwise.stores.embedded.verbs.session import Session
from turnwise.stores.header import Header, StoredTurn
from turnwise.types import Base, Busy, Grant, Parked, Stopped


def is_finished(header: Header, token: str) -> bool:
    return token in header.finished_tokens.split()


def finish_token(header: Header, token: str) -> None:
    if not is_finished(header, token):
        tokens = [*header.finished_tokens.split(), token]
        header.finished_tokens = " ".join(tokens[-FINISHED_TOKENS:])


def lease_left(s: Session, turn: StoredTurn) -> int:
    """What is left of the lease, in ms. The deadline is set right if the clock was set."""
    turn.deadline = s.now + turn.lease_left(s.now)
    return turn.deadline - s.now


def next_attempt_in(s: Session, turn: StoredTurn) -> int:
    """How long until another attempt at a message may begin, in ms."""
    return lease_left(s, turn) + turn.delay_ms


def held_turn(s: Session, turn_id: str, token: str) -> StoredTurn | None:
    """The open turn, if it runs, is this one and this token's."""
    turn = s.header.turn
    if turn is None or turn.state != "running" or (turn.id, turn.token) != (turn_id, token):
        return None
    return turn


def can_take_over(s: Session, turn: StoredTurn, token: str, resume: bool) -> bool:
    """Whether a begin with the turn's turn_id opens another attempt at it."""
    if turn.state == "parked":
        return resume and turn.token != token  # with the token that parked it, it comes late
    if turn.was_parked:
        return resume and turn.suspended(s.now) is not None
    is_direct = turn.state == "running" and not turn.background
    return is_direct and lease_left(s, turn) <= 0


def count_attempts(s: Session, turn: StoredTurn) -> None:
    """Copy the open turn's attempts into its message, if it has one."""
    if turn.background and (message := find_message(s, turn.id)) is not None:
        message.attempts, message.released = turn.attempt, turn.released
        message.failed = turn.failed


def count_end(s: Session, turn: StoredTurn, *, failed: bool) -> None:
    """The open turn's attempt failed, or was released. One that ends otherwise died."""
    turn.failed += failed
    turn.released += not failed
    turn.alone = False
    count_attempts(s, turn)


def close_turn(s: Session, turn: StoredTurn) -> None:
    """Remove the open turn and its journal."""
    s.state.clear_journal()
    finish_token(s.header, turn.token)
    s.header.turn = None


def leave_queue(s: Session, turn_id: str, token: str) -> None:
    """Remove a ticket from the queue, if there is one."""
    ticket = find_ticket(s, turn_id, token)
    if ticket is None:
        return
    was_head = s.state.queue[0] is ticket
    s.state.queue.remove(ticket)
    if was_head and s.header.turn is None:
        offer_to_head(s)


def blocked(s: Session) -> Busy | Parked | Stopped | None:
    """The answer to whoever wants the session while a turn is open; None if nothing blocks it.

    A dead turn with an empty journal is dropped. One with a journal blocks for one more lease,
    unless nobody can send it again; then it is abandoned. A message's turn is only taken over, by
    `next`.
    """
    turn = s.header.turn
    if turn is None:
        return None
    if (answer := turn.suspended(s.now)) is not None:
        return answer
    left_ms = lease_left(s, turn)
    if left_ms > 0 or turn.background:
        return Busy(turn.worker, turn.id, max(0, next_attempt_in(s, turn)))
    has_journal, grace_left_ms = bool(s.state.journal()), left_ms + turn.lease_ms
    if has_journal and not turn.one_shot and grace_left_ms > 0:
        return Busy(turn.worker, turn.id, grace_left_ms)
    close_turn(s, turn)
    if has_journal:
        wake_senders(s, turn.id)
        write_turn(s, turn.id, s.new_id, "abandoned", turn=turn)
        s.refresh_expiry()
    offer_to_head(s)
    return None


def open_turn(
    s: Session,
    turn_id: str,
    token: str,
    worker: str,
    lease_ms: int,
    *,
    message: Entry | None = None,
    one_shot: bool = False,
    alone: bool = False,
) -> None:
    """Give the session to a worker.

    A takeover inherits the counts of attempts, the request to cancel, and where it was parked.
    """
    header, before = s.header, s.header.turn
    turn = header.turn = StoredTurn(
        turn_id,
        token,
        worker,
        1,
        s.now + lease_ms,
        lease_ms,
        "running",
        background=message is not None,
        one_shot=one_shot,
        alone=alone,
    )
    if message is not None:
        turn.attempt, turn.released = message.attempts + 1, message.released
        turn.failed = message.failed
    if before is not None:
        finish_token(header, before.token)
        turn.attempt, turn.released, turn.failed = (
            before.attempt + 1,
            before.released,
            before.failed,
        )
        turn.background, turn.died_alone = before.background, before.died_alone or before.alone
        turn.cancel_mode, turn.cancel_reason = before.cancel_mode, before.cancel_reason
        turn.was_parked, turn.decided = before.was_parked, before.decided
    count_attempts(s, turn)
    header.head_deadline = None
    s.next_up.clear()
    s.outlive(lease_ms)
    s.save()


def granted(s: Session, base: Base | None, message: bytes | None = None) -> Grant:
    turn = s.header.turn
    assert turn is not None
    start = valid_position(s, base)
    is_short = s.header.elements - start <= READ_LIMIT
    return Grant(
        incarnation=s.header.incarnation,
        turn_id=turn.id,
        attempt=turn.attempt,
        tip=tip(s),
        items=s.header.items,
        history=history(s, start, follows=start > 0) if is_short else None,
        journal=s.state.journal(),
        cancel_mode=turn.cancel_mode,
        message=message,
        released=turn.released,
        failed=turn.failed,
        died_alone=turn.died_alone,
        cancel_reason=turn.cancel_reason,
        bytes=s.header.bytes,
        max_bytes=s.limits.max_bytes,
        owner=s.header.owner,
    )
