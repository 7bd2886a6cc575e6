"""All verbs."""

from __future__ import annotations

from collections.abc import Sequence

from turnwise.codec.elements import parse_record
from turnwise.limits import RECENT_ELEMENTS
from turnwise.stores.embedded.state import Entry
from turnwise.stores.embedded.verbs.ends import EndVerbs
from turnwise.stores.embedded.verbs.history import (
    append_turns,
    done,
    done_before,
    duplicate,
    find_turn,
    history,
    plan_cut,
    stale,
    stale_base,
    too_large,
    valid_position,
    write_turn,
)
from turnwise.stores.embedded.verbs.lease import (
    blocked,
    can_take_over,
    granted,
    held_turn,
    is_finished,
    leave_queue,
    open_turn,
)
from turnwise.stores.embedded.verbs.messages import MessageVerbs
from turnwise.stores.embedded.verbs.queue import (
    cancelled_duplicate,
    find_message,
    find_ticket,
    head,
    head_time_left,
)
from turnwise.stores.header import StoredTurn
from turnwise.types import (
    NO_USAGE,
    Absent,
    Base,
    Busy,
    Done,
    Duplicate,
    Full,
    Gone,
    Grant,
    History,
    Info,
    Parked,
    Queued,
    RecordKind,
    Renewed,
    Stale,
    Stopped,
    Taken,
    TokenUsage,
)


