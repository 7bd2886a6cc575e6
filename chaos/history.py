"""What happened in a run: calls, faults, the final content of the store, the tools' ledger.

A call is recorded when it is invoked and completed when its worker answers: *ok*, *fail* (it
certainly did nothing) or *unknown* (the worker died, or nobody can say). Times are seconds on the
machine's monotonic clock, which all processes share.
"""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

Outcome = Literal["pending", "ok", "fail", "unknown"]
Home = Literal["turns", "plain", "approvals", "policies"]
"""What a session is for. All but those of plain changes hold turns."""


def now() -> float:
    """Seconds on the clock that all processes of the machine share."""
    return time.monotonic()


class Call(msgspec.Struct, tag="call"):
    """One sending of one operation to one worker.

    `op` names the operation over all its sendings, `call` this one. `granted` is when the worker
    was told that the turn is its own, `held` until when at least it worked on it, `attempt` the
    number the store gave that grant.
    """

    call: int
    op: str
    kind: str
    home: Home
    session: str
    turn_id: str | None
    worker: str
    invoked: float
    params: dict[str, Any]
    outcome: Outcome = "pending"
    ended: float | None = None
    error: str = ""
    value: dict[str, Any] = {}
    granted: float | None = None
    held: float | None = None
    attempt: int = 0

    def finish(self, outcome: Outcome, error: str = "", **more: Any) -> None:
        """Record the answer, now."""
        self.ended, self.outcome, self.error = now(), outcome, error
        for name, value in more.items():
            setattr(self, name, value)


class Takeover(msgspec.Struct, tag="takeover"):
    """A worker was granted a turn that an earlier attempt had begun. No `call` (-1): a message."""

    call: int
    session: str
    turn_id: str
    attempt: int
    at: float


class Fault(msgspec.Struct, tag="fault"):
    """What the nemesis did. `lossy`: acknowledged writes may be gone after it."""

    kind: str
    start: float
    end: float | None = None
    lossy: bool = False
    target: str = ""
    note: str = ""
    count: int = 1


class Execution(msgspec.Struct, tag="execution"):
    """A line of the ledger: a tool did its work, or (`ATTEMPT`) a message was taken to be run.

    The work for a message has a negative `call` of its own for each attempt.
    """

    call: int
    op: str
    turn_id: str
    call_id: str
    tool: str
    attempt: int
    key: str
    at: float


ATTEMPT = "attempt"


class DeadLetterEntry(msgspec.Struct, tag="letter"):
    """A dead letter, as it was found in the end."""

    session: str
    turn_id: str
    attempts: int
    error: str


class Entry(msgspec.Struct):
    """One finished turn as it is stored: its items, its marker, its record."""

    turn_id: str
    kind: str
    items: list[dict[str, Any]]
    counted: int


class Final(msgspec.Struct, tag="final"):
    """What the store holds of a session in the end. `trouble`: elements that fit nowhere."""

    session: str
    entries: list[Entry]
    items: int
    trouble: str = ""


class Leftover(msgspec.Struct, tag="leftover"):
    """Something that should not be there after everybody has gone."""

    what: str
    where: str
    session: str = ""


class History(msgspec.Struct):
    """One run on one topology."""

    topology: str
    seed: int
    lease: float
    started: float = 0.0
    seconds: float = 0.0
    calls: list[Call] = []
    takeovers: list[Takeover] = []
    faults: list[Fault] = []
    ledger: list[Execution] = []
    finals: list[Final] = []
    leftovers: list[Leftover] = []
    letters: list[DeadLetterEntry] = []

    def save(self, path: Path) -> None:
        """Write it as lines of JSON, compressed."""
        head = {name: getattr(self, name) for name in _HEAD}
        with gzip.open(path, "wb", compresslevel=3) as file:
            file.write(msgspec.json.encode(head) + b"\n")
            for row in self.rows():
                file.write(msgspec.json.encode(row) + b"\n")

    def rows(self) -> Iterator[Any]:
        """All that was recorded, kind by kind."""
        for name in _LISTS:
            yield from getattr(self, name)

    @classmethod
    def load(cls, path: Path) -> History:
        """Read what `save` wrote."""
        with gzip.open(path, "rb") as file:
            history = cls(**msgspec.json.decode(next(file)))
            decoder = msgspec.json.Decoder(_Row)
            for line in file:
                row = decoder.decode(line)
                getattr(history, _HOMES[type(row)]).append(row)
        return history


_HEAD = "topology", "seed", "lease", "started", "seconds"
_HOMES: dict[type, str] = {
    Call: "calls",
    Takeover: "takeovers",
    Fault: "faults",
    Execution: "ledger",
    Final: "finals",
    Leftover: "leftovers",
    DeadLetterEntry: "letters",
}
_LISTS = tuple(_HOMES.values())
_Row = Call | Takeover | Fault | Execution | Final | Leftover | DeadLetterEntry
