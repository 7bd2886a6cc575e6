"""How an open turn ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from turnwise.stores.embedded.verbs.history import (
    Cut,
    done,
    done_before,
    duplicate,
    find_turn,
    plan_cut,
    record_of,
    stale,
    stale_base,
    too_large,
    write_turn,
)
from turnwise.stores.embedded.verbs.lease import (
    close_turn,
    count_end,
    finish_token,
    held_turn,
    is_finished,
    lease_left,
    leave_queue,
)
from turnwise.stores.embedded.verbs.queue import (
    find_message,
    offer_to_head,
    wake_all,
    wake_senders,
)
from turnwise.stores.embedded.verbs.session import READY, NewDeadLetter, SessionVerbs
from turnwise.stores.header import StoredTurn
from turnwise.types import (
    Base,
    Cancelled,
    Done,
    Duplicate,
    Full,
    Gone,
    RecordKind,
    Stale,
    TokenUsage,
)


class EndVerbs(SessionVerbs):
    """The verbs that end an open turn, or its attempt."""

    def commit(
        self,
        turn_id: str,
        token: str,
        base: Base,
        commit_id: str,
        items: Sequence[bytes],
        *,
        keep: int | None = None,
        payload: bytes = b"",
        kind: Literal["turn", "cancelled"] = "turn",
        usage: TokenUsage | None = None,
    ) -> Done | Stale | Gone | Full:
        s = self._s
        if not s.exists:
            return Gone()
        turn = held_turn(s, turn_id, token)
        if turn is None or stale_base(s, base):
            before = done_before(s, turn_id, commit_id)
            return before or Stale(s.header.incarnation, history_changed=turn is not None)
        cut = None if keep is None else plan_cut(s, keep)
        if too_large(s, items, cut):
            return Full(s.limits.max_bytes)
        return self._end_turn(turn, commit_id, kind, items, payload=payload, cut=cut, usage=usage)

    def park(self, turn_id: str, token: str, state: bytes) -> Done | Stale | Gone:
        s = self._s
        if not s.exists:
            return Gone()
        turn = held_turn(s, turn_id, token)
        if turn is None:
            return done(s) if self._parked_state(turn_id) == state else stale(s)
        turn.state, turn.was_parked = "parked", True
        turn.decided, turn.deadline = False, s.now
        s.state.clear_journal()
        s.state.extend_journal([state])
        if turn.cancel_mode == "keep":
            turn.cancel_mode = None
        count_end(s, turn, failed=False)
        s.refresh_expiry()
        wake_all(s)
        return done(s)

    def _parked_state(self, turn_id: str) -> bytes | None:
        """What the open turn, if it is this one, was parked with last."""
        turn = self._s.header.turn
        if turn is None or turn.id != turn_id or not turn.was_parked:
            return None
        return self._s.state.journal()[0]

    def stop(self, turn_id: str, token: str, letter: bytes) -> Done | Stale | Gone:
        s = self._s
        if not s.exists:
            return Gone()
        turn = held_turn(s, turn_id, token)
        if turn is None:
            return done(s) if self._stopped_at(turn_id, letter) is not None else stale(s)
        s.state.clear_journal()
        s.state.extend_journal([letter])
        turn.state, turn.stopped_at = "stopped", s.now
        turn.cancel_mode, turn.was_parked, turn.decided = None, False, False
        s.refresh_expiry()
        wake_all(s)
        return done(s)

    def _stopped_at(self, turn_id: str, letter: bytes) -> StoredTurn | None:
        """The open turn, if it is this one, stopped with this letter."""
        turn = self._s.header.turn
        if turn is None or turn.id != turn_id or turn.state != "stopped":
            return None
        return turn if self._s.state.journal()[0] == letter else None

    def abort(self, turn_id: str, token: str) -> None:
        s = self._s
        if not s.exists:
            return
        if (turn := held_turn(s, turn_id, token)) is not None:
            count_end(s, turn, failed=True)
            close_turn(s, turn)
            offer_to_head(s)
        self._finish(turn_id, token)

    def release(
        self,
        turn_id: str,
        token: str,
        *,
        counted: bool = False,
        delay_ms: int = 0,
        decided: bool | None = None,
        attempt: int | None = None,
    ) -> bool:
        s = self._s
        if not s.exists:
            return False
        was_finished = is_finished(s.header, token)
        turn = held_turn(s, turn_id, token)
        if attempt is not None and not was_finished:
            turn = self._of_attempt(turn_id, attempt)
        if turn and not (turn.background or turn.was_parked or s.state.journal()):
            close_turn(s, turn)
            offer_to_head(s)
        elif turn:
            turn.token, turn.deadline = s.new_id, s.now
            count_end(s, turn, failed=counted)
            if decided is not None:
                turn.decided = decided and turn.background
            if turn.was_parked or not turn.background:
                wake_all(s)
            if turn.background and turn.is_for_workers:
                self._offer_to_workers(turn, delay_ms)
        self._finish(turn_id, token)
        return turn is not None or was_finished

    def _of_attempt(self, turn_id: str, attempt: int) -> StoredTurn | None:
        """The open turn, if somebody has this attempt at it; who has it loses it, and is woken."""
        s, turn = self._s, self._s.header.turn
        if turn is None or (turn.id, turn.state, turn.attempt) != (turn_id, "running", attempt):
            return None
        finish_token(s.header, turn.token)
        s.to_wake.append((turn.worker, turn.token))
        return turn

    def _offer_to_workers(self, turn: StoredTurn, delay_ms: int) -> None:
        if delay_ms > 0:
            turn.delay_ms = delay_ms
            self._s.outlive(delay_ms)
        else:
            self._s.next_up.append(("", READY))

    def _finish(self, turn_id: str, token: str) -> None:
        """The token holds nothing any more, and its begin, if still on the way, is refused.

        A session with nothing to keep is deleted.
        """
        s = self._s
        leave_queue(s, turn_id, token)
        finish_token(s.header, token)
        if s.header.commits == 0 and not s.state.queue and s.header.turn is None:
            s.state.header = None

    def cancel(
        self,
        turn_id: str | None = None,
        *,
        keep: bool = False,
        force: bool = False,
        open_only: bool = False,
        reason: str = "",
    ) -> Cancelled | Duplicate:
        s, turn = self._s, self._s.header.turn
        if turn_id is None:
            turn_id = "" if turn is None else turn.id
        if turn is not None and turn.id == turn_id:
            return self._cancel_open(turn, keep=keep, force=force, reason=reason)
        if (entry := find_message(s, turn_id)) is not None:
            if entry.kind == "message":
                if open_only:
                    return Cancelled("absent", turn_id)
                entry.kind, entry.commit_id, entry.reason = "cancelled", s.new_id, reason
                wake_senders(s, turn_id)
                if turn is None:
                    offer_to_head(s)
            return Cancelled("dropped", turn_id, payload=entry.reason.encode())
        if (position := find_turn(s, turn_id)) is None:
            return Cancelled("absent", turn_id)
        record = record_of(s, position)
        if record.kind == "cancelled" and not record.items:
            return Cancelled("dropped", turn_id, payload=record.payload)
        return duplicate(s, position)

    def _cancel_open(self, turn: StoredTurn, *, keep: bool, force: bool, reason: str) -> Cancelled:
        s = self._s
        if keep and turn.suspended(s.now) is not None:
            return Cancelled("absent", turn.id)
        turn.cancel_reason = turn.cancel_reason or reason
        if turn.state == "running" and lease_left(s, turn) > 0:
            s.to_wake.append((turn.worker, turn.token))
            if not force:
                turn.cancel_mode = "keep" if keep and turn.cancel_mode != "drop" else "drop"
                return Cancelled("flagged", turn.id, turn.worker)
        payload = turn.cancel_reason.encode()
        self._end_turn(turn, s.new_id, "cancelled", payload=payload)
        return Cancelled("dropped", turn.id, turn.worker, payload)

    def dead_letter(self, turn_id: str, token: str, letter: bytes) -> Done | Stale | Gone:
        s = self._s
        if not s.exists:
            return Gone()
        commit_id = f"dead-{token}"
        turn = held_turn(s, turn_id, token) or self._stopped_at(turn_id, letter)
        if turn is None:
            return done_before(s, turn_id, commit_id) or stale(s)
        dead_letter_id = f"{s.now:013d}-{s.new_id}"
        s.dead_letters.append(NewDeadLetter(dead_letter_id, turn_id, s.now, letter))
        return self._end_turn(turn, commit_id, "dead", payload=dead_letter_id.encode())

    def _end_turn(
        self,
        turn: StoredTurn,
        commit_id: str,
        kind: RecordKind,
        items: Sequence[bytes] = (),
        *,
        payload: bytes = b"",
        cut: Cut | None = None,
        usage: TokenUsage | None = None,
    ) -> Done:
        """The open turn becomes history, its message leaves the queue, and the next is woken."""
        s = self._s
        close_turn(s, turn)
        how: dict[str, Any] = {"payload": payload, "cut": cut, "turn": turn, "usage": usage}
        write_turn(s, turn.id, commit_id, kind, items, **how)
        if turn.background and (message := find_message(s, turn.id)) is not None:
            s.state.queue.remove(message)
        s.refresh_expiry()
        answer = done(s)
        wake_senders(s, turn.id)
        offer_to_head(s)
        return answer
