"""What a store does: the verbs on a session, the same for all stores.

A store keeps sessions. A session has a history of elements, a queue, and at most one open turn with
its journal. The store sees bytes only. Each verb is atomic, and goes by the store's own clock.

**A verb can be sent again.** It takes effect at most once for a turn_id, token or op_id, and a
resend gets the answer of the first call, within the retention. So a caller that gets an exception
instead of an answer sends the same arguments again. Tokens, op_ids and commit_ids are random texts
without white space that the caller never uses twice. Deleting a session deletes what it knows of
them. Of the tokens whose turn was not committed, a session knows the last FINISHED_TOKENS; a
delayed begin with an older one can open an orphaned turn until its lease expires.

**Two guards.** The lease saves work: no two workers pay for the same turn. The base protects the
history: a change names the history that it was made for, and is *stale* if that is not the last
commit any more. No verb relies on the lease alone.

**Elements.** The first byte of an item or a journal entry is 0x10 or above. Lower bytes mark the
elements that the store adds: a turn in the history is its items, then its marker (turn_id), then
its record. A position counts all elements.

**A dead turn** is one whose lease has expired. If its journal is empty, the next caller's verb
drops it. If not, it keeps the session busy for one more lease, so that its sender can come back for
it; then it is *abandoned*, and a later begin with its turn_id is a *duplicate* that says so. A
`one_shot` turn is abandoned at once. A message's turn is never abandoned: `next` takes it over.

**A message** is in the queue until its turn is finished: committed, cancelled or *dead*. Workers
are notified of it at least once (`Ready`). An attempt is counted before it runs.

**An owner** is a name: whoever a session belongs to. `for_owner` gives a view of the store in which
there are only the sessions of one owner. A session that it creates is that owner's, for ever. For
any other session its verbs answer as if there were none, and where they would create it: *taken*.
The store without an owner has all sessions, for workers and operators. What is no session (`ready`,
`dead_letters`, the registries, `audit`) is theirs too, and the same in every view.

Answers are values from `types`. Errors are for what no answer can express: the store cannot be
reached (`StoreUnavailable`), it refuses (`StoreRefused`), or it holds something else
(`NotASession`, `NewerFormat`).

Lengths of time end in `_ms`; how long the caller itself is ready to wait is a `timeout` in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Literal, Protocol

from turnwise.types import (
    Absent,
    Accepted,
    AuditEntry,
    Base,
    Busy,
    Cancelled,
    Claim,
    DeadLetterEntry,
    Done,
    Duplicate,
    Events,
    Full,
    Gone,
    Grant,
    History,
    Idle,
    Info,
    Late,
    Parked,
    Queued,
    QueueEntry,
    RegistryEntry,
    Renewed,
    Running,
    SessionPage,
    Stale,
    Stopped,
    Suspect,
    Taken,
    TokenUsage,
    Unclaimed,
)


class Waiter(Protocol):
    """Waits for the wake-up of a ticket.

    A wake-up means: ask again. The caller may be the head of the queue now; or the open turn was
    parked or released, which concerns every caller in the queue; or the turn that the caller sent
    again has ended. It is a hint, which can come late, twice or never.
    """

    async def wait(self, timeout: float) -> None:
        """Return when woken, or after `timeout` seconds, or sooner if wake-ups are unreliable."""


class Store(Protocol):
    """Sessions, for any number of workers."""

    @property
    def owner(self) -> str | None:
        """Whose view this is; None if it has all sessions."""

    def for_owner(self, owner: str) -> Store:
        """The same store, for the sessions of this owner only. Does no I/O.

        `aclose` of either closes both. Raises UsageError for a name that is empty or too long.
        """

    async def read(
        self, session_id: str, base: Base | None = None, limit: int | None = None
    ) -> History | Absent:
        """The history: what is new since `base` if that is still valid, else all of it.

        With a `limit`, only the last `limit` elements are wanted; the answer may have more.
        """

    async def begin(
        self,
        session_id: str,
        turn_id: str,
        token: str,
        lease_ms: int,
        base: Base | None = None,
        *,
        worker: str,
        one_shot: bool = False,
        resume: bool = False,
        ticket_ms: int | None = None,
    ) -> Grant | Busy | Queued | Parked | Stopped | Duplicate | Stale | Full | Absent | Taken:
        """Open a turn under a lease, and read what is new since `base`.

        A session that does not exist is created. Until its first commit it expires after two
        leases; with a journal, after the ttl or the retention.

        The same token is granted the same turn again; a finished token is *stale*. A finished
        turn_id is a *duplicate*. A dead turn with this turn_id is taken over, with its journal.

        Args:
            session_id: the session.
            turn_id: names the turn, over all its attempts.
            token: names this attempt. Whoever knows it holds the turn.
            lease_ms: for how long the turn is this worker's, unless it is renewed.
            base: the history that the caller has already.
            worker: the worker's name, for others to see and for wake-ups.
            one_shot: nobody else will ever send this turn_id, so nobody comes back for the turn if
                it dies, and an earlier commit need not be searched far.
            resume: open the parked turn of this turn_id; *absent* if it is not open. Without it,
                the answer for a parked turn is *parked*. A resumed turn that dies is parked again.
            ticket_ms: wait in the queue for at most that long, instead of *busy*. The answer is
                *queued*; send the same call again when woken. Callers in the queue are served
                first, in their order. A parked or stopped turn is not waited for.
        """

    async def next(
        self,
        session_id: str,
        token: str,
        lease_ms: int,
        base: Base | None = None,
        *,
        worker: str,
        alone: bool = False,
        max_deaths: int | None = None,
    ) -> Grant | Suspect | Busy | Parked | Stopped | Idle | Stale:
        """Open the oldest message as a turn, or take that turn over from a dead worker.

        *Idle* if there is no message; then a dead turn that is no message's stays as it is. The
        attempt is counted before it runs, so a worker that finds too many that failed or died can
        `dead_letter` the message. The first arguments are those of `begin`.

        Args:
            session_id, token, lease_ms, base, worker: as in `begin`.
            alone: this worker runs no other message meanwhile.
            max_deaths: *suspect* if more of the attempts ended with the death of their workers;
                None for any number.
        """

    async def journal(
        self, session_id: str, turn_id: str, token: str, index: int, entries: Sequence[bytes]
    ) -> Done | Stale | Gone:
        """Append to the open turn's journal, at exactly `index`.

        *Done* as well if these very entries are there already; otherwise *stale*.
        """

    async def renew(self, session_id: str, turn_id: str, token: str) -> Renewed | Stale | Gone:
        """Start the lease again, for its full length, even if it had run out unnoticed."""

    async def commit(
        self,
        session_id: str,
        turn_id: str,
        token: str,
        base: Base,
        commit_id: str,
        items: Sequence[bytes],
        *,
        keep: int | None = None,
        payload: bytes = b"",
        kind: Literal["turn", "cancelled"] = "turn",
        usage: TokenUsage | None = None,
    ) -> Done | Stale | Gone | Full:
        """Make the open turn part of the history, and free the session.

        *Stale* unless token and turn_id are the open turn's and the last commit is `base`. After
        *full* the turn is still open.

        Args:
            session_id, turn_id, token: of the open turn.
            base: the history that the turn was made for.
            commit_id: a new one, for this commit.
            items: what the turn adds.
            keep: keep only the first `keep` items of the history before the turn.
            payload: stored in the record.
            kind: "cancelled" if the turn was asked to end; `items` are then what it keeps, if
                anything.
            usage: what all attempts at the turn consumed: kept in its record, and added to the
                session's.
        """

    async def park(
        self, session_id: str, turn_id: str, token: str, state: bytes
    ) -> Done | Stale | Gone:
        """Keep the turn open without a lease; `state` replaces its journal.

        The attempt counts as released. The session does not expire any sooner than one with a
        commit. A resend is *done* until the turn ends or is parked with another state.

        Args:
            session_id, turn_id, token: of the open turn.
            state: holds all that the turn has done. It is opaque.
        """

    async def stop(
        self, session_id: str, turn_id: str, token: str, letter: bytes
    ) -> Done | Stale | Gone:
        """Stop the session at the open turn, whose message failed for good.

        The turn stays open without a lease, and `letter` replaces its journal. Until somebody ends
        it by `dead_letter`, `cancel` or `delete`, the answer to all who want the session is
        *stopped*. The session does not expire any sooner than one with a commit. A resend is *done*
        until the turn ends.
        """

    async def abort(self, session_id: str, turn_id: str, token: str) -> None:
        """Remove what the token holds: the open turn with its journal, or a ticket.

        A delayed begin with this token is then *stale*. A session without a commit and with an
        empty queue is deleted. The message of an aborted turn stays the head of the queue, with its
        attempt counted. A parked turn is no longer its token's, and stays.
        """

    async def release(
        self,
        session_id: str,
        turn_id: str,
        token: str,
        *,
        counted: bool = False,
        delay_ms: int = 0,
        decided: bool | None = None,
        attempt: int | None = None,
    ) -> bool:
        """End the lease of the open turn now, and leave its journal for the next attempt.

        A direct turn without a journal is removed, as by `abort`. False if the turn was not held
        so. A resend is True, unless the session is gone.

        Args:
            session_id, turn_id, token: of the open turn.
            counted: the attempt failed (`Grant.failed`). Otherwise it counts as no failure
                (`Grant.released`).
            delay_ms: the next attempt at a message begins no sooner; until then `next` is *busy*.
            decided: True if the approvals that a message's turn was parked for are decided. From
                now on `next` opens the turn as if it had never been parked, until it is parked
                again, or released with False; `begin` answers *parked* for it all the same. None
                leaves it as it is.
            attempt: release the turn from whoever has this attempt at it, as an operator does; that
                worker is woken. `token` is then a new one, which names this call. A parked or
                stopped turn stays as it is.
        """

    async def append(
        self, session_id: str, op_id: str, items: Sequence[bytes]
    ) -> Done | Busy | Parked | Stopped | Full | Taken:
        """A turn in one call: add items at the end."""

    async def pop(
        self, session_id: str, op_id: str, base: Base
    ) -> Done | Busy | Parked | Stopped | Stale | Absent:
        """Remove the last item, which the caller has read, if `base` is still the last commit."""

    async def clear(self, session_id: str, op_id: str) -> Done | Busy | Parked | Stopped | Absent:
        """Remove all items. turn_ids younger than the retention stay known."""

    async def replace(
        self, session_id: str, op_id: str, base: Base, keep: int, items: Sequence[bytes]
    ) -> Done | Busy | Parked | Stopped | Stale | Full | Absent:
        """Replace all but the first `keep` items, if `base` is still the last commit."""

    async def restore(
        self,
        session_id: str,
        base: Base | None,
        elements: Sequence[bytes],
        *,
        created_ms: int = 0,
        usage: TokenUsage | None = None,
    ) -> Done | Busy | Parked | Stopped | Stale | Full | Taken:
        """Append whole turns as another history has them: items, markers and records, unchanged.

        Then the last record's commit id names the history, so that a resend is told from a new
        call. *Stale* unless the last commit is `base`.

        Args:
            session_id: the session; it is created if it does not exist.
            base: the history that they follow; None for a session without any commit.
            elements: at least one turn.
            created_ms: when the session was created; 0 for now. For a new one only.
            usage: added to the session's.
        """

    async def submit(
        self,
        session_id: str,
        turn_id: str,
        message: bytes,
        announced_at: int | None = None,
        *,
        retry_of: str | None = None,
    ) -> Accepted | Duplicate | Busy | Full | Late | Taken:
        """Put a message into the queue.

        A finished turn_id is a *duplicate*. *Busy* if the turn_id is open, but is no message's.

        Args:
            session_id: the session.
            turn_id: names the turn that will answer the message.
            message: opaque.
            announced_at: what `Ready.announce` returned; *late* if that is too long ago.
            retry_of: the id of the dead letter by which the turn is dead. The message is then
                tried again, once for each letter, with no attempt counted.
        """

    async def status(
        self, session_id: str, turn_id: str
    ) -> Queued | Running | Parked | Stopped | Duplicate | Absent:
        """The state of one turn. It changes nothing.

        *Queued*: its message waits. *Running*: it is open. *Parked*: with at most READ_LIMIT
        entries of its journal, from its state on. *Stopped*: with its letter. *Duplicate*: it is
        finished. *Absent*: it was never begun, was rolled back, is only a caller's ticket, or ended
        longer ago than the retention.
        """

    async def cancel(
        self,
        session_id: str,
        turn_id: str | None = None,
        *,
        keep: bool = False,
        force: bool = False,
        open_only: bool = False,
        reason: str = "",
    ) -> Cancelled | Duplicate:
        """Ask a turn to end; finish it as cancelled if nobody runs it.

        The worker of a running turn is woken; so is one that takes the turn over. A turn that is
        dead, parked, stopped or queued is *dropped* at once. A finished turn is a *duplicate*, or
        *dropped* if it was cancelled and kept no item.

        Args:
            session_id: the session.
            turn_id: the turn; None for the open one. `Cancelled.turn_id` names it, for a resend.
            keep: the worker may commit what is finished. If anybody asked to drop it, it is
                dropped. A parked or stopped turn is left as it is: *absent*.
            force: drop the turn although its lease has not expired. Its commit is then *stale*.
            open_only: leave a queued message: *absent*.
            reason: why. The first one that is not empty goes to the worker, or into the record of
                a dropped turn.
        """

    async def dead_letter(
        self, session_id: str, turn_id: str, token: str, letter: bytes
    ) -> Done | Stale | Gone:
        """Store a dead letter, then finish the open turn as *dead*.

        The turn is this token's; or the session is stopped at it with this very letter, and the
        token is a new one, which names this call. The record's payload is the letter's id. If a
        worker dies between the two steps, the letter is there and the message still in the queue.
        """

    async def dead_letters(
        self, count: int = 100, after: str | None = None
    ) -> list[DeadLetterEntry]:
        """Dead letters of all sessions, the oldest first; of each turn only the last one.

        At most `count`, and only those behind the letter whose id is `after`, which may be gone.
        Empty at the end. Raises UsageError for what can be no letter's id in this store.
        """

    async def count_dead_letters(self) -> int:
        """How many dead letters there are, at once. One that was replaced may still count."""

    async def delete_dead_letter(self, dead_letter_id: str) -> None:
        """Remove a dead letter, if it exists. To retry its message, `submit` it first."""

    async def delete(self, session_id: str) -> bool:
        """Remove the session with everything in it; False if it does not exist.

        The worker of its open turn is woken. A resend spares a session that was created since.
        """

    async def expire(self, session_id: str, ttl_ms: int | None) -> bool:
        """Let the session expire after `ttl_ms`, or never; False if it does not exist."""

    async def info(self, session_id: str) -> Info | Absent:
        """What an operator can know of the session without its content."""

    async def open_journal(self, session_id: str, turn_id: str) -> list[bytes] | Absent:
        """The journal of the open turn of this turn_id, as it is now. It changes nothing.

        That of a stopped turn is its letter. *Absent* if the turn is not open.
        """

    async def queue(self, session_id: str, count: int) -> list[QueueEntry]:
        """The first `count` entries of the queue, the oldest first; empty without a session.

        It changes nothing. A message is in it as long as its turn is open. Messages that were
        cancelled are left out.
        """

    async def page(
        self, match: str = "*", cursor: str | None = None, count: int = 500
    ) -> SessionPage:
        """The sessions that match a glob (`* ? [ab] [!ab]`), among the next `count` or so.

        The first call has no cursor, each further one that of the answer before. Their order is the
        store's; one that changes meanwhile may come twice. A session that cannot be read is listed
        too. Raises UsageError for a cursor that is not the store's, or not any more.
        """

    def waiter(self, token: str) -> AbstractAsyncContextManager[Waiter]:
        """Listen for the wake-up of a ticket. Enter it before you ask for the ticket."""

    def on_wakeup(self, token: str, callback: Callable[[], None]) -> AbstractContextManager[object]:
        """Call `callback` in this event loop when the token's turn is asked to end.

        It does not wait, and sends no command if others listen already. A hint, as in `Waiter`.
        """

    @property
    def ready(self) -> Ready:
        """Which sessions have messages, for background workers."""

    @property
    def events(self) -> EventLog:
        """The events of running turns."""

    @property
    def workers(self) -> Registry:
        """What each worker says of itself."""

    @property
    def orders(self) -> Registry:
        """What operators told the workers."""

    @property
    def counts(self) -> Registry:
        """What was counted of all sessions, and by whom."""

    @property
    def api_keys(self) -> Registry:
        """What is known of the keys by which clients of the server are known."""

    @property
    def open_turns(self) -> Registry:
        """Which turns of each principal of the server are unfinished."""

    @property
    def webhooks(self) -> Registry:
        """Of what the server's operator is still to be told, by a webhook."""

    @property
    def audit(self) -> Audit:
        """The records of operators' actions."""

    async def ping(self) -> None:
        """Return if the store answers; raise `StoreUnavailable` if not."""

    async def aclose(self) -> None:
        """Close what this object has opened. It opens again if it is used again."""


