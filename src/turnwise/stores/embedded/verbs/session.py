"""What the verbs share: the session they run on, and when it expires."""

from __future__ import annotations

from dataclasses import dataclass, field

from turnwise.limits import Limits
from turnwise.stores.embedded.state import Header, State

READY = "ready"
"""The token that wakes those who wait for any session to have a message."""


@dataclass(frozen=True, slots=True)
class NewDeadLetter:
    """A dead letter to be kept; ids are in the order of time."""

    id: str
    turn_id: str
    at: int
    content: bytes


@dataclass(slots=True)
class Session:
    """One session while a verb runs on it; `header` is a new one where there is none yet.

    `now` is the store's time (ms), `mint` a random id to spend. `wake` collects the (worker,
    token) pairs to wake once the verb has taken effect (as it is their turn, unless somebody has
    taken it by then; `told`: in any case), `letters` what is to be kept with it.
    """

    state: State
    limits: Limits
    now: int
    mint: str
    wake: list[tuple[str, str]] = field(default_factory=list)
    told: list[tuple[str, str]] = field(default_factory=list)
    letters: list[NewDeadLetter] = field(default_factory=list)
    header: Header = field(init=False)

    def __post_init__(self) -> None:
        self.header = self.state.header or Header(
            self.mint, self.mint, self.now, self.now, self.now
        )

    @property
    def exists(self) -> bool:
        return self.state.header is not None

    def keep(self) -> None:
        """From the first write on there is such a session."""
        self.state.header = self.header

    def is_provisional(self) -> bool:
        """Whether its expiry is still the one that a session without a commit is given."""
        header = self.header
        return header.provisional is not None and header.expires == header.provisional

    def outlive(self, lease: int) -> None:
        """The expiry must not fall into a lease that begins now."""
        header, least = self.header, self.now + 2 * lease
        if not self.exists or self.is_provisional():
            # What a dead turn had finished waits for its retry.
            wait = self.limits.ttl or self.limits.retention if self.state.journal() else 0
            header.provisional = header.expires = max(least, self.now + wait)
            return
        header.provisional = None
        if self.limits.ttl is not None and header.expires is not None and header.expires < least:
            header.expires = max(self.now + self.limits.ttl, least)

    def refresh_expiry(self) -> None:
        """The session has something to keep."""
        header = self.header
        if self.is_provisional():
            header.expires = None
        header.provisional = None
        if self.limits.ttl is not None:
            header.expires = self.now + self.limits.ttl
