"""Sessions on Redis. Each verb is one EVALSHA on one key; long histories come in plain pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from copy import copy
from typing import Literal

from turnwise.codec.elements import totals, usage_text
from turnwise.limits import READ_LIMIT, WORKER_KEPT_MS, Limits
from turnwise.process import process_name
from turnwise.stores.header import check_owner
from turnwise.stores.listeners import Callback
from turnwise.stores.redis import replies
from turnwise.stores.redis.audit import RedisAudit
from turnwise.stores.redis.clients import (
    PATIENCE,
    TIMEOUT,
    Client,
    answer_timeout,
    max_connections,
)
from turnwise.stores.redis.connections import Connections
from turnwise.stores.redis.dead_letters import DeadLetters
from turnwise.stores.redis.events import RedisEvents
from turnwise.stores.redis.header import parse
from turnwise.stores.redis.keys import DEFAULT_PREFIX, Keys
from turnwise.stores.redis.listing import Listing
from turnwise.stores.redis.long_reads import LongReads
from turnwise.stores.redis.owned import OwnedSessions
from turnwise.stores.redis.probe import RedisProbe, probe
from turnwise.stores.redis.pubsub import ChannelWaiter, Subscriptions
from turnwise.stores.redis.ready import RedisReady
from turnwise.stores.redis.registry import RedisRegistry
from turnwise.stores.redis.session_scripts import SessionScripts
from turnwise.stores.redis.transport import Transport
from turnwise.types import (
    Absent,
    Accepted,
    Base,
    Busy,
    Cancelled,
    DeadLetterEntry,
    Done,
    Duplicate,
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
    Renewed,
    Running,
    SessionPage,
    Stale,
    Stopped,
    Suspect,
    Taken,
    TokenUsage,
)

_EMPTY = Base(0, "")


class RedisStore:
    """The contract of `turnwise.contracts.Store` on Redis, Valkey, Cluster or Sentinel.

    Args:
        client: a `redis.asyncio.Redis` or `RedisCluster` with any settings. It serves one event
            loop of one process.
        key_prefix: what all keys and channels begin with.
        limits: what the store enforces.
        owned: whether `aclose` closes the client too.
        another: makes a client for a further event loop or a forked child; the store owns it.
        patience: for how many seconds a call is sent again after it first failed.
        worker: this process's name; wake-ups are published to a channel of that name.
    """

    def __init__(
        self,
        client: Client,
        *,
        key_prefix: str = DEFAULT_PREFIX,
        limits: Limits | None = None,
        owned: bool = False,
        another: Callable[[], Client] | None = None,
        patience: float = PATIENCE,
        worker: str = "",
    ) -> None:
        self.keys = Keys(key_prefix)
        self.limits = limits or Limits()
        self._worker = process_name(worker)
        self._connections = Connections(
            client, another, lambda: self.keys.wake_channel + self.worker, owned=owned
        )
        self._subscriptions = self._connections.subscriptions
        timeout = TIMEOUT if owned else answer_timeout(client)
        self._transport = Transport(self._connections, patience, timeout, max_connections(client))
        self._owned = OwnedSessions(self._transport, self.keys)
        self._listing = Listing(self._transport, self.keys, self._owned)
        self._dead_letters = DeadLetters(self._transport, self.keys)
        self.ready = RedisReady(*self._parts)
        self._serve(None)
        self.workers = RedisRegistry(self._transport, self.keys.workers, WORKER_KEPT_MS)
        self.orders = RedisRegistry(self._transport, self.keys.orders, None)
        self.counts = RedisRegistry(self._transport, self.keys.counts, WORKER_KEPT_MS)
        self.api_keys = RedisRegistry(self._transport, self.keys.api_keys, None)
        self.open_turns = RedisRegistry(self._transport, self.keys.open_turns, WORKER_KEPT_MS)
        self.webhooks = RedisRegistry(self._transport, self.keys.webhooks, None)
        self.audit = RedisAudit(self._transport, self.keys)

    @property
    def _parts(self) -> tuple[Transport, Keys, Subscriptions, Limits]:
        return self._transport, self.keys, self._subscriptions, self.limits

    def _serve(self, owner: str | None) -> None:
        self.owner: str | None = owner
        self.events = RedisEvents(*self._parts, owner)
        scripts = SessionScripts(self._transport, self.keys, self.limits, self._owned, owner)
        self._run, self._answer = scripts.run, scripts.answer
        self._long_reads = LongReads(self._transport, self.keys, owner)

    def for_owner(self, owner: str) -> RedisStore:
        view = copy(self)
        view._serve(check_owner(owner))
        return view

    @property
    def client(self) -> Client:
        """The running event loop's."""
        return self._connections.clients.any()

    @property
    def worker(self) -> str:
        """This process's name."""
        return self._worker.get()

    async def read(
        self, session_id: str, base: Base | None = None, limit: int | None = None
    ) -> History | Absent:
        if self.owner is None and base is None and (limit is None or limit > READ_LIMIT):
            return await self._long_reads.history(session_id, limit)
        # For an owner the script looks first: a foreign history is not even sent.
        in_one = -1 if limit is None or limit > READ_LIMIT else limit
        reply = await self._run("read", session_id, *_base(base), in_one)
        if reply[0] == b"absent":
            return Absent()
        return replies.history(reply) or await self._long_reads.history(session_id, limit)

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
        turn = turn_id, token, lease_ms, *_base(base), worker
        flags = int(one_shot), int(resume), ticket_ms or 0
        reply = await self._run("begin", session_id, *turn, *flags)
        answer: Grant | Busy | Queued | Parked | Stopped | Duplicate | Stale | Full | Absent | Taken
        answer = await self._long_reads.begun(session_id, token, reply)
        return answer

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
        most = -1 if max_deaths is None else max_deaths
        args = token, lease_ms, *_base(base), worker, int(alone), most
        reply = await self._run("next", session_id, *args)
        answer: Grant | Suspect | Busy | Parked | Stopped | Idle | Stale
        answer = await self._long_reads.begun(session_id, token, reply)
        return answer

    async def journal(
        self, session_id: str, turn_id: str, token: str, index: int, entries: Sequence[bytes]
    ) -> Done | Stale | Gone:
        args = turn_id, token, index, *entries
        answer: Done | Stale | Gone = await self._answer("journal", session_id, *args)
        return answer

    async def renew(self, session_id: str, turn_id: str, token: str) -> Renewed | Stale | Gone:
        answer: Renewed | Stale | Gone = await self._answer("renew", session_id, turn_id, token)
        return answer

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
        ids = turn_id, token, base.commit_id, commit_id
        args = *ids, -1 if keep is None else keep, payload, kind, usage_text(usage), *items
        answer: Done | Stale | Gone | Full = await self._answer("commit", session_id, *args)
        return answer

    async def park(
        self, session_id: str, turn_id: str, token: str, state: bytes
    ) -> Done | Stale | Gone:
        answer: Done | Stale | Gone = await self._answer("park", session_id, turn_id, token, state)
        return answer

    async def stop(
        self, session_id: str, turn_id: str, token: str, letter: bytes
    ) -> Done | Stale | Gone:
        answer: Done | Stale | Gone = await self._answer("stop", session_id, turn_id, token, letter)
        return answer

    async def abort(self, session_id: str, turn_id: str, token: str) -> None:
        await self._run("abort", session_id, turn_id, token)

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
        how = int(counted), delay_ms, "" if decided is None else int(decided), attempt or ""
        _, released = await self._run("release", session_id, turn_id, token, *how)
        return bool(released)

    async def append(
        self, session_id: str, op_id: str, items: Sequence[bytes]
    ) -> Done | Busy | Parked | Stopped | Full | Taken:
        answer: Done | Busy | Parked | Stopped | Full | Taken
        answer = await self._answer("append", session_id, op_id, *items)
        return answer

    async def pop(
        self, session_id: str, op_id: str, base: Base
    ) -> Done | Busy | Parked | Stopped | Stale | Absent:
        answer: Done | Busy | Parked | Stopped | Stale | Absent
        answer = await self._answer("pop", session_id, op_id, base.commit_id)
        return answer

    async def clear(self, session_id: str, op_id: str) -> Done | Busy | Parked | Stopped | Absent:
        answer: Done | Busy | Parked | Stopped | Absent = await self._answer(
            "clear", session_id, op_id
        )
        return answer

    async def replace(
        self, session_id: str, op_id: str, base: Base, keep: int, items: Sequence[bytes]
    ) -> Done | Busy | Parked | Stopped | Stale | Full | Absent:
        args = op_id, base.commit_id, keep, *items
        answer: Done | Busy | Parked | Stopped | Stale | Full | Absent
        answer = await self._answer("replace", session_id, *args)
        return answer

    async def restore(
        self,
        session_id: str,
        base: Base | None,
        elements: Sequence[bytes],
        *,
        created_ms: int = 0,
        usage: TokenUsage | None = None,
    ) -> Done | Busy | Parked | Stopped | Stale | Full | Taken:
        sums = totals(elements)
        args = *_base(base), created_ms, usage_text(usage), *sums, *elements
        answer: Done | Busy | Parked | Stopped | Stale | Full | Taken
        answer = await self._answer("restore", session_id, *args)
        return answer

    async def submit(
        self,
        session_id: str,
        turn_id: str,
        message: bytes,
        announced_at: int | None = None,
        *,
        retry_of: str | None = None,
    ) -> Accepted | Duplicate | Busy | Full | Late | Taken:
        args = turn_id, message, announced_at or 0, retry_of or ""
        answer: Accepted | Duplicate | Busy | Full | Late | Taken
        answer = await self._answer("submit", session_id, *args)
        return answer

    async def status(
        self, session_id: str, turn_id: str
    ) -> Queued | Running | Parked | Stopped | Duplicate | Absent:
        answer: Queued | Running | Parked | Stopped | Duplicate | Absent
        answer = await self._answer("status", session_id, turn_id)
        return answer

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
        # Which turn is open is asked for first, so that a resend spares the one after it.
        if turn_id is None and (turn_id := await self._open_turn_id(session_id)) is None:
            return Cancelled("absent")
        flags = int(keep), int(force), int(open_only)
        reply = await self._run("cancel", session_id, turn_id, *flags, reason)
        return replies.cancelled(reply, turn_id)

    async def _open_turn_id(self, session_id: str) -> str | None:
        info = await self.info(session_id)
        return info.open_turn.turn_id if isinstance(info, Info) and info.open_turn else None

    async def dead_letter(
        self, session_id: str, turn_id: str, token: str, letter: bytes
    ) -> Done | Stale | Gone:
        dead_letter_id = await self._dead_letters.write(session_id, turn_id, token, letter)
        args = turn_id, token, dead_letter_id, letter
        answer: Done | Stale | Gone = await self._answer("dead_letter", session_id, *args)
        if not isinstance(answer, Done):
            await self._dead_letters.remove(dead_letter_id)
        return answer

    async def dead_letters(
        self, count: int = 100, after: str | None = None
    ) -> list[DeadLetterEntry]:
        return await self._dead_letters.list(count, after, self.status)

    async def count_dead_letters(self) -> int:
        return await self._dead_letters.count()

    async def delete_dead_letter(self, dead_letter_id: str) -> None:
        await self._dead_letters.remove(dead_letter_id)

    async def delete(self, session_id: str) -> bool:
        # The incarnation is asked for first, so that a resend spares a session created since.
        reply = await self._run("info", session_id)
        if reply[0] == b"absent":
            return False
        header = parse(session_id, self.keys.session(session_id), reply[1])
        await self._run("delete", session_id, header.incarnation)
        return True

    async def expire(self, session_id: str, ttl_ms: int | None) -> bool:
        reply = await self._run("expire", session_id, -1 if ttl_ms is None else ttl_ms)
        return bool(reply[0] == b"ok")

    async def info(self, session_id: str) -> Info | Absent:
        reply = await self._run("info", session_id)
        if reply[0] == b"absent":
            return Absent()
        _, raw, now, ttl_ms, journal_entries = reply
        header = parse(session_id, self.keys.session(session_id), raw)
        return header.info(
            session_id,
            now,
            queued=header.queued,
            journal_entries=journal_entries,
            ttl_ms=None if ttl_ms < 0 else ttl_ms,
        )

    async def open_journal(self, session_id: str, turn_id: str) -> list[bytes] | Absent:
        return await self._long_reads.open_journal(session_id, turn_id)

    async def queue(self, session_id: str, count: int) -> list[QueueEntry]:
        word, *found = await self._run("queue", session_id, count)
        return [replies.queue_entry(entry) for entry in found[0]] if word == b"queue" else []

    async def page(
        self, match: str = "*", cursor: str | None = None, count: int = 500
    ) -> SessionPage:
        if self.owner is not None:
            return await self._listing.owned(self.owner, match, cursor, count)
        return await self._listing.page(match, cursor, count)

    def waiter(self, token: str) -> AbstractAsyncContextManager[ChannelWaiter]:
        return self._subscriptions.get().waiter(token)

    def on_wakeup(self, token: str, callback: Callback) -> AbstractContextManager[object]:
        return self._subscriptions.get().listen(token, callback)

    async def ping(self) -> None:
        await self._transport.call(lambda: self.client.execute_command("PING"))

    async def probe(self) -> RedisProbe:
        """What the deployment tells of itself, for `turnwise.doctor`. Raises StoreUnavailable."""
        return await probe(self.client, self.keys, self._transport.timeout)

    async def aclose(self) -> None:
        await self._connections.aclose(self.ready.close)


def _base(base: Base | None) -> tuple[int, str]:
    base = base or _EMPTY
    return base.position, base.commit_id