class Ready(Protocol):
    """The ready stream: announcements of messages, for background workers.

    To submit: `announce`, then `Store.submit` with its answer as `announced_at`. A worker: `claim`,
    then `next`, run, `commit`, and again `next` until *idle*; then `ack`.

    An announcement is a hint; session and lease are the truth. A message that is tried again is
    announced once more after its `submit`, as the first announcement may have been acked. No
    message is lost as long as a claim is acked only if

    - the turn that it names is finished; or
    - its session is *idle*, and the claim is ACK_IDLE_AFTER_MS old or names no turn; or
    - its session is parked or stopped, and the claim is so too, or its message is in the queue.

    Otherwise it is requeued: its message may still come, or the session is busy. Whoever ends a
    parked or stopped turn announces the session, if anything is in its queue.
    """

    async def announce(self, session_id: str, turn_id: str | None) -> int:
        """Announce a message before it is submitted; without a turn_id, that some are queued.

        A session that is announced without a turn_id can be claimed, whoever has claimed it before.

        Returns the store's time, for `submit`.
        """

    async def claim(self, worker: str, count: int, timeout: float) -> list[Claim]:
        """At most `count` announcements that no other worker has claimed.

        If there are none, wait for some, at most `timeout` seconds. The claims are hidden from
        other workers for `Limits.visibility_timeout_ms`, and longer if they are extended.
        """

    async def last_claim(self, session_id: str) -> int | None:
        """How many ms ago a worker asked for announcements like this session's, to within seconds.

        None if none is known to have asked, in the last hour at least.
        """

    async def announced(self, count: int) -> list[str]:
        """Sessions with messages, claimed or not, for operators: at most `count` ids.

        Those that wait for the longest time come first, as far as the store knows.
        """

    async def unclaimed(self) -> Unclaimed:
        """The announcements that no worker has claimed yet, for operators.

        Whether those that were given back are among them, the store decides.
        """

    async def extend(self, worker: str) -> None:
        """Hide all of this worker's claims for `Limits.visibility_timeout_ms` from now on."""

    async def requeue(self, worker: str, claims: Sequence[Claim], delay_ms: int) -> None:
        """Give claims back: any worker can claim them again in `delay_ms`, or soon for 0.

        They come sooner if their session gets free meanwhile; and after
        `Limits.visibility_timeout_ms` if this process has died, or does not `extend` its claims.
        """

    async def recall(self, session_ids: Sequence[str]) -> None:
        """End the delays with which this object gave claims on these sessions back.

        From its next `claim` on, any worker can claim them.
        """

    async def leave(self, worker: str) -> None:
        """Give all of this worker's claims back, those with a delay too: it ends."""

    async def ack(self, worker: str, claims: Sequence[Claim]) -> None:
        """Remove the announcements: they need no more work."""

    async def sweep(self, *, force: bool = False) -> int:
        """Find sessions with messages and announce them; return how many.

        Call it often: it works only every SWEEP_INTERVAL_MS, once for all workers; and after a
        failover, which may lose announcements; and with `force`.
        """


