"""How a turn ends, as one value. `ends.end` carries it out."""

from __future__ import annotations

from dataclasses import dataclass

from turnwise.journal_entries import ParkedEntry
from turnwise.types import CancelMode


@dataclass(frozen=True, slots=True)
class Commit:
    """Make it part of the history. `payload` is kept for whoever sends the turn_id again.

    `error`: it failed by this, and what it had finished is committed, each call with an output.
    """

    payload: bytes = b""
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class RollBack:
    """Leave no trace of it. `reason` is the error that ended it, if one did."""

    reason: BaseException | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """Give it back with its journal, for the next attempt.

    `counted`: this attempt failed. The next attempt at a message begins after `delay` seconds.
    """

    reason: BaseException | None = None
    counted: bool = True
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Park:
    """Keep it open without a lease until its approvals are decided.

    `entry` becomes the last entry of its journal.
    """

    entry: ParkedEntry


@dataclass(frozen=True, slots=True)
class StayParked:
    """A resumed turn did not finish: it is parked again, with all that its journal holds.

    `pending` approvals are pending still. `reason` is the error that ended the attempt, if any.
    `decided`: whether workers may continue it, if a message began it; None leaves that as it is.
    """

    pending: int
    reason: BaseException | None = None
    decided: bool | None = None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Give its message up after so many attempts. `reason` names the last error."""

    letter: bytes
    attempts: int
    reason: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Give its message up likewise, and stop the session at it."""

    letter: bytes
    attempts: int
    reason: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """End it on request: "keep" commits what it has finished, "drop" nothing of it."""

    mode: CancelMode
    reason: str | None = None


Outcome = Commit | RollBack | Release | Park | StayParked | DeadLetter | Stop | Cancel
