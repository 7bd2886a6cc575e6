"""What the embedded stores keep of a session: the parts that Redis has, under their long names."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from turnwise.types import CancelMode

VERSION = 1


class Turn(msgspec.Struct):
    """The open turn. `deadline` is when its lease of `lease` ms runs out.

    `stop` is how it was asked to stop, `note` what the first said who asked; `released` of its
    attempts ended in good order. `parked` is the length of its journal up to its last state; 0 if
    it was never parked. `delay` is how many ms after its deadline no other attempt begins before.
    `one_shot`: nobody can send it again.
    """

    id: str
    token: str
    worker: str
    attempt: int
    deadline: int
    lease: int
    state: Literal["running", "waiting"] = "running"
    background: bool = False
    stop: CancelMode | None = None
    released: int = 0
    parked: int = 0
    note: str = ""
    delay: int = 0
    one_shot: bool = False

    @property
    def kept_until(self) -> int:
        """When a turn from the queue may be taken over."""
        return self.deadline + self.delay


class Entry(msgspec.Struct):
    """One place in the queue: a message, a message that was called off, or a caller's ticket.

    Of a message that was called off, `message` is the commit id that its record will carry, and
    `note` the payload.
    """

    turn_id: str
    kind: Literal["message", "called off", "ticket"]
    message: bytes = b""
    attempts: int = 0
    token: str = ""
    worker: str = ""
    deadline: int = 0
    wait: int = 0
    released: int = 0
    note: str = ""


class Header(msgspec.Struct):
    """A session without its elements.

    `marks` bound the search for a turn_id: it starts at the first; the second was the history's
    end at the time `marked`. `provisional` is the expiry set on a session without a commit.
    `claim_by` is when the queue's head loses its place.
    """

    incarnation: str
    commit_id: str
    created: int
    updated: int
    marked: int
    version: int = VERSION
    elements: int = 0
    items: int = 0
    bytes: int = 0
    commits: int = 0
    marks: tuple[int, int] = (0, 0)
    finished: list[str] = []
    turn: Turn | None = None
    expires: int | None = None
    provisional: int | None = None
    claim_by: int | None = None


class State(Protocol):
    """One session inside one transaction; positions count history elements from 0."""

    header: Header | None

    @property
    def queue(self) -> list[Entry]:
        """Oldest first."""
        ...

    def history(self, first: int, last: int) -> list[bytes]: ...

    def extend(self, elements: list[bytes]) -> None: ...

    def truncate(self, length: int) -> None: ...

    def find(self, marker: bytes, first: int) -> int | None:
        """The last position from `first` on where `marker` stands."""
        ...

    def journal(self) -> list[bytes]: ...

    def extend_journal(self, entries: list[bytes]) -> None: ...

    def trim_journal(self) -> None: ...
