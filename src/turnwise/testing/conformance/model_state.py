"""The session, its open turn and its queue, as the model of the contract sees them."""

from __future__ import annotations

from dataclasses import dataclass, field

from turnwise import types as t
from turnwise.types import CancelMode

KNOWN, REMEMBERED = 8, 4
"""A store knows the last eight finished tokens; the model insists on the last four."""
NOBODY = ""
"""The token of a released turn."""


@dataclass(slots=True)
class Open:
    """The open turn.

    Attributes:
        mortal: its lease may have run out.
        delayed: its attempt failed, and the next may not begin yet.
        resumed: it was parked before.
        decided: it was parked, and workers may continue it.
        state: what it was parked with last.
        letter: what its session is stopped with.
    """

    turn_id: str
    token: str
    attempt: int
    mortal: bool
    delayed: bool = False
    background: bool = False
    parked: bool = False
    released: int = 0
    cancel_mode: CancelMode | None = None
    cancel_reason: str = ""
    resumed: bool = False
    decided: bool = False
    state: bytes | None = None
    letter: bytes | None = None
    journal: list[bytes] = field(default_factory=list)
    message: bytes | None = None


@dataclass(slots=True)
class Waiting:
    """An entry of the queue: a caller's if it has a token, else a message."""

    turn_id: str
    token: str = ""
    message: bytes = b""


class ModelSession:
    """What is in the session, and what each answer may find there."""

    def __init__(self) -> None:
        self.items: list[bytes] = []
        self.open: Open | None = None
        self.queue: list[Waiting] = []
        self.finished: dict[str, str] = {}
        """Commit id or kind by turn_id."""
        self.cancelled: dict[str, bytes] = {}
        """The payload of their records by turn_id."""
        self.kept: set[str] = set()  # of the cancelled ones
        self.ended: list[str] = []
        self.tip = t.Base(0, "")
        self.cuts = 0

    def compare(self, info: t.Info) -> None:
        """The store may have found that the turn is dead, on the way to another answer."""
        opened = info.open_turn
        if opened is None:
            self._free()
            return
        turn = self.open
        assert turn is not None
        assert (opened.turn_id, opened.attempt) == (turn.turn_id, turn.attempt)
        if opened.state == "parked":
            assert turn.parked or (turn.resumed and turn.mortal)
        elif opened.state == "stopped":
            assert turn.letter is not None
        else:
            assert turn.letter is None
            assert not turn.parked
        assert (opened.background, info.journal_entries) == (turn.background, len(turn.journal))
        assert opened.cancel_mode == turn.cancel_mode
        assert info.queued >= len([e for e in self.queue if not e.token])

    def look(self, turn_id: str, status: object) -> None:
        turn = self.open
        if turn is not None and turn.turn_id == turn_id:
            if turn.letter is not None:
                assert isinstance(status, t.Stopped)
                assert status.letter == turn.letter
                return
            assert isinstance(status, t.Parked | t.Running)
            may_wait = turn.parked or (turn.resumed and turn.mortal)
            assert may_wait if isinstance(status, t.Parked) else not turn.parked
        elif any(e.turn_id == turn_id for e in self.queue if not e.token):
            assert isinstance(status, t.Queued)
        elif turn_id in self.finished:
            assert isinstance(status, t.Duplicate)
            assert status.record is not None
            assert (status.record.kind == "cancelled") == (turn_id in self.cancelled)
            assert status.record.payload == self.cancelled.get(turn_id, status.record.payload)
        else:
            assert status == t.Absent()

    # What the verbs have in common.

    def _held(self, turn_id: str, token: str) -> Open | None:
        turn = self.open
        if turn is None or turn.parked or turn.letter is not None or not turn.token:
            return None
        return turn if (turn.turn_id, turn.token) == (turn_id, token) else None

    def _forget(self, token: str) -> None:
        """The token is finished. A store keeps a known one where it is in the order."""
        if token == NOBODY or token not in self.ended[-KNOWN:]:
            self.ended.append(token)

    def _is_suspended(self, turn: Open) -> bool:
        """Whether it is parked, may be parked again, or is stopped."""
        return turn.parked or turn.letter is not None or (turn.resumed and turn.mortal)

    def _end(self) -> None:
        assert self.open is not None
        self._forget(self.open.token)
        self.open = None

    def _free(self) -> None:
        """The store found the session free: then nothing is open, or it died."""
        turn = self.open
        if turn is None:
            return
        assert turn.mortal
        assert not turn.background
        assert not turn.parked
        assert not turn.resumed
        assert turn.letter is None
        if turn.journal:
            self.finished[turn.turn_id] = "abandoned"
        self._end()

    def _blocked(self, answer: object) -> None:
        assert self.open is not None
        if isinstance(answer, t.Parked):
            assert self.open.parked or (self.open.resumed and self.open.mortal)
            assert answer.turn_id == self.open.turn_id
        elif isinstance(answer, t.Stopped):
            assert self.open.letter is not None
            assert answer.turn_id == self.open.turn_id
        else:
            assert isinstance(answer, t.Busy)
            assert not self.open.parked
            assert self.open.letter is None
            assert answer.turn_id == self.open.turn_id

    def _changed(self, answer: object, op_id: str, items: list[bytes], cut: bool) -> None:
        """An answer to a change: it was made once, now or before, or the session is not free."""
        if not isinstance(answer, t.Done):
            self._blocked(answer)
            return
        assert answer.tip.commit_id == op_id
        if op_id not in self.finished:
            self._free()
            self.finished[op_id] = op_id
            self.items = items
            self.cuts += cut
