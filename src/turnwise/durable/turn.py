"""What durable runs need of the turn they are in. It stands in a package beside this one.

So these are protocols: the layers keep `durable` and `turns` from importing each other.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

from agents import Agent

from turnwise.errors import TurnError
from turnwise.journal_entries import Entry, StoredResponse


class Journal(Protocol):
    """The journal of a turn: what earlier attempts left, oldest first, and how to add to it."""

    entries: list[Entry]

    async def write(self, *entries: Entry) -> None:
        """Return when the entries are in the store, in this order."""


class DurableTurn(Protocol):
    """A turn that a worker holds.

    Attributes:
        worker: the name under which this worker holds it.
        changes: how often items were added to it.
        repeatable_tools: names of tools that may run again, by the settings.
        replay: its `Replay`, once a run has begun; kept here so that all its runs share it.
    """

    session_id: str
    turn_id: str
    worker: str
    attempt: int
    journal: Journal
    ended: bool
    changes: int
    repeatable_tools: Collection[str]
    replay: object | None

    @property
    def is_held(self) -> bool:
        """Whether this worker holds it, as far as it knows, and keeps its lease."""

    async def check(self) -> None:
        """Return if the turn is still this worker's. Raises what ended it."""

    def check_can_add(self, items: Sequence[Mapping[str, Any]]) -> None:
        """Raise InvalidItem or LimitError if these items cannot be added to what it has added."""

    def fail(self, error: TurnError) -> None:
        """End the turn with this error: it cannot be committed any more."""

    def count_response(self, response: StoredResponse) -> None:
        """A model has answered now: add what that cost to what the turn has consumed."""

    def emit_replayed(self, step: Literal["response", "tool"], agent: str, tool: str = "") -> None:
        """Emit that a step of the agent came from the journal; `tool` is what it called."""

    def savepoint(self) -> Any:
        """What the turn's buffer holds now."""

    def restore(self, savepoint: Any) -> None:
        """Let the buffer hold what it held at the savepoint."""


class Runs(Protocol):
    """Follows the runs of a block that is a turn: it parks if the last one needs approvals."""

    def begins(self, input: object) -> None:
        """A run begins. Raises UsageError if the turn waits for something else."""

    def ends(self, agent: Agent[Any], input: object, result: Any) -> None:
        """The run has ended; a streamed one ends with its task."""


@runtime_checkable
class HoldsTurn(Protocol):
    """A session of the SDK whose runs are durable.

    Attributes:
        runs: follows the runs of a block; None where the runner itself ends the turn.
    """

    runs: Runs | None

    @property
    def durable_turn(self) -> DurableTurn | None:
        """The turn of every run with this session; None if it has not begun yet."""

    async def open_turn(self) -> DurableTurn:
        """The turn, begun now if need be. Raises what keeps it from beginning."""


def holder_of(session: object) -> HoldsTurn | None:
    """The session that holds a turn, also where the SDK or the caller wrapped another around it."""
    for _ in range(8):
        if session is None or isinstance(session, HoldsTurn):
            return session
        session = getattr(session, "underlying_session", None)
    return None
