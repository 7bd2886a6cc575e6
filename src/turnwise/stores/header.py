"""The header of a stored session: all that a store keeps of it besides its elements.

It is stored as JSON, under the names below, in Redis and in SQLite. On Redis, the scripts read and
write it (`redis/lua/shared/session.lua`): there, absent fields are nil. Times are ms since the
epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

import msgspec

from turnwise.errors import NewerFormat, NotASession, UsageError
from turnwise.printable import printable
from turnwise.types import (
    CancelMode,
    Info,
    OpenTurn,
    Parked,
    SessionState,
    SessionSummary,
    Stopped,
    TokenUsage,
)

SDK_SESSIONS = (
    "Are they the Agents SDK's own sessions? The README says how these are brought over: Coming "
    "from the SDK's sessions"
)
"""Ends what is said of data that is not ours."""
FORMAT = 1
"""The format that this version writes; it reads no newer one."""
_OWNER_BYTES = 256


class StoredTurn(msgspec.Struct, omit_defaults=True):
    """The open turn.

    Attributes:
        id: its turn_id.
        token: what its holder proves to be the holder with.
        worker: the worker that runs it, or did.
        attempt: 1 for the first.
        deadline: when its lease ends.
        lease_ms: the length of the lease.
        state: a parked or stopped turn has no lease.
        background: whether it came from the queue.
        cancel_mode: how it was asked to end.
        cancel_reason: the first reason that was given for it.
        released: how many attempts were released, and count as no failure.
        failed: how many attempts failed. The others that ended died.
        alone: whether its worker runs no other message.
        died_alone: whether such a worker died.
        was_parked: whether it is parked, or was and is parked again when its lease ends. Its
            journal begins with the state that it was parked with last.
        decided: whether its approvals are decided, so that workers continue it.
        stopped_at: when it was stopped. Its dead letter is then its journal.
        delay_ms: how long after the deadline the next attempt may begin.
        one_shot: whether nobody can send this turn_id again.
    """

    id: str
    token: str
    worker: str
    attempt: int
    deadline: int
    lease_ms: int
    state: Literal["running", "parked", "stopped"]
    background: bool = False
    cancel_mode: CancelMode | None = None
    cancel_reason: str = ""
    released: int = 0
    failed: int = 0
    alone: bool = False
    died_alone: bool = False
    was_parked: bool = False
    decided: bool = False
    stopped_at: int = 0
    delay_ms: int = 0
    one_shot: bool = False

    @property
    def next_attempt_at(self) -> int:
        """When another attempt at a message may begin."""
        return self.deadline + self.delay_ms

    @property
    def is_for_workers(self) -> bool:
        """Whether a worker may take it over, if it is a message's and its lease ends."""
        return self.state != "stopped" and (self.decided or not self.was_parked)

    @property
    def deaths(self) -> int:
        """How many earlier attempts ended with the death of their workers."""
        ended = self.attempt if self.state == "parked" else self.attempt - 1
        return max(0, ended - self.released - self.failed)

    def lease_left(self, now: int) -> int:
        """In ms; 0 or below for a dead turn. At most a whole lease: the clock may have been set."""
        return min(self.deadline - now, self.lease_ms)

    def state_at(self, now: int) -> tuple[SessionState, int | None]:
        """How a listing calls it, and since when it is so."""
        if self.state == "stopped":
            return "stopped", self.stopped_at
        if self.suspended(now) is not None and not (self.decided and self.state == "running"):
            return "parked", self.deadline
        if self.lease_left(now) > 0:
            return "running", None
        return ("dead" if self.next_attempt_at <= now else "retrying"), self.deadline

    def suspended(self, now: int) -> Parked | Stopped | None:
        """The answer if it is parked or stopped. It is parked again if who resumed it died."""
        if self.state == "stopped":
            return Stopped(self.id)
        if self.state == "parked" or (self.was_parked and self.lease_left(now) <= 0):
            return Parked(self.id)
        return None


def check_owner(owner: object) -> str:
    """The owner's name. Raises UsageError."""
    try:
        if isinstance(owner, str) and 0 < len(owner.encode()) <= _OWNER_BYTES:
            return owner
    except UnicodeEncodeError:  # a lone surrogate
        pass
    raise UsageError(
        f"{printable(ascii(owner))} is no owner: use a non-empty string of at most {_OWNER_BYTES} "
        "bytes in UTF-8, or None for a caller who may use all sessions"
    )


