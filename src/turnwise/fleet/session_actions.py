"""What operators do to single sessions: a part of `Session`. Each call leaves a record."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping

from turnwise.approvals import Decisions, decide
from turnwise.fleet.audit import Action, audited, whether
from turnwise.fleet.commands import OperatorCommands
from turnwise.fleet.copies import copy_session, rewind
from turnwise.fleet.imports import import_sessions
from turnwise.fleet.release import ReleaseOutcome, release_turn
from turnwise.fleet.sdk_import import SDKSource, import_from
from turnwise.fleet.taking_over import ImportedSession, recorded_import
from turnwise.turns import GRACE, cancel, check_turn_id, ttl_ms
from turnwise.types import Cancellation, PendingApproval


class SessionActions(OperatorCommands):
    """Ending, deciding, copying, deleting, importing; see `OperatorActions`."""

    async def cancel(
        self,
        session_id: str | None = None,
        turn_id: str | None = None,
        *,
        reason: str | None = None,
        by: str | None = None,
        timeout: float = GRACE,
    ) -> Cancellation:
        """Cancel a turn, whichever process runs it. Nothing of it is committed.

        Its worker is woken at once. If it has not ended the turn after `timeout` seconds, the turn
        is ended without it, and the worker can no longer commit it. Whoever sends the turn_id again
        gets TurnCancelled. A caller that waits in the queue has no turn to cancel yet.

        Args:
            session_id: The session; None for the bound one.
            turn_id: The turn; None for the open one: running, dead or parked.
            reason: Recorded with the turn too, and part of TurnCancelled and of hook events. If the
                turn was asked to end before, the first reason stays there.
            by: Who, for the audit.
            timeout: Seconds that its worker has to end it.

        Returns:
            What became of the turn.

        Raises:
            UsageError: The reason is too long, or the timeout is no number of seconds.
        """
        session_id = self.resolve_id(session_id)
        if turn_id is not None:
            check_turn_id(session_id, turn_id)
        names, runtime = (session_id, turn_id or ""), self.runtime
        async with audited(runtime, "cancel", *names, reason=reason, by=by) as deed:
            found = await cancel(runtime, session_id, turn_id, reason=reason, timeout=timeout)
            deed.target, deed.outcome = found.turn_id, found.outcome
        return found

    async def release(
        self,
        session_id: str | None = None,
        turn_id: str | None = None,
        *,
        reason: str | None = None,
        by: str | None = None,
    ) -> ReleaseOutcome:
        """Take a turn from a dead or hung worker: the next attempt continues from its journal.

        A message's next attempt is any worker's, at once, and the one that ends now is not counted.
        A direct turn waits for its sender; others get the session after one more lease, or by
        `cancel`. The worker that had the turn learns that it is lost, and can commit nothing. A
        tool that it runs may go on, and has an unknown outcome: see `repeatable`.

        Args:
            session_id: The session; None for the bound one.
            turn_id: The turn; None for the open one.
            reason, by: Why and who, for the audit.

        Returns:
            "released"; "ended", if it ended or another worker took it in that moment; "absent", if
            it is not open; "parked" or "stopped", if nobody holds it: it was left as it is.
        """
        session_id = self.resolve_id(session_id)
        if turn_id is not None:
            check_turn_id(session_id, turn_id)
        names, runtime = (session_id, turn_id or ""), self.runtime
        async with audited(runtime, "release", *names, reason=reason, by=by) as deed:
            deed.target, outcome = await release_turn(runtime, session_id, turn_id)
            deed.outcome = outcome
        return outcome

    async def decide(
        self,
        session_id: str | None = None,
        *,
        approve: Iterable[str] = (),
        reject: Mapping[str, str | None] | None = None,
        always_approve: Iterable[str] = (),
        always_reject: Mapping[str, str | None] | None = None,
        timeout: float | None = 30.0,
        reason: str | None = None,
        by: str | None = None,
    ) -> list[PendingApproval]:
        """Decide pending approvals of the parked turn, without running it.

        It needs no agent. When all are decided, the turn goes on: a worker (or `drain`) continues
        it if a message began it, and `Runner.resume`, with nothing left to decide, any other. It is
        safe to send again. Without ids it offers a turn of which all is decided to the workers.

        Args:
            session_id: The session; None for the bound one.
            approve: Ids from `pending_approvals`.
            reject: Ids, each with the text that the model gets instead of the tool's output; None
                for the SDK's text.
            always_approve, always_reject: The same, for good: as in the SDK, the decision holds for
                every call of that tool by that agent in this turn. Other calls that are pending
                now are decided so when the turn goes on.
            timeout: Seconds to wait while another process runs the turn; None for no limit.
            reason, by: Why and who, for the audit. The model is not told.

        Returns:
            What is still pending.

        Raises:
            NoPendingApproval: There is no such pending approval, or no parked turn; or
                `approval_timeout` is over. Nothing was decided.
            UsageError: Nothing is decided, or an id is both approved and rejected.
            BusyTimeout: Another process runs the turn, and it did not end in time.
        """
        session_id = self.resolve_id(session_id)
        decisions = Decisions.of(session_id, approve, reject, always_approve, always_reject)
        names = session_id, _named(decisions)
        async with audited(self.runtime, "decide", *names, reason=reason, by=by):
            return await decide(self.runtime, session_id, decisions, timeout)

    async def copy(
        self,
        session_id: str | None,
        new_id: str,
        *,
        at: str | None = None,
        reason: str | None = None,
        by: str | None = None,
    ) -> int:
        """Copy a session's history to a new session, in one atomic commit.

        The copy has the same items, turn ids, times and results. What is not history is not copied:
        the open turn, the queue, an expiry. What the turns consumed counts for the session that
        they ran in. The session itself stays as it is.

        Args:
            session_id: The session; None for the bound one.
            new_id: The new session's id.
            at: The last turn to copy; None for all of them.
            reason, by: Why and who, for the audit.

        Returns:
            How many items were copied.

        Raises:
            SessionExists: There is a session of the new id with another history.
            UsageError: There is no such session, or its history does not have the turn any more.
            SessionBusy, ApprovalPending, SessionStopped: A turn is open in the new session.
            SessionTooLarge: It is larger than `max_session_bytes` of this process.
            OutcomeUnknown: It may or may not have been copied. Copy it again.
        """
        session_id = self.resolve_id(session_id)
        async with audited(self.runtime, "copy", session_id, new_id, reason=reason, by=by):
            return await copy_session(self.runtime, session_id, new_id, at)

    async def rewind(
        self,
        session_id: str | None,
        *,
        to: str | None,
        reason: str | None = None,
        by: str | None = None,
    ) -> int:
        """Take a session back to the end of a turn, in one atomic commit.

        The items of later turns are removed. Their turn ids stay known for the retention: who sends
        one again is told that it was committed.

        Args:
            session_id: The session; None for the bound one.
            to: The last turn that stays; None if none does.
            reason, by: Why and who, for the audit.

        Returns:
            How many items were removed.

        Raises:
            UsageError: There is no such session, or its history does not have the turn any more.
            SessionBusy, ApprovalPending, SessionStopped: A turn is open. Nothing was changed.
            HistoryChanged: Somebody changed the history meanwhile. Nothing was changed here.
            OutcomeUnknown: It may or may not have been taken back. Rewind it again.
        """
        session_id = self.resolve_id(session_id)
        async with audited(self.runtime, "rewind", session_id, to or "", reason=reason, by=by):
            return await rewind(self.runtime, session_id, to)

    async def delete(
        self,
        session_id: str | None = None,
        *,
        reason: str | None = None,
        by: str | None = None,
    ) -> bool:
        """Delete a session with its queue and its open turn; False if there is none."""
        session_id = self.resolve_id(session_id)
        async with audited(self.runtime, "delete", session_id, reason=reason, by=by) as deed:
            found = await self.runtime.store.delete(session_id)
            deed.outcome = whether(found)
        return found

    async def expire(
        self,
        session_id: str | None = None,
        seconds: float | None = None,
        *,
        reason: str | None = None,
        by: str | None = None,
    ) -> bool:
        """Set when a session expires.

        Args:
            session_id: The session; None for the bound one.
            seconds: Its time to live from now on; None for no expiry.
            reason, by: Why and who, for the audit.

        Returns:
            False if there is no such session.

        Raises:
            InvalidTTL: `seconds` is no number above 0.
        """
        session_id, ttl = self.resolve_id(session_id), ttl_ms(seconds)
        names = session_id, "never" if seconds is None else f"in {seconds:g} s"
        async with audited(self.runtime, "expire", *names, reason=reason, by=by) as deed:
            found = await self.runtime.store.expire(session_id, ttl)
            deed.outcome = whether(found)
        return found

    def import_sessions(
        self,
        lines: Iterable[object],
        *,
        dry_run: bool = False,
        reason: str | None = None,
        by: str | None = None,
    ) -> AsyncIterator[ImportedSession]:
        """Make sessions of what `export` has read, each in one atomic commit.

        Only one session is held in memory. What is there already is not written again, so an import
        can be repeated, and a later export continues an earlier one. A session with another history
        is left as it is.

        Args:
            lines: Each line's JSON, decoded.
            dry_run: Only say what would become of them. It leaves no record.
            reason, by: Why and who, for the audit: one record of the whole import.

        Yields:
            What became of each session.

        Raises:
            UsageError: A line is none of an export. What came before is imported.
        """
        outcomes = import_sessions(self.runtime, lines, dry_run=dry_run)
        return self._import("import_sessions", "", outcomes, dry_run, reason, by)

    def import_from(
        self,
        source: SDKSource,
        *,
        dry_run: bool = False,
        reason: str | None = None,
        by: str | None = None,
    ) -> AsyncIterator[ImportedSession]:
        """Make sessions of the conversations that the SDK's own sessions keep.

        Each becomes one in one atomic commit, under its id, with every item as it is, and its
        expiry. A turn begins with a message of the user, or where AdvancedSQLiteSession counts one;
        then it has its token usage too. The source is only read. The import can be repeated: what
        is there is not written again, and what has come since is added, unless the session went on
        here. A session with another history is left as it is.

        Args:
            source: Where they are, and which.
            dry_run: Only say what would become of them. It leaves no record.
            reason, by: Why and who, for the audit: one record of the whole import.

        Yields:
            What became of each session, one after the other.

        Raises:
            UsageError: There is no such source, or its driver is not installed.
            StoreUnavailable: It does not answer, or is refused; or this store.
        """
        outcomes = import_from(self.runtime, source, dry_run=dry_run)
        return self._import("import_from", source.shown, outcomes, dry_run, reason, by)

    def _import(
        self,
        action: Action,
        source: str,
        outcomes: AsyncIterator[ImportedSession],
        dry_run: bool,
        reason: str | None,
        by: str | None,
    ) -> AsyncIterator[ImportedSession]:
        if dry_run:
            return outcomes
        audit = audited(self.runtime, action, "", source, reason=reason, by=by)
        return recorded_import(audit, outcomes)


def _named(decisions: Decisions) -> str:
    """The ids of approvals, without the texts that go to the model."""
    verbs = {"approve": decisions.approve, "reject": decisions.reject}
    told = (f"{verb} {' '.join(sorted(ids))}" for verb, ids in verbs.items() if ids)
    always = f" (always: {' '.join(sorted(decisions.always))})" if decisions.always else ""
    return "; ".join(told) + always
