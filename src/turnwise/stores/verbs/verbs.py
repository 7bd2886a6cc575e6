"""The verbs, in the order of the contract."""

from __future__ import annotations

from collections.abc import Sequence

from turnwise.contracts import LATE_MS, RECENT, Bounds
from turnwise.stores.state import Entry, State, Turn
from turnwise.stores.verbs.description import info
from turnwise.stores.verbs.history import (
    cutting,
    done,
    duplicate,
    find,
    history,
    moved,
    record_at,
    repeated,
    stale,
    too_large,
    valid,
    write,
)
from turnwise.stores.verbs.lease import (
    blocked,
    drop_turn,
    finish,
    granted,
    held,
    leave,
    may_take_over,
    open_turn,
    remaining,
)
from turnwise.stores.verbs.queue import (
    called_off,
    claim_left,
    hand_over,
    head,
    queued,
    ticket_of,
)
from turnwise.stores.verbs.session import Session
from turnwise.types import (
    Absent,
    Accepted,
    Base,
    Busy,
    Cancelled,
    Done,
    Duplicate,
    Full,
    Gone,
    Grant,
    History,
    Idle,
    Info,
    Late,
    Queued,
    RecordKind,
    Renewed,
    Stale,
    Waiting,
)


class Verbs:
    """One verb on one session: its state, the store's time (ms), a random id to spend."""

    def __init__(self, state: State, bounds: Bounds, now: int, mint: str) -> None:
        self._s = Session(state, bounds, now, mint)

    @property
    def now(self) -> int:
        """The store's time at which this verb runs, in ms."""
        return self._s.now

    @property
    def wake(self) -> list[tuple[str, str]]:
        """The (worker, token) pairs to wake once the verb has taken effect."""
        return self._s.wake

    def read(self, base: Base | None, limit: int | None) -> History | Absent:
        s = self._s
        if not s.exists:
            return Absent()
        start = valid(s, base)
        if start > 0:
            return history(s, start, follows=True)
        return history(s, 0 if limit is None else max(0, s.header.elements - limit))

    def begin(
        self,
        turn_id: str,
        token: str,
        lease: int,
        base: Base | None,
        *,
        worker: str,
        fresh: bool,
        resume: bool,
        ticket: int | None,
    ) -> Grant | Busy | Queued | Waiting | Duplicate | Stale | Full | Absent:
        s, turn = self._s, self._s.header.turn
        if token in s.header.finished:
            return stale(s)
        if held(s, turn_id, token):
            return granted(s, base)
        ours = turn if turn is not None and turn.id == turn_id else None
        in_queue = not fresh and not (ours and ours.background)
        if (answer := self._known(turn_id, token, fresh=fresh, in_queue=in_queue)) is not None:
            return answer
        if ours is None and resume:
            return Absent()
        if ours is not None and may_take_over(s, ours, token, resume):
            attempt, background = ours.attempt + 1, ours.background
            if (place := ticket_of(s, turn_id, token)) is not None:
                s.state.queue.remove(place)
            open_turn(s, turn_id, token, worker, lease, attempt, background=background)
            return granted(s, base)
        return self._begin_in_line(turn_id, token, lease, base, worker, ticket)

    def _known(
        self, turn_id: str, token: str, *, fresh: bool, in_queue: bool
    ) -> Duplicate | Queued | None:
        """Why this turn_id begins no turn: it is finished, or a message that waits."""
        s = self._s
        position = find(s, turn_id, RECENT if fresh else None)
        message = queued(s, turn_id) if in_queue else None
        answer: Duplicate | Queued | None = None
        if position is not None:
            answer = duplicate(s, position)
        elif message is not None:
            waits = message.kind == "message"
            answer = Queued("", turn_id, 0) if waits else called_off(s, message)
        if answer is not None:
            leave(s, turn_id, token)
        return answer

    def _begin_in_line(
        self,
        turn_id: str,
        token: str,
        lease: int,
        base: Base | None,
        worker: str,
        ticket: int | None,
    ) -> Grant | Busy | Queued | Waiting | Full:
        s = self._s
        answer = blocked(s)
        first = head(s) if answer is None else None
        place = ticket_of(s, turn_id, token)
        if answer is None and first is place:
            if place is not None:
                s.state.queue.remove(place)
            open_turn(s, turn_id, token, worker, lease)
            return granted(s, base)
        if first is not None:
            answer = Busy(first.worker, first.turn_id, claim_left(s))
        assert answer is not None
        if isinstance(answer, Waiting) or not ticket:
            return answer
        if place is None:
            if len(s.state.queue) >= s.bounds.max_queue:
                return Full(s.bounds.max_queue)
            s.state.queue.append(
                Entry(turn_id, "ticket", b"", 0, token, worker, s.now + ticket, ticket)
            )
        return Queued(answer.worker, answer.turn_id, answer.remaining)

    def next(
        self, token: str, lease: int, base: Base | None, *, worker: str
    ) -> Grant | Busy | Waiting | Idle | Stale:
        s, turn = self._s, self._s.header.turn
        if not s.exists:
            return Idle()
        if token in s.header.finished:
            return stale(s)
        if turn is not None and turn.background and turn.state == "running":
            return self._next_of(turn, token, lease, base, worker)
        if (answer := blocked(s)) is not None:
            return answer
        first = head(s)
        if first is None:
            return Idle()
        if first.kind == "ticket":
            return Busy(first.worker, first.turn_id, claim_left(s))
        return self._open_message(first, token, lease, base, worker, first.attempts + 1)

    def _next_of(
        self, turn: Turn, token: str, lease: int, base: Base | None, worker: str
    ) -> Grant | Busy:
        """While a turn from the queue is open: it is its worker's, or is taken over."""
        s = self._s
        message = queued(s, turn.id)
        assert message is not None
        if turn.token == token:
            return granted(s, base, message.message)
        if (left := remaining(s, turn)) > 0:
            return Busy(turn.worker, turn.id, left)
        return self._open_message(message, token, lease, base, worker, turn.attempt + 1)

    def _open_message(
        self,
        message: Entry,
        token: str,
        lease: int,
        base: Base | None,
        worker: str,
        attempt: int,
    ) -> Grant:
        message.attempts = attempt
        turn_id = message.turn_id
        open_turn(self._s, turn_id, token, worker, lease, attempt, background=True)
        return granted(self._s, base, message.message)

    def journal(
        self, turn_id: str, token: str, index: int, entries: Sequence[bytes]
    ) -> Done | Stale | Gone:
        s = self._s
        if not s.exists:
            return Gone()
        if not held(s, turn_id, token):
            return stale(s)
        journal = s.state.journal()
        if index == len(journal):
            s.state.extend_journal(list(entries))
        elif index > len(journal) or journal[index : index + len(entries)] != list(entries):
            return stale(s)
        return done(s)

    def renew(self, turn_id: str, token: str) -> Renewed | Stale | Gone:
        s = self._s
        if not s.exists:
            return Gone()
        turn = held(s, turn_id, token)
        if turn is None:
            return stale(s)
        turn.deadline = s.now + turn.lease
        s.outlive(turn.lease)
        return Renewed(turn.cancelled)

    def commit(
        self,
        turn_id: str,
        token: str,
        base: Base,
        commit_id: str,
        items: Sequence[bytes],
        *,
        keep: int | None,
        payload: bytes,
    ) -> Done | Stale | Gone | Full:
        s = self._s
        if not s.exists:
            return Gone()
        turn = held(s, turn_id, token)
        if turn is None or moved(s, base):
            before = repeated(s, turn_id, commit_id)
            return before or Stale(s.header.incarnation, moved=turn is not None)
        plan = None if keep is None else cutting(s, keep)
        if too_large(s, items, plan):
            return Full(s.bounds.max_bytes)
        drop_turn(s, turn)
        write(s, turn_id, commit_id, "turn", items, payload=payload, plan=plan)
        self._answered(turn)
        s.expire()
        answer = done(s)
        hand_over(s)
        return answer

    def _answered(self, turn: Turn) -> None:
        """The message that a finished turn came from need not wait any more."""
        if turn.background and (message := queued(self._s, turn.id)) is not None:
            self._s.state.queue.remove(message)

    def park(self, turn_id: str, token: str, state: bytes) -> Done | Stale | Gone:
        s, turn = self._s, self._s.header.turn
        if not s.exists:
            return Gone()
        if turn is None or (turn.id, turn.token) != (turn_id, token):
            return stale(s)
        if turn.state == "running":
            s.state.extend_journal([state])
            turn.state = "waiting"
            s.expire()
        return done(s)

    def abort(self, turn_id: str, token: str) -> None:
        s, header = self._s, self._s.header
        if not s.exists:
            return
        if (turn := held(s, turn_id, token)) is not None:
            drop_turn(s, turn)
            hand_over(s)
        else:
            leave(s, turn_id, token)
            finish(header, token)  # its begin may still be on the way
        if header.commits == 0 and not s.state.queue and header.turn is None:
            s.state.header = None

    def append(self, op_id: str, items: Sequence[bytes]) -> Done | Busy | Waiting | Full:
        s = self._s
        if (before := repeated(s, op_id, op_id)) is not None:
            return before
        if too_large(s, items):
            return Full(s.bounds.max_bytes)
        return blocked(s) or self._change(op_id, "append", items)

    def pop(self, op_id: str, base: Base) -> Done | Busy | Waiting | Stale | Absent:
        return self._refused(op_id, base) or self._change(
            op_id, "pop", keep=max(0, self._s.header.items - 1)
        )

    def clear(self, op_id: str) -> Done | Busy | Waiting | Absent:
        s = self._s
        if not s.exists:
            return Absent()
        before = repeated(s, op_id, op_id) or blocked(s)
        return before or self._change(op_id, "clear", keep=0)

    def replace(
        self, op_id: str, base: Base, keep: int, items: Sequence[bytes]
    ) -> Done | Busy | Waiting | Stale | Full | Absent:
        s = self._s
        if (answer := self._refused(op_id, base)) is not None:
            return answer
        if too_large(s, items, cutting(s, keep)):
            return Full(s.bounds.max_bytes)
        return self._change(op_id, "replace", items, keep)

    def _refused(self, op_id: str, base: Base) -> Done | Busy | Waiting | Stale | Absent | None:
        """Why a change of the history named by `base` is not to be made."""
        s = self._s
        if not s.exists:
            return Absent()
        before = repeated(s, op_id, op_id) or moved(s, base)
        return before or blocked(s) or moved(s, base)

    def _change(
        self, op_id: str, kind: RecordKind, items: Sequence[bytes] = (), keep: int | None = None
    ) -> Done:
        s = self._s
        plan = None if keep is None else cutting(s, keep)
        write(s, op_id, op_id, kind, items, plan=plan)
        s.expire()
        return done(s)

    def submit(
        self, turn_id: str, message: bytes, intent: int | None
    ) -> Accepted | Duplicate | Full | Late:
        s, turn = self._s, self._s.header.turn
        if (entry := queued(s, turn_id)) is not None:
            if entry.kind == "called off":
                return called_off(s, entry)
            same = entry.message == message
            return Accepted(s.state.queue.index(entry)) if same else Duplicate(None)
        if (position := find(s, turn_id)) is not None:
            return duplicate(s, position)
        if turn is not None and turn.id == turn_id:
            return Duplicate(None)
        if intent and s.now - intent > LATE_MS:
            return Late()
        if len(s.state.queue) >= s.bounds.max_queue:
            return Full(s.bounds.max_queue)
        s.keep()
        s.state.queue.append(Entry(turn_id, "message", message))
        s.expire()
        return Accepted(len(s.state.queue) - 1)

    def cancel(self, turn_id: str) -> Cancelled | Duplicate:
        s, turn = self._s, self._s.header.turn
        if turn is not None and turn.id == turn_id:
            return self._cancel_open(turn)
        if (entry := queued(s, turn_id)) is not None:
            if entry.kind == "message":
                entry.kind, entry.message = "called off", s.mint.encode()
                if turn is None:
                    hand_over(s)
            return Cancelled("dropped")
        if (position := find(s, turn_id)) is None:
            return Cancelled("absent")
        before = record_at(s, position).kind == "cancelled"
        return Cancelled("dropped") if before else duplicate(s, position)

    def _cancel_open(self, turn: Turn) -> Cancelled:
        s = self._s
        if turn.state == "running" and remaining(s, turn) > 0:
            turn.cancelled = True
            s.wake.append((turn.worker, turn.token))
            return Cancelled("flagged")
        drop_turn(s, turn)
        write(s, turn.id, s.mint, "cancelled")
        self._answered(turn)
        s.expire()
        hand_over(s)
        return Cancelled("dropped")

    def delete(self) -> bool:
        existed = self._s.exists
        self._s.state.header = None
        return existed

    def touch(self, ttl: int | None) -> bool:
        s = self._s
        if s.exists:
            s.header.provisional = None
            s.header.expires = None if ttl is None else s.now + ttl
        return s.exists

    def info(self, session_id: str) -> Info | Absent:
        return info(self._s, session_id) if self._s.exists else Absent()
