"""What operators do to the sessions of a store: a part of `Session`. Each call leaves a record."""

from __future__ import annotations

from turnwise import background
from turnwise.background import DeadLetter
from turnwise.fleet import orders
from turnwise.fleet.audit import AuditRecord, Wanted, audit_records, audited, whether
from turnwise.fleet.session_actions import SessionActions


class OperatorActions(SessionActions):
    """What is done to sessions, dead letters, queues and workers.

    Where a method takes `reason` and `by`, they are for the audit: why (at most 1,000 bytes), and
    who (at most 200); None for the user and host of this process. The record is written first: if
    the store does not take it, StoreError is raised and nothing is done.
    """

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
        self._check_unowned("retry_dead_letter")
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
        self._check_unowned("delete_dead_letter")
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
        self._check_unowned("pause_queue")
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
        self._check_unowned("resume_queue")
        orders.check_agent(agent)
        audit = audited(self.runtime, "resume_queue", "", agent or "", reason=reason, by=by)
        async with audit as deed:
            was_paused = await orders.end_pause(self.runtime, agent)
            deed.outcome = whether(was_paused)
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
        self._check_unowned("quiet_worker")
        async with audited(self.runtime, "quiet_worker", "", name, reason=reason, by=by) as deed:
            await orders.order_worker(self.runtime, name, "quiet", deed.by, deed.reason)

    async def resume_worker(
        self, name: str, *, reason: str | None = None, by: str | None = None
    ) -> None:
        """Let a quiet worker take messages again. See `quiet_worker`."""
        self._check_unowned("resume_worker")
        async with audited(self.runtime, "resume_worker", "", name, reason=reason, by=by):
            await orders.order_worker(self.runtime, name, None)

    async def stop_worker(
        self, name: str, *, reason: str | None = None, by: str | None = None
    ) -> None:
        """Tell a worker to stop, as SIGTERM does. See `quiet_worker`.

        `Worker.run` returns when its running turns have ended, or its grace is over. What started
        the process may start it again.
        """
        self._check_unowned("stop_worker")
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
        self._check_unowned("audit")
        wanted = Wanted(match, by, action, since)
        return await audit_records(self.runtime, wanted, count, before)