class EventLog(Protocol):
    """The events of running turns, for readers in any process. Each batch is one round trip.

    Events are numbered from 0 in each attempt; those of a later attempt replace the earlier ones.
    They outlive their session, for `Limits.events_ttl_ms`. Nothing follows the `last` one. They are
    of the owner in whose view they are appended, and replace those of an earlier session of another
    owner; in another owner's view there are none.
    """

    async def append(
        self,
        session_id: str,
        turn_id: str,
        attempt: int,
        index: int,
        events: Sequence[bytes],
        *,
        last: bool = False,
    ) -> bool:
        """Append events from number `index` on, none twice. False if a later attempt has begun."""

    async def read(
        self, session_id: str, turn_id: str, after: str | None = None, timeout: float = 0
    ) -> Events:
        """The events after the cursor `after`, or all. Wait for some, at most `timeout` seconds."""


class Registry(Protocol):
    """Named records. They are for operators and workers: no verb on a session relies on them.

    `Store.workers`: what each worker process last said of itself. It outlives its worker, and shows
    what that held, until WORKER_KEPT_MS have passed without a `write`; so do records of
    `Store.counts` (what was counted of all sessions) and of `Store.open_turns`. `Store.orders`:
    what operators told workers. An order stays until it is removed, and so do records of
    `Store.api_keys` and of `Store.webhooks`.
    """

    async def write(self, name: str, record: bytes) -> None:
        """`record`, which is opaque, replaces the last one of this name."""

    async def remove(self, name: str) -> None:
        """Remove the record, if there is one. A `write` sent before must be answered first."""

    async def read(self, name: str) -> RegistryEntry | None:
        """The record of this name, if there is one."""

    async def list(self) -> list[RegistryEntry]:
        """All records, in the order of their names."""


class Audit(Protocol):
    """The records of operators' actions, of all sessions: the last AUDIT_KEPT of them.

    A record is written before its action, and amended by what became of it.
    """

    async def write(self, op_id: str, record: bytes) -> int:
        """Add a record, which is opaque; return its number. An `op_id` adds one record."""

    async def amend(self, number: int, op_id: str, record: bytes) -> None:
        """Replace the record that this op_id wrote, if it is still kept."""

    async def page(self, count: int, before: int | None = None) -> list[AuditEntry]:
        """At most `count` records, the newest first; of those with lower numbers than `before`."""
