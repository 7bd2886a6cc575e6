"""What operators do to the sessions of a store: a part of `Session`. Each call leaves a record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from turnwise import background
from turnwise.approvals import Decisions, decide
from turnwise.background import DeadLetter
from turnwise.fleet import orders
from turnwise.fleet.audit import AuditRecord, Wanted, audit_records, audited
from turnwise.fleet.commands import OperatorCommands
from turnwise.fleet.copies import copy_session, rewind
from turnwise.fleet.release import ReleaseOutcome, release_turn
from turnwise.turns import GRACE, cancel, check_turn_id, ttl_ms
from turnwise.types import Cancellation, PendingApproval


class OperatorActions(OperatorCommands):
    """Ending, deciding, deleting.

    Where a method takes `reason` and `by`, they are for the audit: why (at most 1,000 bytes), and
    who (at most 200); None for the user and host of this process. The record is written first: if
    the store does not take it, StoreError is raised and nothing is done.
    """

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
        to: str,
        reason: str | None = None,
        by: str | None = None,
    ) -> int:
        """Take a session back to the end of a turn, in one atomic commit.

        The items of later turns are removed. Their turn ids stay known for the retention: who sends
        one again is told that it was committed.

        Args:
            session_id: The session; None for the bound one.
            to: The last turn that stays.
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
        async with audited(self.runtime, "rewind", session_id, to, reason=reason, by=by):
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
            deed.outcome = _whether(found)
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
            deed.outcome = _whether(found)
        return found

    async def retry_dead_letter(
        self, letter: DeadLetter | str, *, reason: str | None = None, by: str | None = None
    ) -> None:
        """Submit a dead letter's message again, at the end of its session's queue.

        Its attempts count from 0 again.

        Args:
            letter: The dead letter or its id.
            reason, by: Why and who, for the audit.

        Raises:
            UsageError: There is no dead letter of this id.
            QueueFull: The session's queue is full; the dead letter stays.
        """
        letter = await background.require_dead_letter(self.runtime, letter)
        names = letter.session_id, letter.id
        async with audited(self.runtime, "retry_dead_letter", *names, reason=reason, by=by):
            await background.retry_dead_letter(self.runtime, letter)

    async def delete_dead_letter(
        self, letter: DeadLetter | str, *, reason: str | None = None, by: str | None = None
    ) -> None:
        """Delete a dead letter; its turn stays dead.

        Args:
            letter: The dead letter or its id.
            reason, by: Why and who, for the audit.

        Raises:
            UsageError: There is no dead letter of this id.
        """
        letter = await background.require_dead_letter(self.runtime, letter)
        names = letter.session_id, letter.id
        async with audited(self.runtime, "delete_dead_letter", *names, reason=reason, by=by):
            await background.delete_dead_letter(self.runtime, letter)

    async def pause_queue(
        self, agent: str | None = None, *, reason: str | None = None, by: str | None = None
    ) -> None:
        """Let workers leave messages in the queue, until `resume_queue`. No attempt is counted.

        Each worker hears it within five seconds. Turns that run go on to their end. A message whose
        agent is paused also keeps those behind it in its session's queue. `drain`, and turns
        without a message, know no pause.

        Args:
            agent: Whose messages; None for all.
            reason, by: Why and who, for the audit and for others to see.
        """
        orders.check_agent(agent)
        audit = audited(self.runtime, "pause_queue", "", agent or "", reason=reason, by=by)
        async with audit as deed:
            await orders.pause(self.runtime, agent, deed.by, deed.reason)

    async def resume_queue(
        self, agent: str | None = None, *, reason: str | None = None, by: str | None = None
    ) -> bool:
        """End a pause. Workers hear it within five seconds.

        Args:
            agent: That of the pause; None for the pause of all messages.
            reason, by: Why and who, for the audit.

        Returns:
            False if there was no such pause.
        """
        orders.check_agent(agent)
        audit = audited(self.runtime, "resume_queue", "", agent or "", reason=reason, by=by)
        async with audit as deed:
            was_paused = await orders.end_pause(self.runtime, agent)
            deed.outcome = _whether(was_paused)
        return was_paused

    async def quiet_worker(
        self, name: str, *, reason: str | None = None, by: str | None = None
    ) -> None:
        """Tell a worker to take nothing new. Its running turns go on to their end.

        It hears that within five seconds; its successor does not, even one of the same name.

        Args:
            name: The worker's, as `workers` has it.
            reason, by: Why and who, for the audit.

        Raises:
            UsageError: There is no such worker.
        """
        async with audited(self.runtime, "quiet_worker", "", name, reason=reason, by=by) as deed:
            await orders.order_worker(self.runtime, name, "quiet", deed.by, deed.reason)

    async def resume_worker(
        self, name: str, *, reason: str | None = None, by: str | None = None
    ) -> None:
        """Let a quiet worker take messages again. See `quiet_worker`."""
        async with audited(self.runtime, "resume_worker", "", name, reason=reason, by=by):
            await orders.order_worker(self.runtime, name, None)

    async def stop_worker(
        self, name: str, *, reason: str | None = None, by: str | None = None
    ) -> None:
        """Tell a worker to stop, as SIGTERM does. See `quiet_worker`.

        `Worker.run` returns when its running turns have ended, or its grace is over. What started
        the process may start it again.
        """
        async with audited(self.runtime, "stop_worker", "", name, reason=reason, by=by) as deed:
            await orders.order_worker(self.runtime, name, "stop", deed.by, deed.reason)

    async def audit(
        self,
        match: str = "*",
        *,
        by: str | None = None,
        action: str | None = None,
        since: float | None = None,
        count: int = 100,
        before: int | None = None,
    ) -> list[AuditRecord]:
        """The last 10,000 actions of operators: who did what, why, and what became of it.

        Args:
            match: A glob (`*`, `?`, `[ab]`) that the session's id matches.
            by: Only those of this operator.
            action: Only those of this name; see `AuditRecord`.
            since: Only those after this time, in POSIX seconds.
            count: How many to return at most, from 1 to 1,000.
            before: The id of a record: return older ones. None for the newest.

        Returns:
            The newest first.
        """
        wanted = Wanted(match, by, action, since)
        return await audit_records(self.runtime, wanted, count, before)


def _whether(found: bool) -> str:
    return "done" if found else "absent"


def _named(decisions: Decisions) -> str:
    """The ids of approvals, without the texts that go to the model."""
    verbs = {"approve": decisions.approve, "reject": decisions.reject}
    told = (f"{verb} {' '.join(sorted(ids))}" for verb, ids in verbs.items() if ids)
    always = f" (always: {' '.join(sorted(decisions.always))})" if decisions.always else ""
    return "; ".join(told) + always
