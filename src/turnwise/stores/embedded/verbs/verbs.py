"""The verbs, in the order of the contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from turnwise.limits import RECENT
from turnwise.stores.embedded.state import Entry
from turnwise.stores.embedded.verbs.description import info
from turnwise.stores.embedded.verbs.ends import EndVerbs
from turnwise.stores.embedded.verbs.history import (
    cutting,
    done,
    duplicate,
    find,
    history,
    moved,
    repeated,
    stale,
    too_large,
    valid,
    write,
)
from turnwise.stores.embedded.verbs.lease import (
    blocked,
    excuse,
    granted,
    held,
    leave,
    may_take_over,
    open_turn,
)
from turnwise.stores.embedded.verbs.messages import MessageVerbs
from turnwise.stores.embedded.verbs.queue import (
    called_off,
    claim_left,
    head,
    queued,
    tell_line,
    ticket_of,
)
from turnwise.types import (
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
)


class Verbs(MessageVerbs, EndVerbs):
    """All verbs."""

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
        one_shot: bool,
        resume: bool,
        ticket: int | None,
    ) -> Grant | Busy | Queued | Parked | Duplicate | Stale | Full | Absent:
        s, turn = self._s, self._s.header.turn
        if token in s.header.finished:
            return stale(s)
        if held(s, turn_id, token):
            return granted(s, base)
        ours = turn if turn is not None and turn.id == turn_id else None
        if ours is None and (answer := self._known(turn_id, token, one_shot=one_shot)) is not None:
            return answer
        if ours is None and resume:
            return Absent()
        if ours is not None and may_take_over(s, ours, token, resume):
            if (place := ticket_of(s, turn_id, token)) is not None:
                s.state.queue.remove(place)
            open_turn(
                s,
                turn_id,
                token,
                worker,
                lease,
                ours.attempt + 1,
                background=ours.background,
                released=ours.released,
            )
            return granted(s, base)
        return self._begin_in_line(turn_id, token, lease, base, worker, ticket, one_shot=one_shot)

    def _known(self, turn_id: str, token: str, *, one_shot: bool) -> Duplicate | Queued | None:
        """Why this turn_id begins no turn: it is finished, or a message that waits."""
        s = self._s
        position = find(s, turn_id, RECENT if one_shot else None)
        message = None if one_shot else queued(s, turn_id)
        answer: Duplicate | Queued | None = None
        if message is not None:  # also one that is tried again after it was dead
            waits = message.kind == "message"
            answer = Queued("", turn_id, 0) if waits else called_off(s, message)
        elif position is not None:
            answer = duplicate(s, position)
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
        *,
        one_shot: bool,
    ) -> Grant | Busy | Queued | Parked | Full:
        s = self._s
        answer = blocked(s)
        first = head(s) if answer is None else None
        place = ticket_of(s, turn_id, token)
        if answer is None and first is place:
            if place is not None:
                s.state.queue.remove(place)
            open_turn(s, turn_id, token, worker, lease, one_shot=one_shot)
            return granted(s, base)
        if first is not None:
            answer = Busy(first.worker, first.turn_id, claim_left(s))
        assert answer is not None
        if isinstance(answer, Parked) or not ticket:
            return answer
        if place is None:
            if len(s.state.queue) >= s.limits.max_queue:
                return Full(s.limits.max_queue)
            s.state.queue.append(
                Entry(turn_id, "ticket", b"", 0, token, worker, s.now + ticket, ticket)
            )
        return Queued(answer.worker, answer.turn_id, answer.remaining)

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
            if index == 0 and s.is_provisional() and (turn := s.header.turn) is not None:
                s.outlive(turn.lease)
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
        return Renewed(turn.stop, turn.note)

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
        kind: Literal["turn", "cancelled"],
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
            return Full(s.limits.max_bytes)
        return self._end(turn, commit_id, kind, items, payload=payload, plan=plan)

    def park(self, turn_id: str, token: str, state: bytes) -> Done | Stale | Gone:
        s = self._s
        if not s.exists:
            return Gone()
        turn = held(s, turn_id, token)
        if turn is None:
            return done(s) if self._parked(turn_id) == state else stale(s)
        s.state.extend_journal([state])
        turn.state, turn.parked = "waiting", len(s.state.journal())
        if turn.stop == "keep":
            turn.stop = None
        excuse(s, turn)
        s.refresh_expiry()
        tell_line(s)
        return done(s)

    def _parked(self, turn_id: str) -> bytes | None:
        """What the open turn, if it is this one, was parked with last."""
        turn = self._s.header.turn
        if turn is None or turn.id != turn_id or not turn.parked:
            return None
        return self._s.state.journal()[turn.parked - 1]

    def append(self, op_id: str, items: Sequence[bytes]) -> Done | Busy | Parked | Full:
        s = self._s
        if (before := repeated(s, op_id, op_id)) is not None:
            return before
        if too_large(s, items):
            return Full(s.limits.max_bytes)
        return blocked(s) or self._change(op_id, "append", items)

    def pop(self, op_id: str, base: Base) -> Done | Busy | Parked | Stale | Absent:
        return self._refused(op_id, base) or self._change(
            op_id, "pop", keep=max(0, self._s.header.items - 1)
        )

    def clear(self, op_id: str) -> Done | Busy | Parked | Absent:
        s = self._s
        if not s.exists:
            return Absent()
        before = repeated(s, op_id, op_id) or blocked(s)
        return before or self._change(op_id, "clear", keep=0)

    def replace(
        self, op_id: str, base: Base, keep: int, items: Sequence[bytes]
    ) -> Done | Busy | Parked | Stale | Full | Absent:
        s = self._s
        if (answer := self._refused(op_id, base)) is not None:
            return answer
        if too_large(s, items, cutting(s, keep)):
            return Full(s.limits.max_bytes)
        return self._change(op_id, "replace", items, keep)

    def _refused(self, op_id: str, base: Base) -> Done | Busy | Parked | Stale | Absent | None:
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
        s.refresh_expiry()
        return done(s)

    def delete(self) -> bool:
        s, existed = self._s, self._s.exists
        if existed and (turn := s.header.turn) is not None:
            s.told.append((turn.worker, turn.token))
        s.state.header = None
        return existed

    def expire(self, ttl: int | None) -> bool:
        s = self._s
        if s.exists:
            s.header.provisional = None
            s.header.expires = None if ttl is None else s.now + ttl
        return s.exists

    def info(self, session_id: str) -> Info | Absent:
        return info(self._s, session_id) if self._s.exists else Absent()
