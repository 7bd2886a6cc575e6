"""What a store promises: the verbs of a session, once for all stores.

A store keeps sessions: a history of opaque elements, a queue, at most one open turn with its
journal. It sees bytes only. Every verb is atomic and is decided by the store's own clock.

**Sent twice, done once.** An effect happens at most once per turn_id, token or op_id, and a resend
answers as the first call did, within the retention. So whoever gets an exception instead of an
answer sends the same arguments again. Tokens, op ids and commit ids are one_shot by the caller,
random, without white space, never reused. What a session knows of them goes with the session; of
the tokens whose turn was not committed it knows the last eight, so a begin that comes later still
opens a turn which nobody serves, until its lease runs out.

**Two guards.** The lease saves work: it keeps a second worker from paying for the same turn. The
base saves history: a change names the history that it was made for, and is refused as *stale* if
the last commit is another one. No verb relies on the lease alone.

**Elements.** An item's first byte is 0x10 or above, and so is a journal entry's; the bytes below
mark what the store itself adds to a history: a turn is its items, then its marker (turn_id), then
its record. A position counts elements, markers and records included.

**A turn that died** (its lease ran out) is forgotten by the next caller if its journal is empty.
With a journal it keeps the session busy for one more lease, so that its sender can come back for
it (unless it was *one_shot*); then it is *discarded*, which its own retry is told. A turn from the
queue is never discarded: `next` takes it over.

**A message** stays in the queue until its turn is finished: committed, cancelled, or *dead* when a
worker gives it up. Workers are told of it at least once (`Ready`); attempts are counted first.

Answers are values from `types`. Errors are for what no answer can say: the store cannot be reached
(`StoreUnavailable`), refuses (`StoreRefused`), or holds something else (`NotASession`,
`NewerFormat`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Literal, Protocol

from turnwise.types import (
    Absent,
    Accepted,
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
    Renewed,
    Running,
    Stale,
)


class Waiter(Protocol):
    """Tells a waiting caller to ask again: a hint, which can come late, twice or never.

    It may be its turn; or the turn before it was left open (parked, say): all in line are told; or
    the turn has ended that it sent again.
    """

    async def wait(self, timeout: float) -> None:
        """Return when woken, or after `timeout` seconds, or sooner if wake-ups are unreliable."""


class Store(Protocol):
    """Sessions, for any number of workers."""

    async def read(
        self, session_id: str, base: Base | None = None, limit: int | None = None
    ) -> History | Absent:
        """The history: what is new since `base` if that is still right, else the whole.

        With a `limit` no more than the last `limit` elements are asked for, where more would have
        to be moved; the answer may hold more.
        """

    async def begin(
        self,
        session_id: str,
        turn_id: str,
        token: str,
        lease: int,
        base: Base | None = None,
        *,
        worker: str,
        one_shot: bool = False,
        resume: bool = False,
        ticket: int | None = None,
    ) -> Grant | Busy | Queued | Parked | Duplicate | Stale | Full | Absent:
        """Open a turn under a lease of `lease` ms, and read what is new since `base`.

        A session that does not exist is created, and goes away by itself after two leases unless
        it gets a commit (once it has a journal, after the ttl or the retention). The same token is
        granted the same turn again; a finished token is *stale*. A turn_id that is finished is a
        *duplicate*. The turn of this turn_id whose worker died is taken over: attempt + 1, and its
        journal.

        `one_shot` promises that nobody but this very call can use this turn_id: nobody comes back
        for it, and a search is shortened. `resume` takes a turn that waits for an approval
        (*absent* if none of this id is open); without it the answer is *waiting*. A turn whose
        worker died after that waits again.
        `ticket` asks for a place in the queue, for at most that many ms, instead of *busy*: the
        answer is then *queued*, and the same call is to be sent again when woken. Callers in the
        queue go first, in their order.
        """

    async def next(
        self, session_id: str, token: str, lease: int, base: Base | None = None, *, worker: str
    ) -> Grant | Busy | Parked | Idle | Stale:
        """Open the oldest queued message as a turn, or take that turn over from a dead worker.

        *Idle* if there is none; a dead turn that is no message's is left as it is then.
        The attempt is counted before the turn runs: a worker that finds too many (`attempt` less
        `released`) can `dead_letter` the message.
        """

    async def journal(
        self, session_id: str, turn_id: str, token: str, index: int, entries: Sequence[bytes]
    ) -> Done | Stale | Gone:
        """Append to the open turn's journal, at exactly `index`.

        *Done* as well if those very entries stand there already; otherwise *stale*.
        """

    async def renew(self, session_id: str, turn_id: str, token: str) -> Renewed | Stale | Gone:
        """Let the lease run for its full length again, also if it had run out unnoticed."""

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
    ) -> Done | Stale | Gone | Full:
        """Make the open turn part of the history, and release the session to the next in line.

        With `keep`, only the first `keep` items of the history before the turn stay. *Stale*
        unless token and turn_id are the open turn's and the last commit is `base`; the turn is
        open still after *full*. A worker that was asked to stop commits with the kind *cancelled*:
        what is to be kept, or no items. A retry of the turn_id is told so.
        """

    async def park(
        self, session_id: str, turn_id: str, token: str, state: bytes
    ) -> Done | Stale | Gone:
        """Keep the turn open without a lease; `state` becomes the last entry of its journal.

        A session kept waiting is kept like one with a commit; the attempt counts as `released`. A
        resend is answered alike until the turn ends or is parked with another state.
        """

    async def abort(self, session_id: str, turn_id: str, token: str) -> None:
        """Give up what the token holds: the open turn and its journal, or a place in the queue.

        A begin with this token that comes later is *stale*. A session that never had a commit and
        has nothing queued is deleted with it. A parked turn is not its token's any more. The
        message of an aborted turn stays first in the queue, its attempt counted.
        """

    async def release(
        self, session_id: str, turn_id: str, token: str, *, counted: bool = False, delay: int = 0
    ) -> None:
        """Give the open turn back with its journal, for another worker to take over at once.

        Its lease has run out from now on. `Grant.released` counts it as ended in good order, unless
        it is `counted`: it failed, and the next attempt goes on with what it finished. At a message
        none begins for `delay` ms: `next` answers *busy*. A direct turn without a journal ends, as
        by `abort`.
        """

    async def append(
        self, session_id: str, op_id: str, items: Sequence[bytes]
    ) -> Done | Busy | Parked | Full:
        """A turn in one call: add items at the end."""

    async def pop(
        self, session_id: str, op_id: str, base: Base
    ) -> Done | Busy | Parked | Stale | Absent:
        """Remove the last item, which the caller has read, if `base` is still the last commit."""

    async def clear(self, session_id: str, op_id: str) -> Done | Busy | Parked | Absent:
        """Remove all items; turn_ids younger than the retention stay known."""

    async def replace(
        self, session_id: str, op_id: str, base: Base, keep: int, items: Sequence[bytes]
    ) -> Done | Busy | Parked | Stale | Full | Absent:
        """Put `items` in the place of all but the first `keep`, if `base` is the last commit."""

    async def submit(
        self,
        session_id: str,
        turn_id: str,
        message: bytes,
        intent: int | None = None,
        *,
        again: str | None = None,
    ) -> Accepted | Duplicate | Busy | Full | Late:
        """Put a message into the queue. *Late* if `intent` (the store's time) is too long ago.

        A finished turn_id is a *duplicate*, unless it is *dead* by the letter that `again` names:
        that message is tried anew, with no attempt counted, once for each letter. A turn_id that is
        open, but is no message's, is *busy*.
        """

    async def status(
        self, session_id: str, turn_id: str
    ) -> Queued | Running | Parked | Duplicate | Absent:
        """What became of one turn so far: a question that changes nothing.

        *Queued*: its message waits. *Running*: it is open. *Parked*: for an approval, with at
        most `READ` entries of its journal from its state on. A *duplicate* is finished: see its
        record. *Absent*: nothing is known of it (never begun, rolled back, only waiting in line as
        a caller, or longer ago than the retention).
        """

    async def cancel(
        self,
        session_id: str,
        turn_id: str | None = None,
        *,
        keep: bool = False,
        force: bool = False,
        open_only: bool = False,
        note: str = "",
    ) -> Cancelled | Duplicate:
        """Ask this turn to stop; drop it where nobody runs it (dead, parked or still queued).

        Without a turn_id the open turn is meant; `Cancelled.turn_id` names it, for whoever has to
        send this again. Its worker is woken, and told to `keep` what is finished or to drop it;
        who asked for dropping wins. So is one that takes the turn over. The first `note` not empty
        stays: both get it, or a dropped turn's record. To `keep` a parked turn is to leave it.
        `force` drops it though its lease stands: its commit is *stale*, its journal gone. Of a
        finished turn its record is told; if it was stopped and kept no item, *dropped* again. With
        `open_only` a message that only waits stays: *absent*.
        """

    async def dead_letter(
        self, session_id: str, turn_id: str, token: str, letter: bytes
    ) -> Done | Stale | Gone:
        """Give the open turn's message up: write a dead letter, then finish the turn as *dead*.

        The record's payload is the letter's id. A worker that dies between the two leaves a letter
        whose message still waits. To stop the session at it, park the turn instead.
        """

    async def dead_letters(
        self, count: int = 100, after: str | None = None
    ) -> list[DeadLetterEntry]:
        """Dead letters of all sessions, the oldest first, each turn's last one only.

        At most `count`, those behind the letter whose id is `after`; none behind the last.
        """

    async def delete_dead_letter(self, dead_letter_id: str) -> None:
        """Remove a dead letter, if it is there. To retry its message, `submit` it before that."""

    async def delete(self, session_id: str) -> bool:
        """Remove the session with everything in it; False if there was none.

        The worker of its open turn is woken. A resend spares a session that was made anew
        meanwhile.
        """

    async def expire(self, session_id: str, ttl: int | None) -> bool:
        """Let the session expire in `ttl` ms, or never; False if there is none."""

    async def info(self, session_id: str) -> Info | Absent:
        """What there is to know about a session without its content."""

    def scan(self, match: str = "*") -> AsyncIterator[str]:
        """The ids of all sessions that match a glob (`* ? [ab] [!ab]`), in no order.

        One may come twice while others change.
        """

    def waiter(self, token: str) -> AbstractAsyncContextManager[Waiter]:
        """Listen for the wake-up of a ticket; entered before the ticket is asked for."""

    def on_wakeup(self, token: str, callback: Callable[[], None]) -> AbstractContextManager[None]:
        """Call `callback` in this event loop when the token is woken: its turn shall stop.

        Without waiting, and without a command where others listen already. A hint, like `Waiter`.
        """

    @property
    def ready(self) -> Ready:
        """Who has work, for background workers."""

    @property
    def events(self) -> EventLog:
        """What running turns tell."""

    async def ping(self) -> None:
        """Return if the store answers; raise `StoreUnavailable` if not."""

    async def aclose(self) -> None:
        """Let go of what this object opened; it opens anew if it is used again."""


class Ready(Protocol):
    """Tells background workers which sessions have messages.

    Submit: `announce` (the intent), then `Store.submit` with the answer as its `intent`. Worker:
    `claim` → `next` → run → `commit` → `next` until *idle* → `settle`. A wake-up is a hint; session
    and lease are the truth. A message that is tried again is announced once more behind its
    `submit`, as its turn was finished before. Nothing is lost as long as a wake-up is acknowledged
    only when

    - the turn that it names is finished,
    - its session was found *idle* when it was `SETTLE_MS` old, or when it names no turn,
    - its session waits for an approval: who takes that turn up announces the session after it.

    Until then it is put off with `later`: its message may be on its way, or the session is busy.
    """

    async def announce(self, session_id: str, turn_id: str | None) -> int:
        """Tell that this message will come (None: some wait). The store's time, for `submit`."""

    async def claim(self, worker: str, count: int, wait: float) -> list[Claim]:
        """At most `count` wake-ups that nobody else has.

        If there are none, wait for some, at most `wait` seconds. They are this worker's for
        `Limits.claim` ms, and longer if it holds them; then they are told to others.
        """

    async def extend(self, worker: str) -> None:
        """What this worker has claimed stays its own for `Limits.claim` ms: call it in time."""

    async def requeue(self, worker: str, claims: Sequence[Claim], delay: float) -> None:
        """Put them off for `delay` seconds, at most `Limits.claim`; by 0 they are given back."""

    async def ack(self, worker: str, claims: Sequence[Claim]) -> None:
        """They are dealt with."""

    async def sweep(self, *, force: bool = False) -> int:
        """Look for sessions with messages, and announce each: how many. To be called often.

        It is done every `SWEEP_MS` for all workers together, after a failover (which may lose
        announcements), and by `force`.
        """


class EventLog(Protocol):
    """What running turns tell, for readers in any process. Each batch is one round trip.

    Events are numbered from 0 in each attempt; a later attempt's replace those of the one before.
    They outlive their session for `Limits.events_ttl`. After the `last` nothing will follow.
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
        """Add events from number `index` on, none twice. False if a later attempt has begun."""

    async def read(
        self, session_id: str, turn_id: str, after: str | None = None, wait: float = 0
    ) -> Events:
        """Those after the one whose id is `after`, or all; waits for some, at most `wait` s."""
