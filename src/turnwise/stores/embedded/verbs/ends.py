"""How an open turn ends, other than by its commit."""

from __future__ import annotations

from collections.abc import Sequence

from turnwise.limits import Limits
from turnwise.stores.embedded.state import State, Turn
from turnwise.stores.embedded.verbs.history import (
    Cut,
    done,
    duplicate,
    find,
    record_at,
    repeated,
    stale,
    write,
)
from turnwise.stores.embedded.verbs.lease import (
    drop_turn,
    excuse,
    finish,
    held,
    leave,
    remaining,
    waits,
)
from turnwise.stores.embedded.verbs.queue import hand_over, queued, tell_line, tell_senders
from turnwise.stores.embedded.verbs.session import READY, NewDeadLetter, Session
from turnwise.types import Cancelled, Done, Duplicate, Gone, RecordKind, Stale


class EndVerbs:
    """One verb on one session: its state, the store's time (ms), a random id to spend."""

    def __init__(self, state: State, limits: Limits, now: int, mint: str) -> None:
        self._s = Session(state, limits, now, mint)

    @property
    def now(self) -> int:
        """The store's time at which this verb runs, in ms."""
        return self._s.now

    @property
    def wake(self) -> list[tuple[str, str]]:
        """The (worker, token) pairs to wake once the verb has taken effect."""
        return [*self._s.told, *self._s.wake]

    @property
    def dead_letters(self) -> list[NewDeadLetter]:
        """The dead letters to be kept together with what the verb did."""
        return self._s.letters

    def abort(self, turn_id: str, token: str) -> None:
        s = self._s
        if not s.exists:
            return
        if (turn := held(s, turn_id, token)) is not None:
            drop_turn(s, turn)
            hand_over(s)
        self._forgo(turn_id, token)

    def release(self, turn_id: str, token: str, *, counted: bool, delay: int) -> None:
        s = self._s
        if not s.exists:
            return
        turn = held(s, turn_id, token)
        if turn and not (turn.background or turn.parked or s.state.journal()):
            drop_turn(s, turn)
            hand_over(s)
        elif turn:
            turn.token, turn.deadline = s.mint, s.now
            if not counted:
                excuse(s, turn)
            if turn.parked or not turn.background:
                tell_line(s)
            elif delay > 0:
                turn.delay = delay
                s.outlive(delay)
            else:
                s.wake.append(("", READY))
        self._forgo(turn_id, token)

    def _forgo(self, turn_id: str, token: str) -> None:
        """The token holds nothing more, and will not: its begin may still be on the way."""
        s = self._s
        leave(s, turn_id, token)
        finish(s.header, token)
        if s.header.commits == 0 and not s.state.queue and s.header.turn is None:
            s.state.header = None

    def cancel(
        self, turn_id: str | None, *, keep: bool, force: bool, open_only: bool, note: str
    ) -> Cancelled | Duplicate:
        s, turn = self._s, self._s.header.turn
        if turn_id is None:
            turn_id = "" if turn is None else turn.id
        if turn is not None and turn.id == turn_id:
            return self._cancel_open(turn, keep=keep, force=force, note=note)
        if (entry := queued(s, turn_id)) is not None:
            if entry.kind == "message":
                if open_only:
                    return Cancelled("absent", turn_id)
                entry.kind, entry.message, entry.note = "called off", s.mint.encode(), note
                tell_senders(s, turn_id)
                if turn is None:
                    hand_over(s)
            return Cancelled("dropped", turn_id, payload=entry.note.encode())
        if (position := find(s, turn_id)) is None:
            return Cancelled("absent", turn_id)
        record = record_at(s, position)
        if record.kind == "cancelled" and not record.items:
            return Cancelled("dropped", turn_id, payload=record.payload)
        return duplicate(s, position)

    def _cancel_open(self, turn: Turn, *, keep: bool, force: bool, note: str) -> Cancelled:
        s = self._s
        if keep and waits(s, turn):
            return Cancelled("absent", turn.id)
        turn.note = turn.note or note
        if turn.state == "running" and remaining(s, turn) > 0:
            s.told.append((turn.worker, turn.token))
            if not force:
                turn.stop = "keep" if keep and turn.stop != "drop" else "drop"
                return Cancelled("flagged", turn.id, turn.worker)
        payload = turn.note.encode()
        self._end(turn, s.mint, "cancelled", payload=payload)
        return Cancelled("dropped", turn.id, turn.worker, payload)

    def dead_letter(self, turn_id: str, token: str, letter: bytes) -> Done | Stale | Gone:
        s = self._s
        if not s.exists:
            return Gone()
        commit_id = f"dead-{token}"
        turn = held(s, turn_id, token)
        if turn is None:
            return repeated(s, turn_id, commit_id) or stale(s)
        dead_letter_id = f"{s.now:013d}-{s.mint}"
        s.letters.append(NewDeadLetter(dead_letter_id, turn_id, s.now, letter))
        return self._end(turn, commit_id, "dead", payload=dead_letter_id.encode())

    def _end(
        self,
        turn: Turn,
        commit_id: str,
        kind: RecordKind,
        items: Sequence[bytes] = (),
        *,
        payload: bytes = b"",
        plan: Cut | None = None,
    ) -> Done:
        """The open turn becomes history, its message leaves the queue, the next is woken."""
        s = self._s
        drop_turn(s, turn)
        write(s, turn.id, commit_id, kind, items, payload=payload, plan=plan)
        if turn.background and (message := queued(s, turn.id)) is not None:
            s.state.queue.remove(message)
        s.refresh_expiry()
        answer = done(s)
        tell_senders(s, turn.id)
        hand_over(s)
        return answer