class Verbs(MessageVerbs, EndVerbs):
    """All verbs."""

    def read(self, base: Base | None = None, limit: int | None = None) -> History | Absent:
        s = self._s
        if not s.exists:
            return Absent()
        start = valid_position(s, base)
        if start > 0:
            return history(s, start, follows=True)
        return history(s, 0 if limit is None else max(0, s.header.elements - limit))

    def begin(
        self,
        turn_id: str,
        token: str,
        lease_ms: int,
        base: Base | None = None,
        *,
        worker: str,
        one_shot: bool = False,
        resume: bool = False,
        ticket_ms: int | None = None,
    ) -> Grant | Busy | Queued | Parked | Stopped | Duplicate | Stale | Full | Absent | Taken:
        s, turn = self._s, self._s.header.turn
        if s.taken and not resume:
            return Taken()
        if is_finished(s.header, token):
            return stale(s)
        if held_turn(s, turn_id, token):
            return granted(s, base)
        if turn is None or turn.id != turn_id:
            if (answer := self._known(turn_id, token, one_shot=one_shot)) is not None:
                return answer
            if resume:
                return Absent()
        elif can_take_over(s, turn, token, resume):
            self._take_over_direct(turn, token, lease_ms, worker)
            return granted(s, base)
        refused = self._refused_begin(turn_id, token, worker, ticket_ms)
        if refused is not None:
            return refused
        open_turn(s, turn_id, token, worker, lease_ms, one_shot=one_shot)
        return granted(s, base)

    def _known(self, turn_id: str, token: str, *, one_shot: bool) -> Duplicate | Queued | None:
        """The answer for a turn_id that is finished, or a message that waits."""
        s = self._s
        position = find_turn(s, turn_id, RECENT_ELEMENTS if one_shot else None)
        message = None if one_shot else find_message(s, turn_id)
        answer: Duplicate | Queued | None = None
        if message is not None:  # which may be a dead turn's that is tried again
            is_waiting = message.kind == "message"
            answer = Queued("", turn_id, 0) if is_waiting else cancelled_duplicate(s, message)
        elif position is not None:
            answer = duplicate(s, position)
        if answer is not None:
            leave_queue(s, turn_id, token)
        return answer

    def _take_over_direct(self, turn: StoredTurn, token: str, lease_ms: int, worker: str) -> None:
        s = self._s
        if (ticket := find_ticket(s, turn.id, token)) is not None:
            s.state.queue.remove(ticket)
        open_turn(s, turn.id, token, worker, lease_ms)

    def _refused_begin(
        self, turn_id: str, token: str, worker: str, ticket_ms: int | None
    ) -> Busy | Queued | Parked | Stopped | Full | None:
        """The answer if it is not this caller's turn; None if it is."""
        s = self._s
        answer = blocked(s)
        first = head(s) if answer is None else None
        ticket = find_ticket(s, turn_id, token)
        if answer is None and first is ticket:
            if ticket is not None:
                s.state.queue.remove(ticket)
            return None
        if first is not None:
            answer = Busy(first.worker, first.turn_id, head_time_left(s))
        assert answer is not None
        if not isinstance(answer, Busy) or not ticket_ms:
            return answer
        if ticket is None:
            if len(s.state.queue) >= s.limits.max_queue:
                return Full(s.limits.max_queue)
            ticket = Entry(turn_id, "ticket", token=token, worker=worker)
            ticket.deadline, ticket.wait_ms = s.now + ticket_ms, ticket_ms
            s.state.queue.append(ticket)
        return Queued(answer.worker, answer.turn_id, answer.remaining_ms)

    def journal(
        self, turn_id: str, token: str, index: int, entries: Sequence[bytes]
    ) -> Done | Stale | Gone:
        s = self._s
        if not s.exists:
            return Gone()
        turn = held_turn(s, turn_id, token)
        if turn is None:
            return stale(s)
        journal = s.state.journal()
        if index == len(journal):
            s.state.extend_journal(list(entries))
            if index == 0 and s.has_provisional_expiry():
                s.outlive(turn.lease_ms)
        elif index > len(journal) or journal[index : index + len(entries)] != list(entries):
            return stale(s)
        return done(s)

    def renew(self, turn_id: str, token: str) -> Renewed | Stale | Gone:
        s = self._s
        if not s.exists:
            return Gone()
        turn = held_turn(s, turn_id, token)
        if turn is None:
            return stale(s)
        turn.deadline = s.now + turn.lease_ms
        s.outlive(turn.lease_ms)
        return Renewed(turn.cancel_mode, turn.cancel_reason)

    def append(
        self, op_id: str, items: Sequence[bytes]
    ) -> Done | Busy | Parked | Stopped | Full | Taken:
        s = self._s
        if s.taken:
            return Taken()
        if (before := done_before(s, op_id, op_id)) is not None:
            return before
        if too_large(s, items):
            return Full(s.limits.max_bytes)
        return blocked(s) or self._change(op_id, "append", items)

    def pop(self, op_id: str, base: Base) -> Done | Busy | Parked | Stopped | Stale | Absent:
        return self._refused_change(op_id, base) or self._change(
            op_id, "pop", keep=max(0, self._s.header.items - 1)
        )

    def clear(self, op_id: str) -> Done | Busy | Parked | Stopped | Absent:
        s = self._s
        if not s.exists:
            return Absent()
        answer = done_before(s, op_id, op_id) or blocked(s)
        return answer or self._change(op_id, "clear", keep=0)

    def replace(
        self, op_id: str, base: Base, keep: int, items: Sequence[bytes]
    ) -> Done | Busy | Parked | Stopped | Stale | Full | Absent:
        s = self._s
        if (answer := self._refused_change(op_id, base)) is not None:
            return answer
        if too_large(s, items, plan_cut(s, keep)):
            return Full(s.limits.max_bytes)
        return self._change(op_id, "replace", items, keep)

    def restore(
        self,
        base: Base | None,
        elements: Sequence[bytes],
        *,
        created_ms: int = 0,
        usage: TokenUsage | None = None,
    ) -> Done | Busy | Parked | Stopped | Stale | Full | Taken:
        s, header = self._s, self._s.header
        if s.taken:
            return Taken()
        last, position = parse_record(elements[-1]), base.position if base else 0
        end = Base(position + len(elements), last.commit_id)
        if valid_position(s, end):
            return Done(end)
        if not self._is_at(base):
            return stale(s)
        if too_large(s, elements):
            return Full(s.limits.max_bytes)
        answer = blocked(s) or (None if self._is_at(base) else stale(s))
        if answer is not None:
            return answer
        append_turns(s, elements, last.commit_id)
        if base is None and created_ms:
            header.created = created_ms
        header.usage = list((TokenUsage(*header.usage) + (usage or NO_USAGE)).counts)
        s.refresh_expiry()
        return done(s)

    def _is_at(self, base: Base | None) -> bool:
        header = self._s.header
        if base is None:
            return header.commits == 0
        return (header.elements, header.commit_id) == (base.position, base.commit_id)

    def _refused_change(
        self, op_id: str, base: Base
    ) -> Done | Busy | Parked | Stopped | Stale | Absent | None:
        """The answer if the history named by `base` is not to be changed, or was already."""
        s = self._s
        if not s.exists:
            return Absent()
        answer = done_before(s, op_id, op_id) or stale_base(s, base)
        return answer or blocked(s) or stale_base(s, base)

    def _change(
        self, op_id: str, kind: RecordKind, items: Sequence[bytes] = (), keep: int | None = None
    ) -> Done:
        s = self._s
        cut = None if keep is None else plan_cut(s, keep)
        write_turn(s, op_id, op_id, kind, items, cut=cut)
        s.refresh_expiry()
        return done(s)

    def delete(self) -> bool:
        s, existed = self._s, self._s.exists
        if existed and (turn := s.header.turn) is not None:
            s.to_wake.append((turn.worker, turn.token))
        s.state.header = None
        return existed

    def expire(self, ttl_ms: int | None) -> bool:
        s = self._s
        if s.exists:
            s.header.provisional_expiry = s.header.ttl_ms = None
            s.header.expires = None if ttl_ms is None else s.now + ttl_ms
        return s.exists

    def open_journal(self, turn_id: str) -> list[bytes] | Absent:
        turn = self._s.header.turn
        return Absent() if turn is None or turn.id != turn_id else self._s.state.journal()

    def info(self, session_id: str) -> Info | Absent:
        s = self._s
        if not s.exists:
            return Absent()
        expires = s.header.expires
        return s.header.info(
            session_id,
            s.now,
            queued=len(s.state.queue),
            journal_entries=len(s.state.journal()),
            ttl_ms=None if expires is None else expires - s.now,
        )