class Header(msgspec.Struct, omit_defaults=True, kw_only=True):
    """The header, in any store.

    Attributes:
        format: see FORMAT.
        incarnation: a random id of this session, from its creation to its deletion.
        elements, items, bytes: of the history. Elements include markers and records. `bytes` sums
            up the `weight` of each (turnwise/codec/zstd.py).
        commits: how many there were.
        commit_id: of the last commit; the incarnation, if there was none.
        created, updated: times.
        finished_tokens: the last FINISHED_TOKENS of them, the oldest first, with spaces between.
        search_start: the position from which on a turn_id is searched.
        next_search_start: the position that it moves to when the retention has passed.
        search_rolled: when it was moved last.
        turn: the open turn.
        retention_ms: the longest retention of all processes that committed to it.
        ttl_ms: the ttl of the last process that has one; it counts for those that have none.
        provisional_expiry: the expiry that this session was given while it had no commit.
        head_deadline: until when a free session is reserved for the head of its queue.
        usage: what its turns consumed: the counts of `TokenUsage`, in their order.
        owner: whose view of the store created it; None if that was nobody's.
    """

    format: int
    incarnation: str
    commit_id: str
    created: int
    updated: int
    elements: int = 0
    items: int = 0
    bytes: int = 0
    commits: int = 0
    finished_tokens: str = ""
    search_start: int = 0
    next_search_start: int = 0
    search_rolled: int
    turn: StoredTurn | None = None
    retention_ms: int = 0
    ttl_ms: int | None = None
    provisional_expiry: int | None = None
    head_deadline: int | None = None
    usage: list[int] = []
    owner: str | None = None

    def info(
        self, session_id: str, now: int, *, queued: int, journal_entries: int, ttl_ms: int | None
    ) -> Info:
        """What an operator is shown."""
        state, since = self._state_at(now, queued)
        return Info(
            session_id=session_id,
            state=state,
            since=since,
            incarnation=self.incarnation,
            items=self.items,
            turns=self.commits,
            bytes=self.bytes,
            queued=queued,
            journal_entries=journal_entries,
            created_at=self.created / 1000,
            updated_at=self.updated / 1000,
            expires_in=None if ttl_ms is None else ttl_ms / 1000,
            open_turn=None if self.turn is None else _open_turn(self.turn, now),
            usage=TokenUsage(*self.usage),
            owner=self.owner,
        )

    def summary(self, session_id: str, now: int, *, queued: int) -> SessionSummary:
        """What a listing shows."""
        state, since = self._state_at(now, queued)
        return SessionSummary(
            session_id=session_id,
            state=state,
            since=since,
            items=self.items,
            bytes=self.bytes,
            queued=queued,
            updated_at=self.updated / 1000,
            open_turn=None if self.turn is None else _open_turn(self.turn, now),
            turns=self.commits,
            usage=TokenUsage(*self.usage),
            owner=self.owner,
        )

    def _state_at(self, now: int, queued: int) -> tuple[SessionState, float | None]:
        """What the session's state is called, and since when it is so, in seconds."""
        if self.turn is not None:
            state, since_ms = self.turn.state_at(now)
            return state, None if since_ms is None else since_ms / 1000
        return ("queued", None) if queued else ("idle", self.updated / 1000)


def unreadable(session_id: str, error: NewerFormat | NotASession) -> SessionSummary:
    """What a listing shows of a session whose header cannot be read."""
    state: SessionState = "newer" if isinstance(error, NewerFormat) else "unreadable"
    return SessionSummary(session_id, state, error=str(error))


def _open_turn(turn: StoredTurn, now: int) -> OpenTurn:
    suspended = turn.suspended(now)
    return OpenTurn(
        turn_id=turn.id,
        attempt=turn.attempt,
        worker=turn.worker,
        state="parked" if isinstance(suspended, Parked) else turn.state,
        lease_remaining=turn.lease_left(now) / 1000 if suspended is None else None,
        cancel_mode=turn.cancel_mode,
        background=turn.background,
        failed=turn.failed,
        died=turn.deaths,
    )


H = TypeVar("H", bound=Header)


def parse(
    raw: bytes,
    decoder: msgspec.json.Decoder[H],
    session_id: str,
    foreign: Callable[[], NotASession],
) -> H:
    """The stored header. Raises NewerFormat, or the error that `foreign` makes."""
    try:
        header = decoder.decode(raw)
    except msgspec.MsgspecError:
        # A newer header may differ in everything but its `format`.
        if (version := _format_of(raw)) > FORMAT:
            raise newer(session_id, version) from None
        raise foreign() from None
    if header.format > FORMAT:
        raise newer(session_id, header.format)
    return header


def newer(session_id: str, version: object) -> NewerFormat:
    return NewerFormat(
        f"it was written in format {version} by a newer version of Turnwise; it was left as it "
        "is. Upgrade this worker",
        session_id=session_id,
    )


def _format_of(raw: bytes) -> int:
    """0 if it says none."""
    try:
        content: Any = msgspec.json.decode(raw)
        version = content["format"]
    except (msgspec.MsgspecError, KeyError, TypeError):
        return 0
    return version if isinstance(version, int) else 0
