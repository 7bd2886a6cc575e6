"""What a store promises: the verbs of a session, once for all stores.

A store keeps sessions: a history of opaque elements, a queue, at most one open turn with its
journal. It sees bytes only. Every verb is atomic and is decided by the store's own clock.

**Sent twice, done once.** An effect happens at most once per turn_id, token or op_id, and a resend
answers as the first call did, within the retention. So whoever gets an exception instead of an
answer sends the same arguments again. Tokens, op ids and commit ids are minted by the caller,
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
it; then it is *discarded*, which its own retry is told. A turn from the queue is never discarded:
`next` takes it over.

Answers are values from `types`. Errors are for what no answer can say: the store cannot be reached
(`StoreUnavailable`), refuses (`StoreRefused`), or holds something else (`NotASession`,
`NewerFormat`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from turnwise.types import (
    Absent,
    Accepted,
    Base,
    Busy,
    Cancelled,
    Done,
    Duplicate,
    Full,
    Gone,
    Grant,
    History,
    Idle,
    Info,
    Late,
    Queued,
    Renewed,
    Stale,
    Waiting,
)

READ = 256
"""The most elements that one answer of `begin`, `next` or a duplicate carries."""
RECENT = 64
"""How many elements a *fresh* begin looks through for an earlier effect of the same call."""
CLAIM_MS = 250
"""How long the session stays free for the caller whose turn it is, before it is passed over."""
LATE_MS = 10_000
"""How old the announcement of a message may be when the message arrives."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a store is told once. Times are milliseconds.

    `ttl` is how long a session lives after its last change (None: for ever). `retention` is how
    long a turn_id is known after its commit. `max_bytes` bounds one session's stored history,
    `max_queue` its waiting messages and callers.
    """

    ttl: int | None = None
    retention: int = 24 * 60 * 60 * 1000
    max_bytes: int = 256 * 1024 * 1024
    max_queue: int = 1000


class Wake(Protocol):
    """Tells a waiting caller that it may be its turn. A hint: it can come late, twice or never."""

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
        fresh: bool = False,
        resume: bool = False,
        ticket: int | None = None,
    ) -> Grant | Busy | Queued | Waiting | Duplicate | Stale | Full | Absent:
        """Open a turn under a lease of `lease` ms, and read what is new since `base`.

        A session that does not exist is created, and goes away by itself after two leases unless
        it gets a commit. The same token is granted the same turn again; a finished token is
        *stale*. A turn_id that is finished is a *duplicate*. The turn of this turn_id whose worker
        died is taken over: attempt + 1, and its journal.

        `fresh` promises that nobody but this very call can have used this turn_id, which shortens
        a search.
        `resume` takes a turn that waits for an approval (*absent* if none of this id is open);
        without it the answer is *waiting*. `ticket` asks for a place in the queue, for at most
        that many ms, instead of *busy*: the answer is then *queued*, and the same call is to be
        sent again when woken. Callers in the queue go first, in their order.
        """

    async def next(
        self, session_id: str, token: str, lease: int, base: Base | None = None, *, worker: str
    ) -> Grant | Busy | Waiting | Idle | Stale:
        """Open the oldest queued message as a turn, or take that turn over from a dead worker.

        The attempt is counted before the turn runs. The message stays in the queue until the
        turn's commit.
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
    ) -> Done | Stale | Gone | Full:
        """Make the open turn part of the history, and release the session to the next in line.

        With `keep`, only the first `keep` items of the history before the turn stay. *Stale*
        unless token and turn_id are the open turn's and the last commit is `base`; the turn is
        open still after *full*.
        """

    async def park(
        self, session_id: str, turn_id: str, token: str, state: bytes
    ) -> Done | Stale | Gone:
        """Keep the turn open without a lease; `state` becomes the last entry of its journal.

        A session kept waiting is kept like one with a commit. A resend is *stale* once the turn
        was taken up again.
        """

    async def abort(self, session_id: str, turn_id: str, token: str) -> None:
        """Give up what the token holds: the open turn and its journal, or a place in the queue.

        A begin with this token that comes later is *stale*. A session that never had a commit and
        has nothing queued is deleted with it. A parked turn is not its token's any more.
        """

    async def append(
        self, session_id: str, op_id: str, items: Sequence[bytes]
    ) -> Done | Busy | Waiting | Full:
        """A turn in one call: add items at the end."""

    async def pop(
        self, session_id: str, op_id: str, base: Base
    ) -> Done | Busy | Waiting | Stale | Absent:
        """Remove the last item, which the caller has read, if `base` is still the last commit."""

    async def clear(self, session_id: str, op_id: str) -> Done | Busy | Waiting | Absent:
        """Remove all items; turn_ids younger than the retention stay known."""

    async def replace(
        self, session_id: str, op_id: str, base: Base, keep: int, items: Sequence[bytes]
    ) -> Done | Busy | Waiting | Stale | Full | Absent:
        """Put `items` in the place of all but the first `keep`, if `base` is the last commit."""

    async def submit(
        self, session_id: str, turn_id: str, message: bytes, intent: int | None = None
    ) -> Accepted | Duplicate | Full | Late:
        """Put a message into the queue. *Late* if `intent` (the store's time) is too long ago."""

    async def cancel(self, session_id: str, turn_id: str) -> Cancelled | Duplicate:
        """Ask this turn to stop; drop it where nobody runs it (dead, parked or still queued).

        A takeover of a turn that was asked to stop is told so.
        """

    async def delete(self, session_id: str) -> bool:
        """Remove the session with everything in it; False if there was none.

        A resend spares a session that was made anew meanwhile.
        """

    async def touch(self, session_id: str, ttl: int | None) -> bool:
        """Let the session expire in `ttl` ms, or never; False if there is none."""

    async def info(self, session_id: str) -> Info | Absent:
        """What there is to know about a session without its content."""

    def scan(self, match: str = "*") -> AsyncIterator[str]:
        """The ids of all sessions that match a glob (`* ? [ab] [!ab]`), in no order.

        One may come twice while others change.
        """

    def woken(self, token: str) -> AbstractAsyncContextManager[Wake]:
        """Listen for the wake-up of a ticket; entered before the ticket is asked for."""

    async def ping(self) -> None:
        """Return if the store answers; raise `StoreUnavailable` if not."""

    async def aclose(self) -> None:
        """Let go of what this object opened; it opens anew if it is used again."""
