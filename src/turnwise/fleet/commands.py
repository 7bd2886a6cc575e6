"""What operators ask of the sessions of a store: a part of `Session`. It changes nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable
from typing import Any, Unpack

from turnwise import background
from turnwise.background import DeadLetter
from turnwise.fleet.approvals import WaitingApproval, waiting_approvals
from turnwise.fleet.exports import export_sessions
from turnwise.fleet.listing import list_sessions
from turnwise.fleet.orders import Pause, list_pauses
from turnwise.fleet.past_turns import PastTurn, follow, past_turns
from turnwise.fleet.queues import QueuedEntry, queue_of
from turnwise.fleet.stuck import StuckSession, stuck_sessions
from turnwise.fleet.surveys import Filters, Measure, SessionStats, biggest, stats
from turnwise.fleet.timeline import Timeline, timeline
from turnwise.fleet.workers import list_workers
from turnwise.turns import Runtime, session_ids
from turnwise.types import (
    Absent,
    Info,
    SessionPage,
    SessionState,
    SessionSummary,
    WorkerInfo,
)


class OperatorCommands(ABC):
    """Listing and finding: nothing that takes part in a turn."""

    @property
    @abstractmethod
    def runtime(self) -> Runtime:
        """The process's store, codec, cache and settings."""

    @abstractmethod
    def resolve_id(self, session_id: str | None) -> str:
        """The session that a call is about: the one it names, else the bound one."""

    def _check_unowned(self, method: str) -> None:
        """Raise UsageError if there are only one owner's sessions for this object."""
        self.runtime.check_unowned(f"session.{method}()")

    async def ping(self) -> None:
        """Return if the store answers; raise StoreUnavailable if it does not."""
        await self.runtime.store.ping()

    async def info(self, session_id: str | None = None) -> Info | None:
        """What is known of a session besides its content; None if there is no such session."""
        found = await self.runtime.store.info(self.resolve_id(session_id))
        return None if isinstance(found, Absent) else found

    def scan(self, match: str = "*") -> AsyncIterator[str]:
        """Iterate over session ids, in no order, on all nodes of a cluster.

        A session that changes meanwhile may come twice; one that is created or deleted meanwhile
        may be missing.

        Args:
            match: A glob (`*`, `?`, `[ab]`) that the ids match.
        """
        return session_ids(self.runtime.store, match)

    async def sessions(
        self,
        match: str = "*",
        *,
        state: SessionState | None = None,
        worker: str | None = None,
        owner: str | None = None,
        min_age: float | None = None,
        min_bytes: int | None = None,
        cursor: str | None = None,
        count: int = 500,
    ) -> SessionPage:
        """List sessions, a part at a time, without loading their histories.

        A call looks at the next `count` sessions or so, in the order of the store, and returns
        those of them that are asked for. One that changes meanwhile may come twice.

        Args:
            match: A glob (`*`, `?`, `[ab]`) that the ids match.
            state: Only those in this state; see `SessionSummary`.
            worker: Only those whose open turn this worker runs, or ran last.
            owner: Only this owner's.
            min_age: Only those whose history did not change for so many seconds.
            min_bytes: Only those whose stored history takes at least so many bytes.
            cursor: That of the page before; None for the first.
            count: How many sessions to look at, from 1 to 10,000.

        Returns:
            The sessions, and the cursor of the next page; None at the end.

        Raises:
            UsageError: The cursor is none of this store's, or not any more: a node of a cluster
                was replaced. Or another argument is invalid.
        """
        return await list_sessions(
            self.runtime,
            match,
            state=state,
            worker=worker,
            owner=owner,
            min_age=min_age,
            min_bytes=min_bytes,
            cursor=cursor,
            count=count,
        )

    def stuck(self, match: str = "*", *, quick: bool = False) -> AsyncIterator[StuckSession]:
        """Look for sessions that do not go on by themselves.

        A turn whose worker is silent, or that nobody holds; a turn that waits for approvals; a
        stopped session; a queue of which no worker takes the first message; a session that cannot
        be read. What a worker may take up any moment is no such session for 30 seconds.

        Args:
            match: A glob (`*`, `?`, `[ab]`) that the ids match.
            quick: Look only at what waits for workers (the 1,000 longest waiting sessions) and at
                the turns that silent workers said they hold. Without it, at all sessions: also
                parked and stopped ones, and direct turns of other processes.

        Yields:
            Each with since when, who, why, and what lets it go on.
        """
        self._check_unowned("stuck")
        return stuck_sessions(self.runtime, match, quick=quick)

    async def queue(self, session_id: str | None = None, count: int = 20) -> list[QueuedEntry]:
        """The messages and callers that wait in a session's queue. Changes nothing.

        Args:
            session_id: The session; None for the bound one.
            count: How many to return at most, from 1 to 256.

        Returns:
            The oldest first, the message of the open turn too; empty if there is no such session.
        """
        return await queue_of(self.runtime, self.resolve_id(session_id), count)

    async def history(
        self, session_id: str | None = None, *, limit: int = 20
    ) -> list[PastTurn] | None:
        """The last turns of a session as they are stored, each with its items and its end.

        Args:
            session_id: The session; None for the bound one.
            limit: How many turns, and changes between turns, to return at most.

        Returns:
            The newest last; None if there is no such session.

        Raises:
            UndecodableItem: An item cannot be decoded.
        """
        return await past_turns(self.runtime, self.resolve_id(session_id), limit)

    def tail(
        self, session_id: str | None = None, *, last: int = 10, interval: float = 1.0
    ) -> AsyncIterator[PastTurn]:
        """Follow a conversation: its last turns, then each that ends, as long as it is asked for.

        A session that does not exist yet, or was deleted, is waited for.

        Args:
            session_id: The session; None for the bound one.
            last: How many turns that have ended to begin with, at most.
            interval: Seconds between looks, each one short call of the store.

        Yields:
            The turns, as `history` has them.

        Raises:
            UndecodableItem: An item cannot be decoded.
        """
        return follow(self.runtime, self.resolve_id(session_id), last, interval)

    async def stats(self, match: str = "*", **filters: Unpack[Filters]) -> SessionStats:
        """Sum up all sessions, without loading their histories.

        Args:
            match: A glob (`*`, `?`, `[ab]`) that the ids match.
            filters: `state`, `worker`, `owner`, `min_age` and `min_bytes` of `sessions`.

        Returns:
            The sums. A session that changes meanwhile may count twice.
        """
        return await stats(self.runtime, match, dict(filters))

    async def biggest(
        self,
        match: str = "*",
        *,
        count: int = 20,
        by: Measure = "bytes",
        **filters: Unpack[Filters],
    ) -> list[SessionSummary]:
        """Look through all sessions for the largest ones, without loading their histories.

        Args:
            match: A glob (`*`, `?`, `[ab]`) that the ids match.
            count: How many to return at most, from 1 to 10,000.
            by: What counts: the "bytes" or "items" of the history, what is "queued", or the
                "tokens" that its turns consumed.
            filters: `state`, `worker`, `owner`, `min_age` and `min_bytes` of `sessions`.

        Returns:
            The largest first.
        """
        return await biggest(self.runtime, match, count, by, dict(filters))

    async def timeline(self, session_id: str | None, turn_id: str) -> Timeline | None:
        """One turn: where it stands, and its steps.

        Of an open turn they come from its journal: model calls and tools with their times,
        attempts, errors. A model call that is under way is not in it. It changes nothing.

        Args:
            session_id: The session; None for the bound one.
            turn_id: The turn: open, in the queue, or part of the history.

        Returns:
            None if the session has no such turn: it was never begun, was rolled back, or its record
            was removed with the history.

        Raises:
            UndecodableItem: One of its items cannot be decoded.
        """
        return await timeline(self.runtime, self.resolve_id(session_id), turn_id)

    def waiting_approvals(self, match: str = "*") -> AsyncIterator[WaitingApproval]:
        """Look through all sessions for approvals that nobody has decided yet.

        Args:
            match: A glob (`*`, `?`, `[ab]`) that the ids match.

        Yields:
            Each pending approval, with its session and since when it waits.
        """
        return waiting_approvals(self.runtime, match)

    async def workers(self) -> list[WorkerInfo]:
        """The background workers of this store: what each last said of itself.

        A worker says it every five seconds. One that ends is listed no more; one that died stays
        for a day.

        Returns:
            In the order of their names.
        """
        self._check_unowned("workers")
        return await list_workers(self.runtime)

    async def pauses(self) -> list[Pause]:
        """The messages that workers leave in the queue, since an operator paused them."""
        self._check_unowned("pauses")
        return await list_pauses(self.runtime)

    def export(self, session_ids: Iterable[str]) -> AsyncIterator[dict[str, Any]]:
        """Read sessions with all that their histories hold, one after the other.

        Items, turn ids, kinds, times, results, workers and token usage; not what is no history: an
        open turn, the queue.

        Args:
            session_ids: The sessions.

        Yields:
            What is to be a line of JSON each, by `json.dumps`: for a session its head, its turns,
            and its end. If one cannot be read, its end has an `error`, and the others follow.
        """
        return export_sessions(self.runtime, session_ids)

    async def dead_letters(self, count: int = 100, after: str | None = None) -> list[DeadLetter]:
        """List dead letters of all sessions, oldest first.

        Args:
            count: How many to return at most, from 1 to 10,000.
            after: The id of a dead letter: return those behind it. None for the oldest.

        Raises:
            UsageError: `after` is no id of a dead letter of this store.
        """
        self._check_unowned("dead_letters")
        return await background.list_dead_letters(self.runtime, count, after)

    def stopped_sessions(self) -> AsyncIterator[DeadLetter]:
        """Look through all sessions for stopped ones (`on_dead="stop"`).

        Yields:
            The dead letter at which each of them is stopped. Retry or delete it to let the session
            continue.
        """
        return background.stopped_sessions(self.runtime)
