"""The open turn and the queue, as the model of the contract sees them."""

from __future__ import annotations

from dataclasses import dataclass, field

from turnwise.types import CancelMode

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
