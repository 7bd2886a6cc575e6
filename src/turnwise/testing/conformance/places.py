"""Who has a session, and who waits for it, as the model of the contract sees it."""

from __future__ import annotations

from dataclasses import dataclass, field

from turnwise.types import CancelMode

NOBODY = ""
"""The token of a turn that was given back."""


@dataclass(slots=True)
class Open:
    """The open turn. `mortal`: its lease may have run out. `state`: what it was parked with.

    `put_off`: its attempt failed, and the time has not come for another.
    """

    turn_id: str
    token: str
    attempt: int
    mortal: bool
    put_off: bool = False
    background: bool = False
    parked: bool = False
    released: int = 0
    stop: CancelMode | None = None
    note: str = ""
    resumed: bool = False
    state: bytes | None = None
    journal: list[bytes] = field(default_factory=list)
    message: bytes | None = None


@dataclass(slots=True)
class Parked:
    """A place in the queue; of a caller if it has a token."""

    turn_id: str
    token: str = ""
    message: bytes = b""
