"""The verbs as plain Python on one session's state: the readable model of `contracts.Store`.

A verb runs alone on its session, to its end or not at all; memory and SQLite see to that.
`redis/lua` says the same again in Lua, and one conformance suite holds both to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from turnwise.contracts import CLAIM_MS, LATE_MS, READ, Bounds
from turnwise.stores.elements import is_item, marker, parse_record, record
from turnwise.stores.state import Entry, Header, State, Turn
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
    OpenTurn,
    Queued,
    RecordKind,
    Renewed,
    Stale,
    Waiting,
)

TOKENS = 8


@dataclass(slots=True)
class Verbs:
    """One verb on one session: its state, the store's time (ms), a random id to spend.

    `wake` collects the (worker, token) pairs to wake once the verb has taken effect.
    """

    state: State
    bounds: Bounds
    now: int
    mint: str
    wake: list[tuple[str, str]] = field(default_factory=list)
    _creates: bool = False

    # The verbs, in the order of the contract.

    def read(self, base: Base | None, limit: int | None) -> History | Absent:
        header = self.state.header
        if header is None:
            return Absent()
        start = self._valid(header, base)
        if start > 0:
            return self._history(header, start, follows=True)
        return self._history(header, 0 if limit is None else max(0, header.elements - limit))

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
        header = self.state.header or self._new()
        if token in header.finished:
            return self._stale(header)
        if self._holds(header, turn_id, token):
            return self._grant(header, base)
        turn = header.turn
        ours = turn is not None and turn.id == turn_id
        if not fresh:
            if (position := self._find(header, turn_id)) is not None:
                return self._duplicate(position)
            background = turn is not None and ours and turn.background
            if not background and self._queued(turn_id) is not None:
                return Queued("", turn_id, 0)
        if resume and not ours:
            return Absent()
        if turn is not None and ours and self._may_take_over(turn, resume):
            self._finish(header, turn.token)
            self._open(header, turn_id, token, worker, lease, turn.attempt + 1, turn.background)
            return self._grant(header, base)
        return self._begin_in_line(header, turn_id, token, lease, base, worker, ticket)

    def _begin_in_line(
        self,
        header: Header,
        turn_id: str,
        token: str,
        lease: int,
        base: Base | None,
        worker: str,
        ticket: int | None,
    ) -> Grant | Busy | Queued | Waiting | Full:
        answer = self._blocked(header)
        place = self._ticket(token)
        if answer is None:
            first = self._head(header)
            if first is None or first is place:
                if place is not None:
                    self.state.queue.remove(place)
                self.state.header = header
                self._open(header, turn_id, token, worker, lease, 1, False)
                self._expire_provisionally(header, lease)
                self._keep_alive(header, lease)
                return self._grant(header, base)
            answer = Busy(first.worker, first.turn_id, self._claim_left(header))
        if isinstance(answer, Waiting) or ticket is None:
            return answer
        if place is None:
            if len(self.state.queue) >= self.bounds.max_queue:
                return Full(self.bounds.max_queue)
            deadline = self.now + ticket
            self.state.queue.append(
                Entry(turn_id, "ticket", b"", 0, token, worker, deadline, ticket)
            )
        return Queued(answer.worker, answer.turn_id, answer.remaining)

    def next(
        self, token: str, lease: int, base: Base | None, *, worker: str
    ) -> Grant | Busy | Waiting | Idle | Stale:
        header = self.state.header
        if header is None:
            return Idle()
        if token in header.finished:
            return self._stale(header)
        turn = header.turn
        if turn is not None and turn.background and turn.state == "running":
            entry = self._queued(turn.id)
            assert entry is not None
            if turn.token == token:
                return self._grant(header, base, entry.message)
            if (left := self._remaining(turn)) > 0:
                return Busy(turn.worker, turn.id, left)
            self._finish(header, turn.token)
            return self._open_message(header, entry, token, lease, base, worker)
        if (answer := self._blocked(header)) is not None:
            return answer
        first = self._head(header)
        if first is None:
            return Idle()
        if first.kind == "ticket":
            return Busy(first.worker, first.turn_id, self._claim_left(header))
        return self._open_message(header, first, token, lease, base, worker)

    def journal(
        self, turn_id: str, token: str, index: int, entries: Sequence[bytes]
    ) -> Done | Stale | Gone:
        header = self.state.header
        if header is None:
            return Gone()
        if not self._holds(header, turn_id, token):
            return self._stale(header)
        journal = self.state.journal()
        if index == len(journal):
            self.state.extend_journal(list(entries))
        elif journal[index : index + len(entries)] != list(entries):
            return self._stale(header)
        return self._done(header)

    def renew(self, turn_id: str, token: str) -> Renewed | Stale | Gone:
        header = self.state.header
        if header is None:
            return Gone()
        turn = header.turn
        if turn is None or not self._holds(header, turn_id, token):
            return self._stale(header)
        turn.deadline = self.now + turn.lease
        self._expire_provisionally(header, turn.lease)
        self._keep_alive(header, turn.lease)
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
        header = self.state.header
        if header is None:
            return Gone()
        turn = header.turn
        if turn is None or not self._holds(header, turn_id, token):
            return self._repeated(header, turn_id, commit_id) or self._stale(header)
        if header.commit_id != base.commit_id:
            return Stale(header.incarnation, moved=True)
        if keep is None and self._too_large(header, items):
            return Full(self.bounds.max_bytes)
        self._drop_turn(header, turn)
        self._write(header, turn_id, commit_id, "turn", items, payload=payload, keep=keep)
        if turn.background and (entry := self._queued(turn_id)) is not None:
            self.state.queue.remove(entry)
        self._hand_over(header)
        self._expire(header)
        return self._done(header)

    def park(self, turn_id: str, token: str, state: bytes) -> Done | Stale | Gone:
        header = self.state.header
        if header is None:
            return Gone()
        turn = header.turn
        if turn is None or (turn.id, turn.token) != (turn_id, token):
            return self._stale(header)
        if turn.state == "running":
            self.state.extend_journal([state])
            turn.state = "waiting"
            self._settle_down(header)
        return self._done(header)

    def abort(self, turn_id: str, token: str) -> None:
        header = self.state.header
        if header is None:
            return
        turn = header.turn
        if turn is not None and self._holds(header, turn_id, token):
            self._drop_turn(header, turn)
            self._hand_over(header)
        elif (place := self._ticket(token)) is not None:
            was_head = self.state.queue[0] is place
            self.state.queue.remove(place)
            self._finish(header, token)
            if was_head and header.turn is None:
                self._hand_over(header)
        else:
            return
        if header.commits == 0 and not self.state.queue and header.turn is None:
            self.state.header = None

    def append(self, op_id: str, items: Sequence[bytes]) -> Done | Busy | Waiting | Full:
        header = self.state.header or self._new()
        if (before := self._repeated(header, op_id, op_id)) is not None:
            return before
        if self._too_large(header, items):
            return Full(self.bounds.max_bytes)
        return self._blocked(header) or self._change(header, op_id, "append", items)

    def pop(self, op_id: str, base: Base) -> Done | Busy | Waiting | Stale | Absent:
        header = self.state.header
        if header is None:
            return Absent()
        moved = self._moved(header, base)
        before = self._repeated(header, op_id, op_id) or moved or self._blocked(header)
        before = before or self._moved(header, base)
        keep = max(0, header.items - 1)
        return before or self._change(header, op_id, "pop", (), keep=keep)

    def clear(self, op_id: str) -> Done | Busy | Waiting | Absent:
        header = self.state.header
        if header is None:
            return Absent()
        before = self._repeated(header, op_id, op_id) or self._blocked(header)
        return before or self._change(header, op_id, "clear", (), keep=0)

    def replace(
        self, op_id: str, base: Base, keep: int, items: Sequence[bytes]
    ) -> Done | Busy | Waiting | Stale | Full | Absent:
        header = self.state.header
        if header is None:
            return Absent()
        moved = self._moved(header, base)
        before = self._repeated(header, op_id, op_id) or moved or self._blocked(header)
        before = before or self._moved(header, base)
        return before or self._change(header, op_id, "replace", items, keep=keep)

    def submit(
        self, turn_id: str, message: bytes, intent: int | None
    ) -> Accepted | Duplicate | Full | Late:
        header = self.state.header or self._new()
        if (entry := self._queued(turn_id)) is not None:
            same = entry.kind == "message" and entry.message == message
            return Accepted(self.state.queue.index(entry)) if same else Duplicate(None)
        if (position := self._find(header, turn_id)) is not None:
            return self._duplicate(position)
        if header.turn is not None and header.turn.id == turn_id:
            return Duplicate(None)
        if intent and self.now - intent > LATE_MS:
            return Late()
        if len(self.state.queue) >= self.bounds.max_queue:
            return Full(self.bounds.max_queue)
        self.state.header = header
        self.state.queue.append(Entry(turn_id, "message", message))
        self._expire(header)
        return Accepted(len(self.state.queue) - 1)

    def cancel(self, turn_id: str | None) -> Cancelled | Duplicate:
        header = self.state.header
        if header is None:
            return Cancelled("absent")
        turn = header.turn
        if turn is not None and turn_id in (None, turn.id):
            return self._cancel_open(header, turn)
        entry = self._queued(turn_id) if turn_id else None
        if turn_id is not None and entry is None:
            position = self._find(header, turn_id)
            return Cancelled("absent") if position is None else self._duplicate(position)
        if entry is None:
            return Cancelled("absent")
        entry.kind, entry.message = "called off", b""
        if turn is None:
            self._wake(self._head(header))
        return Cancelled("dropped")

    def delete(self) -> bool:
        existed = self.state.header is not None
        self.state.header = None
        return existed

    def touch(self, ttl: int | None) -> bool:
        header = self.state.header
        if header is None:
            return False
        header.provisional = None
        header.expires = None if ttl is None else self.now + ttl
        return True

    def info(self, session_id: str) -> Info | Absent:
        header = self.state.header
        if header is None:
            return Absent()
        return Info(
            session_id=session_id,
            incarnation=header.incarnation,
            items=header.items,
            turns=header.commits,
            bytes=header.bytes,
            queued=len(self.state.queue),
            journal=len(self.state.journal()),
            created=header.created,
            updated=header.updated,
            ttl=None if header.expires is None else header.expires - self.now,
            open_turn=self._open_turn(header.turn),
        )

    # Reading.

    def _new(self) -> Header:
        self._creates = True
        return Header(self.mint, self.mint, self.now, self.now, self.now)

    def _valid(self, header: Header, base: Base | None) -> int:
        """The base's position if the record there still carries its commit id, else 0."""
        if base is None or not 0 < base.position <= header.elements:
            return 0
        element = self.state.history(base.position - 1, base.position)[0]
        right = not is_item(element) and element.startswith(b"\x01%b " % base.commit_id.encode())
        return base.position if right else 0

    def _history(self, header: Header, start: int, *, follows: bool = False) -> History:
        elements = self.state.history(start, header.elements)
        tip = self._tip(header)
        return History(header.incarnation, tip, header.items, start, elements, follows)

    def _tip(self, header: Header) -> Base:
        return Base(header.elements, header.commit_id)

    def _done(self, header: Header) -> Done:
        return Done(self._tip(header))

    def _stale(self, header: Header) -> Stale:
        return Stale(header.incarnation)

    def _moved(self, header: Header, base: Base) -> Stale | None:
        return None if header.commit_id == base.commit_id else self._stale(header)

    def _find(self, header: Header, turn_id: str) -> int | None:
        return self.state.find(marker(turn_id), header.marks[0])

    def _duplicate(self, position: int) -> Duplicate:
        chunk = self.state.history(max(0, position - READ), position)
        first = next((i for i in range(len(chunk), 0, -1) if not is_item(chunk[i - 1])), 0)
        ending = self.state.history(position + 1, position + 2)[0]
        return Duplicate(parse_record(ending), chunk[first:], position)

    def _repeated(self, header: Header, turn_id: str, commit_id: str) -> Done | None:
        """The answer to a change that took effect before, as far as it still stands."""
        if header.commit_id == commit_id:
            return self._done(header)
        position = self._find(header, turn_id)
        if position is None:
            return None
        ending = parse_record(self.state.history(position + 1, position + 2)[0])
        return Done(Base(position + 2, commit_id)) if ending.commit_id == commit_id else None

    def _grant(self, header: Header, base: Base | None, message: bytes | None = None) -> Grant:
        assert header.turn is not None
        start = self._valid(header, base)
        short = header.elements - start <= READ
        return Grant(
            incarnation=header.incarnation,
            turn_id=header.turn.id,
            attempt=header.turn.attempt,
            tip=self._tip(header),
            items=header.items,
            history=self._history(header, start, follows=start > 0) if short else None,
            journal=self.state.journal(),
            cancelled=header.turn.cancelled,
            message=message,
        )

    def _open_turn(self, turn: Turn | None) -> OpenTurn | None:
        if turn is None:
            return None
        return OpenTurn(
            turn_id=turn.id,
            attempt=turn.attempt,
            worker=turn.worker,
            state=turn.state,
            remaining=min(turn.deadline - self.now, turn.lease),
            cancelled=turn.cancelled,
            background=turn.background,
        )

    # The open turn.

    def _remaining(self, turn: Turn) -> int:
        """What is left of the lease; a deadline further off than it is long: the clock was set."""
        turn.deadline = min(turn.deadline, self.now + turn.lease)
        return turn.deadline - self.now

    def _holds(self, header: Header, turn_id: str, token: str) -> bool:
        turn = header.turn
        return (
            turn is not None
            and turn.state == "running"
            and (turn.id, turn.token) == (turn_id, token)
        )

    def _may_take_over(self, turn: Turn, resume: bool) -> bool:
        if turn.state == "waiting":
            return resume
        return not turn.background and self._remaining(turn) <= 0

    def _blocked(self, header: Header) -> Busy | Waiting | None:
        """What the open turn means for somebody else; None when it stands in nobody's way."""
        turn = header.turn
        if turn is None:
            return None
        if turn.state == "waiting":
            return Waiting(turn.id)
        left = self._remaining(turn)
        if left > 0 or turn.background:
            return Busy(turn.worker, turn.id, max(0, left))
        half_done = bool(self.state.journal())
        if half_done and left + turn.lease > 0:
            return Busy(turn.worker, turn.id, left + turn.lease)
        self._drop_turn(header, turn)
        if half_done:
            self._write(header, turn.id, self.mint, "discarded", ())
        self._hand_over(header)
        return None

    def _open(
        self,
        header: Header,
        turn_id: str,
        token: str,
        worker: str,
        lease: int,
        attempt: int,
        background: bool,
    ) -> None:
        deadline = self.now + lease
        header.turn = Turn(turn_id, token, worker, attempt, deadline, lease, "running", background)
        header.claim_by = None
        self.wake.clear()

    def _open_message(
        self,
        header: Header,
        entry: Entry,
        token: str,
        lease: int,
        base: Base | None,
        worker: str,
    ) -> Grant:
        entry.attempts += 1
        self._open(header, entry.turn_id, token, worker, lease, entry.attempts, True)
        self._keep_alive(header, lease)
        return self._grant(header, base, entry.message)

    def _drop_turn(self, header: Header, turn: Turn) -> None:
        self.state.trim_journal()
        self._finish(header, turn.token)
        header.turn = None

    def _finish(self, header: Header, token: str) -> None:
        header.finished = [*header.finished, token][-TOKENS:]

    def _cancel_open(self, header: Header, turn: Turn) -> Cancelled:
        if turn.state == "running" and self._remaining(turn) > 0:
            turn.cancelled = True
            self.wake.append((turn.worker, turn.token))
            return Cancelled("flagged")
        self._drop_turn(header, turn)
        self._write(header, turn.id, self.mint, "cancelled", ())
        if turn.background and (entry := self._queued(turn.id)) is not None:
            self.state.queue.remove(entry)
        self._hand_over(header)
        self._expire(header)
        return Cancelled("dropped")

    # The queue.

    def _queued(self, turn_id: str) -> Entry | None:
        entries = (e for e in self.state.queue if e.turn_id == turn_id and e.kind != "ticket")
        return next(entries, None)

    def _ticket(self, token: str) -> Entry | None:
        entries = (e for e in self.state.queue if e.kind == "ticket" and e.token == token)
        return next(entries, None)

    def _head(self, header: Header) -> Entry | None:
        """Who is next on a free session. Whoever stopped waiting, or does not come, loses out."""
        if header.claim_by is not None:
            header.claim_by = min(header.claim_by, self.now + CLAIM_MS)
        queue = self.state.queue
        while queue:
            first = queue[0]
            if first.kind == "message" or self._in_line(header, first):
                return first
            queue.pop(0)
            if first.kind == "called off":
                commit_id = f"{self.mint}{header.commits}"
                self._write(header, first.turn_id, commit_id, "cancelled", ())
            if header.claim_by is not None:
                header.claim_by = self.now + CLAIM_MS
                self._wake(queue[0] if queue else None)
        header.claim_by = None
        return None

    def _in_line(self, header: Header, entry: Entry) -> bool:
        waits = entry.kind == "ticket" and min(entry.deadline - self.now, entry.wait) > 0
        return waits and not (header.claim_by is not None and self.now >= header.claim_by)

    def _claim_left(self, header: Header) -> int:
        return (header.claim_by or self.now + CLAIM_MS) - self.now

    def _hand_over(self, header: Header) -> None:
        header.claim_by = self.now + CLAIM_MS
        self._wake(self._head(header))

    def _wake(self, entry: Entry | None) -> None:
        if entry is not None and entry.kind == "ticket":
            self.wake.append((entry.worker, entry.token))

    # Writing history.

    def _too_large(self, header: Header, items: Sequence[bytes]) -> bool:
        return header.bytes + sum(map(len, items)) > self.bounds.max_bytes

    def _change(
        self,
        header: Header,
        op_id: str,
        kind: RecordKind,
        items: Sequence[bytes],
        keep: int | None = None,
    ) -> Done:
        self.state.header = header
        self._write(header, op_id, op_id, kind, items, keep=keep)
        self._expire(header)
        return self._done(header)

    def _write(
        self,
        header: Header,
        turn_id: str,
        commit_id: str,
        kind: RecordKind,
        items: Sequence[bytes],
        *,
        payload: bytes = b"",
        keep: int | None = None,
    ) -> None:
        if keep is not None and keep < header.items:
            self._cut(header, keep)
        self._roll_marks(header)
        ending = record(commit_id, self.now, len(items), kind, payload)
        elements = [*items, marker(turn_id), ending]
        self.state.extend(elements)
        header.elements += len(elements)
        header.items += len(items)
        header.bytes += sum(map(len, elements))
        header.commits += 1
        header.commit_id, header.updated = commit_id, self.now

    def _cut(self, header: Header, keep: int) -> None:
        """Drop every item after the first `keep`; markers younger than the retention stay."""
        first = self._position_after(header, keep)
        dropped = self.state.history(first, header.elements)
        search_from, second = header.marks
        kept = [
            (position, element)
            for position, element in enumerate(dropped, first)
            if not is_item(element) and position >= search_from
        ]
        self.state.truncate(first)
        self.state.extend([element for _, element in kept])
        younger = sum(position < second for position, _ in kept)
        header.marks = min(search_from, first), min(second, first) + younger
        header.bytes += sum(len(element) for _, element in kept) - sum(map(len, dropped))
        header.items, header.elements = keep, first + len(kept)

    def _position_after(self, header: Header, keep: int) -> int:
        """Where the first item that is to go stands."""
        if keep == 0:
            return 0
        drop, position, size = header.items - keep, header.elements, 16
        while True:
            first = max(0, position - size)
            for element in reversed(self.state.history(first, position)):
                position -= 1
                drop -= is_item(element)
                if drop == 0:
                    return position
            size *= 2

    def _roll_marks(self, header: Header) -> None:
        header.marked = min(header.marked, self.now)
        age, retention = self.now - header.marked, self.bounds.retention
        if age <= retention:
            return
        end = header.elements
        header.marks = (end if age > 2 * retention else header.marks[1], end)
        header.marked = self.now

    # Expiry.

    def _expire_provisionally(self, header: Header, lease: int) -> None:
        """A session without a commit goes away by itself, unless its expiry was set otherwise."""
        if header.commits > 0 or (header.provisional is None and not self._creates):
            return
        if header.expires != header.provisional:
            header.provisional = None
            return
        header.provisional = header.expires = self.now + 2 * lease

    def _settle_down(self, header: Header) -> None:
        if header.provisional is not None and header.expires == header.provisional:
            header.expires = None
        header.provisional = None

    def _expire(self, header: Header) -> None:
        self._settle_down(header)
        if self.bounds.ttl is not None:
            header.expires = self.now + self.bounds.ttl

    def _keep_alive(self, header: Header, lease: int) -> None:
        if self.bounds.ttl is not None and header.expires is not None:
            least = self.now + 2 * lease
            if header.expires < least:
                header.expires = max(self.now + self.bounds.ttl, least)
