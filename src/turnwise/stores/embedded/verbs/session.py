"""What all verbs share: the session that they run on, and when it expires."""

from __future__ import annotations

from dataclasses import dataclass, field

from turnwise.limits import Limits
from turnwise.stores.embedded.state import EmbeddedHeader, PlainState, State, new_header

READY = "ready"
"""The token that wakes those who wait for any session to have a message."""
WakeUp = tuple[str, str]
"""A worker ("" for any) and the token that wakes one of its listeners."""


@dataclass(frozen=True, slots=True)
class NewDeadLetter:
    """A dead letter to be stored. Ids are in the order of time."""

    id: str
    turn_id: str
    at_ms: int
    content: bytes


@dataclass(slots=True)
class Session:
    """One session while a verb runs on it.

    Attributes:
        state: what is stored of it.
        limits: the store's.
        now: the store's time, in ms.
        new_id: a random id that the verb may use.
        owner: for whom it runs; None for anybody, who may use all sessions.
        taken: whether there is a session, and it is not this owner's. Then `state` is that of none.
        next_up: the wake-ups of the queue's head.
        to_wake: wake-ups of others.
        dead_letters: to be stored together with what the verb did.
        header: the stored one, or a new one.
    """

    state: State
    limits: Limits
    now: int
    new_id: str
    owner: str | None = None
    taken: bool = False
    next_up: list[WakeUp] = field(default_factory=list)
    to_wake: list[WakeUp] = field(default_factory=list)
    dead_letters: list[NewDeadLetter] = field(default_factory=list)
    header: EmbeddedHeader = field(init=False)

    def __post_init__(self) -> None:
        self.header = self.state.header or new_header(self.new_id, self.now, self.owner)

    @property
    def exists(self) -> bool:
        return self.state.header is not None

    def save(self) -> None:
        """Create the session, if it does not exist yet."""
        assert not self.taken, "a verb that creates a session answers Taken first"
        self.state.header = self.header

    @property
    def ttl_ms(self) -> int | None:
        """This process's ttl, or that of another process, if only that has one."""
        return self.header.ttl_ms if self.limits.ttl_ms is None else self.limits.ttl_ms

    @property
    def retention_ms(self) -> int:
        """The longest retention of all processes that committed to the session."""
        return max(self.limits.retention_ms, self.header.retention_ms)

    def has_provisional_expiry(self) -> bool:
        """Whether its expiry is still the one that a session without a commit is given."""
        provisional = self.header.provisional_expiry
        return provisional is not None and provisional == self.header.expires

    def outlive(self, lease_ms: int) -> None:
        """Keep the session from expiring during a lease that begins now."""
        header, least = self.header, self.now + 2 * lease_ms
        ttl_ms = self.ttl_ms
        if not self.exists or self.has_provisional_expiry():
            # The journal of a dead turn is kept until the turn is sent again.
            kept_ms = (ttl_ms or self.retention_ms) if self.state.journal() else 0
            header.provisional_expiry = header.expires = max(least, self.now + kept_ms)
            return
        header.provisional_expiry = None
        if ttl_ms is not None and header.expires is not None and header.expires < least:
            header.expires = max(self.now + ttl_ms, least)

    def refresh_expiry(self) -> None:
        """It has something to keep: its provisional expiry goes, its ttl starts again."""
        header = self.header
        if self.has_provisional_expiry():
            header.expires = None
        header.provisional_expiry = None
        if self.ttl_ms is not None:
            header.ttl_ms, header.expires = self.ttl_ms, self.now + self.ttl_ms


class SessionVerbs:
    """A group of verbs on one session, of which one is called, once.

    Args:
        state: what is stored of the session.
        limits: the store's.
        now: the store's time, in ms.
        new_id: a random id that the verb may use.
        owner: for whom the verb runs: other owners' sessions do not exist; None for anybody.
    """

    def __init__(
        self, state: State, limits: Limits, now: int, new_id: str, owner: str | None
    ) -> None:
        stored = state.header
        taken = owner is not None and stored is not None and stored.owner != owner
        seen = PlainState() if taken else state
        self._s = Session(seen, limits, now, new_id, owner, taken)

    @property
    def now(self) -> int:
        return self._s.now

    @property
    def wake_ups(self) -> list[WakeUp]:
        """Whom to wake once the verb has taken effect."""
        return [*self._s.to_wake, *self._s.next_up]

    @property
    def dead_letters(self) -> list[NewDeadLetter]:
        """The dead letters to store together with what the verb did."""
        return self._s.dead_letters
