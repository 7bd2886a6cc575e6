"""What durable runs need of the turn they are in."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal, Protocol, runtime_checkable

from agents import Agent

from turnwise.errors import TurnError
from turnwise.journal_entries import Entry


class Journal(Protocol):
    """What earlier attempts left, oldest first, and the way to add to it."""

    entries: list[Entry]

    async def write(self, *entries: Entry) -> None:
        """Return when the entries are in the store, in this order."""


class DurableTurn(Protocol):
    """A turn that a worker holds."""

    session_id: str
    turn_id: str
    attempt: int
    journal: Journal
    ended: bool
    changes: int
    """How often items were added to it."""
    repeatable_tools: Collection[str]
    replay: object | None
    """Where its runs keep what they share."""

    async def check(self) -> None:
        """Return if the turn is still this worker's; raise what ended it if not."""

    def fail(self, error: TurnError) -> None:
        """The turn cannot be committed any more, for this reason."""

    def emit_replayed(self, step: Literal["response", "tool"], agent: str, tool: str = "") -> None:
        """An earlier attempt answered this step of the agent's; `tool` is what it called."""

    def savepoint(self) -> Any:
        """What the turn's buffer holds now."""

    def restore(self, savepoint: Any) -> None:
        """Let the buffer hold what it held at the savepoint."""


class Runs(Protocol):
    """Who sees to it that a turn waits for approvals if the last of its runs does."""

    def begins(self, input: object) -> None:
        """A run begins. Raises UsageError if the turn waits for something else."""

    def ends(self, agent: Agent[Any], input: object, result: Any) -> None:
        """It has ended, or will when its stream is over."""


@runtime_checkable
class HoldsTurn(Protocol):
    """A session of the SDK whose runs are to be durable. None: its turn has not begun yet."""

    runs: Runs | None
    """To be told of them; None where somebody else sees to what they end with."""

    @property
    def durable_turn(self) -> DurableTurn | None:
        """The turn, for every run that has this as its session."""

    async def open_turn(self) -> DurableTurn:
        """The turn, begun now if it had not. Raises what keeps it from beginning."""


def holder_of(session: object) -> HoldsTurn | None:
    """The turn behind a session of the SDK, also where another session was put around it."""
    for _ in range(8):
        if session is None or isinstance(session, HoldsTurn):
            return session
        session = getattr(session, "underlying_session", None)
    return None
