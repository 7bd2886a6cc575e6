"""The history of a round: invocations, faults, the store's final state, the tools' executions.

An invocation is recorded when it is sent and completed when its worker answers. Its outcome is one
of Jepsen's types: *invoke* (no answer yet), *ok*, *fail* (it certainly had no effect) or *info*
(unknown: the worker died, or cannot say). Times are seconds on the machine's monotonic clock, which
all processes share.
"""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

Outcome = Literal["invoke", "ok", "fail", "info"]
SessionKind = Literal["turns", "plain", "approvals", "policies"]
"""What a session is used for. All kinds but "plain" hold turns."""


def now() -> float:
    """Seconds on the clock that all processes of the machine share."""
    return time.monotonic()


class Invocation(msgspec.Struct, tag="invocation"):
    """One sending of one operation to one worker.

    `op` names the operation, the same for all its invocations. `granted` is the time at which the
    worker learned that it holds the turn's lease, `active_until` the last time at which it
    certainly worked on the turn, `attempt` the number that the store gave the grant.
    """

    id: int
    op: str
    kind: str
    session_kind: SessionKind
    session: str
    turn_id: str | None
    worker: str
    invoked: float
    params: dict[str, Any]
    outcome: Outcome = "invoke"
    completed: float | None = None
    error: str = ""
    value: dict[str, Any] = {}
    granted: float | None = None
    active_until: float | None = None
    attempt: int = 0

    def complete(self, outcome: Outcome, error: str = "", **more: Any) -> None:
        """Record the outcome, now."""
        self.completed, self.outcome, self.error = now(), outcome, error
        for name, value in more.items():
            setattr(self, name, value)


class Takeover(msgspec.Struct, tag="takeover"):
    """A worker was granted a turn that an earlier attempt had begun.

    `invocation` is -1 if the turn is a message that the queue delivered.
    """

    invocation: int
    session: str
    turn_id: str
    attempt: int
    at: float


class Fault(msgspec.Struct, tag="fault"):
    """A fault that the nemesis injected. `lossy`: it may lose acknowledged writes."""

    kind: str
    start: float
    end: float | None = None
    lossy: bool = False
    target: str = ""
    note: str = ""
    count: int = 1


class Execution(msgspec.Struct, tag="execution"):
    """A line of the execution log: a tool ran, or (`ATTEMPT`) a worker began to run a message.

    Each attempt of a message has a negative `invocation` of its own.
    """

    invocation: int
    op: str
    turn_id: str
    call_id: str
    tool: str
    attempt: int
    key: str
    at: float


ATTEMPT = "attempt"


class DeadLetter(msgspec.Struct, tag="dead-letter"):
    """A dead letter in the store's final state."""

    session: str
    turn_id: str
    attempts: int
    error: str


class StoredTurn(msgspec.Struct):
    """One turn in a stored history: its items, its marker, its record.

    `item_count` is the number of items that the record states.
    """

    turn_id: str
    kind: str
    items: list[dict[str, Any]]
    item_count: int


class FinalState(msgspec.Struct, tag="final-state"):
    """What the store holds of a session in the end. `corruption`: elements that do not parse."""

    session: str
    turns: list[StoredTurn]
    items: int
    corruption: str = ""


class Leftover(msgspec.Struct, tag="leftover"):
    """Something that should not exist after all workers have exited."""

    what: str
    where: str
    session: str = ""


class History(msgspec.Struct):
    """Everything that is recorded of one round on one topology."""

    topology: str
    seed: int
    lease: float
    started: float = 0.0
    seconds: float = 0.0
    invocations: list[Invocation] = []
    takeovers: list[Takeover] = []
    faults: list[Fault] = []
    executions: list[Execution] = []
    final_states: list[FinalState] = []
    leftovers: list[Leftover] = []
    dead_letters: list[DeadLetter] = []

    def save(self, path: Path) -> None:
        """Write it as lines of JSON, compressed."""
        head = {name: getattr(self, name) for name in _HEAD}
        with gzip.open(path, "wb", compresslevel=3) as file:
            file.write(msgspec.json.encode(head) + b"\n")
            for row in self.rows():
                file.write(msgspec.json.encode(row) + b"\n")

    def rows(self) -> Iterator[Any]:
        """All records, list by list."""
        for name in _LISTS.values():
            yield from getattr(self, name)

    @classmethod
    def load(cls, path: Path) -> History:
        """Read what `save` wrote."""
        with gzip.open(path, "rb") as file:
            history = cls(**msgspec.json.decode(next(file)))
            decoder = msgspec.json.Decoder(_Row)
            for line in file:
                row = decoder.decode(line)
                getattr(history, _LISTS[type(row)]).append(row)
        return history


_HEAD = "topology", "seed", "lease", "started", "seconds"
_LISTS: dict[type, str] = {
    Invocation: "invocations",
    Takeover: "takeovers",
    Fault: "faults",
    Execution: "executions",
    FinalState: "final_states",
    Leftover: "leftovers",
    DeadLetter: "dead_letters",
}
_Row = Invocation | Takeover | Fault | Execution | FinalState | Leftover | DeadLetter
